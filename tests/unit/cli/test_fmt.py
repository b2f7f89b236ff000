"""`edge fmt` keeps what a file says, its order and its comments."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.cli.exits import EXIT_DIFFERENT, EXIT_INVALID, EXIT_OK
from edge.cli.fmt import CannotFormat, format_file, formatted
from edge.control.config.document import parse

UGLY = """\
# The shop's edge.
version:   1
listeners:
- name: web    # plain
  address:    "127.0.0.1:8080"



- {name: two, address: '127.0.0.1:8081'}
routes: [{name: all, parentRefs: [{name: web}]}]
"""
TIDY = """\
# The shop's edge.
version: 1
listeners:
  - name: web  # plain
    address: "127.0.0.1:8080"

  - {name: two, address: '127.0.0.1:8081'}
routes: [{name: all, parentRefs: [{name: web}]}]
"""


def test_layout_changes_and_nothing_else() -> None:
    assert formatted("f", UGLY) == TIDY


def test_formatting_twice_is_formatting_once() -> None:
    assert formatted("f", TIDY) == TIDY


@pytest.mark.parametrize("value", ["yes", "1:30", "012", "1e3", "~", "null", "2026-11-23", "'# no comment'"])
def test_scalars_mean_what_they_meant(value: str) -> None:
    text = f"a: {value}\n"
    assert parse("f", formatted("f", text).encode()).data == parse("f", text.encode()).data


def test_what_cannot_be_kept_is_left_alone() -> None:
    with pytest.raises(CannotFormat):
        formatted("f", "a: &x [1]\nb: *x\n")


def test_check_shows_the_difference_and_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "edge.yaml"
    file.write_text(UGLY)
    assert format_file(str(file), check=True) == EXIT_DIFFERENT
    assert "-version:   1\n+version: 1\n" in capsys.readouterr().out
    assert file.read_text() == UGLY


def test_a_file_is_replaced_at_once_and_keeps_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "edge.yaml"
    file.write_text(UGLY)
    file.chmod(0o640)
    assert format_file(str(file), check=False) == EXIT_OK
    assert file.read_text() == TIDY
    assert file.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [file]
    assert format_file(str(file), check=True) == EXIT_OK


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.yaml").write_text(UGLY)
    link = tmp_path / "edge.yaml"
    link.symlink_to("real.yaml")
    assert format_file(str(link), check=False) == EXIT_OK
    assert link.is_symlink()
    assert (tmp_path / "real.yaml").read_text() == TIDY


def test_syntax_errors_are_shown_with_their_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "edge.yaml"
    file.write_text("a: [1\n")
    assert format_file(str(file), check=False) == EXIT_INVALID
    assert f"{file}:2:1: error" in capsys.readouterr().err

"""The cache of foreign programs, and what becomes of a test whose program is missing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.tools.cache import ToolMissing, once, require, run


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_TEST_CACHE", str(tmp_path / "cache"))


def _missing() -> Path:
    raise ToolMissing("no such luck")


def test_a_tool_is_made_once_however_many_ask_at_the_same_time() -> None:
    made = []

    def make(target: Path) -> None:
        made.append(target)
        target.write_text("tool")

    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: once("kind/tool-1.0", make), range(32)))
    assert len(made) == 1
    assert set(paths) == {paths[0]}
    assert paths[0].read_text() == "tool"


def test_half_a_tool_is_never_seen(tmp_path: Path) -> None:
    def fail(target: Path) -> None:
        target.mkdir()
        (target / "half").write_text("half")
        raise ToolMissing("broke off")

    with pytest.raises(ToolMissing, match="broke off"):
        once("kind/tool-1.0", fail)
    assert [path for path in (tmp_path / "cache").rglob("*") if path.name in ("half", "tool-1.0")] == []
    assert once("kind/tool-1.0", lambda target: target.mkdir()).is_dir()


def test_a_missing_tool_skips_the_test_and_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGE_TEST_REQUIRE", raising=False)
    with pytest.raises(pytest.skip.Exception, match="_missing: no such luck"):
        require(_missing)


def test_a_missing_tool_fails_the_test_where_all_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_TEST_REQUIRE", "all")
    with pytest.raises(pytest.fail.Exception, match="_missing: no such luck"):
        require(_missing)


def test_a_tool_that_is_there_is_given(tmp_path: Path) -> None:
    assert require(lambda: tmp_path) == tmp_path


@pytest.mark.parametrize(
    ("command", "timeout_s", "reason"),
    [
        (["no-such-program-anywhere"], 60.0, "is not installed"),
        (["sh", "-c", "echo because >&2; exit 3"], 60.0, "because"),
        (["sh", "-c", "read forever < /dev/zero"], 0.5, "longer than"),
    ],
)
def test_a_command_that_does_not_work_says_why(command: list[str], timeout_s: float, reason: str) -> None:
    with pytest.raises(ToolMissing, match=reason):
        run(command, timeout_s=timeout_s)


def test_a_command_gives_its_output() -> None:
    assert run(["sh", "-c", "echo $WORD"], 60.0, env={"WORD": "out"}) == "out\n"

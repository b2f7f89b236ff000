"""The container file without a container: its RUN lines, carried out in a folder of their own.

Of both stages every RUN line runs with the paths of the image moved under a temporary folder; what
FROM, COPY, USER and ENTRYPOINT say is read and checked.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

_TOP = Path(__file__).resolve().parents[2]
_COMPILERS = re.compile(
    r"\b(gcc|g\+\+|clang|cc|make|cmake|cargo|rustc|rustup|zig|ziglang|golang|npm|apt-get|apk)\b"
)
_RUN_S = 600.0


@dataclass
class Stage:
    """One FROM and what follows, as (keyword, rest) pairs."""

    base: str
    lines: list[tuple[str, str]] = field(default_factory=list)

    def values(self, keyword: str) -> list[str]:
        return [rest for word, rest in self.lines if word == keyword]


def _stages() -> list[Stage]:
    stages: list[Stage] = []
    for line in (_TOP / "Containerfile").read_text().splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            stages.append(Stage(rest))
        elif line.strip() and not line.startswith("#"):
            assert not line.endswith("\\"), "one line an instruction keeps this test simple"
            stages[-1].lines.append((word, rest))
    return stages


def _moved(command: str, image: Path) -> str:
    return re.sub(r"(?<![\w/])/(src|opt|tmp|var)\b", lambda match: f"{image}/{match[1]}", command)


def _carry_out(stage: Stage, image: Path) -> None:
    """COPY from the checkout and RUN, as the builder would, in `image`."""
    for word, rest in stage.lines:
        if word == "COPY" and not rest.startswith("--from"):
            *sources, target = rest.split()
            for source in sources:
                _copy(_TOP / source, image / "src" / target)
        elif word == "RUN":
            done = subprocess.run(
                ["sh", "-c", _moved(rest, image)],
                cwd=image / "src",
                env={"PATH": os.environ["PATH"], "HOME": str(image)},
                capture_output=True,
                text=True,
                timeout=_RUN_S,
                check=False,
            )
            assert done.returncode == 0, f"RUN {rest}\n{done.stdout}{done.stderr}"


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the first stage has run."""
    folder = tmp_path_factory.mktemp("image")
    for name in ("src", "opt", "tmp", "var/lib"):
        (folder / name).mkdir(parents=True)
    _carry_out(_stages()[0], folder)
    return folder


def test_the_first_stage_installs_an_edge_that_starts(image: Path) -> None:
    done = subprocess.run(
        [image / "opt/edge/bin/edge", "version"], capture_output=True, text=True, timeout=60, check=True
    )
    assert re.search(r"\b0\.1\.0\b", done.stdout)


def test_the_installation_carries_the_filters_and_the_inner_host(image: Path) -> None:
    (package,) = (image / "opt/edge/lib").glob("python3*/site-packages/edge")
    modules = {str(path.relative_to(package)) for path in package.rglob("*.wasm")}
    committed = {str(path.relative_to(_TOP / "edge")) for path in (_TOP / "edge").rglob("*.wasm")}
    assert modules == committed
    assert {"builtin/api-key.wasm", "builtin/header-transform.wasm", "builtin/ab-split.wasm"} < modules


def test_the_last_stage_makes_a_state_folder_only_edge_may_read(image: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder to another user")
    _carry_out(_stages()[1], image)
    state = (image / "var/lib/edge").stat()
    assert (state.st_uid, state.st_gid, state.st_mode & 0o777) == (10001, 10001, 0o700)


def test_the_last_stage_has_no_compiler_and_no_root() -> None:
    build, last = _stages()
    assert build.base.endswith(" AS build")
    assert [
        rest for word, rest in last.lines if word in ("RUN", "COPY", "ADD") and _COMPILERS.search(rest)
    ] == []
    assert last.values("COPY") == ["--from=build /opt/edge /opt/edge"]
    (user,) = last.values("USER")
    assert int(user.partition(":")[0]) > 0
    after_user = [word for word, _ in last.lines[last.lines.index(("USER", user)) :]]
    assert "RUN" not in after_user


def test_the_command_of_the_image_is_one_that_edge_knows(image: Path) -> None:
    _, last = _stages()
    (entry,), (words,) = last.values("ENTRYPOINT"), last.values("CMD")
    command = [image / "opt/edge/bin" / json.loads(entry)[0], *json.loads(words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    # There is no configuration here, so it must get as far as saying so.
    assert done.returncode != 0
    assert "/etc/edge/edge.yaml" in done.stdout + done.stderr

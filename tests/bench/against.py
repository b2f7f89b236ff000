"""This tree beside the one of another commit: the same rows, run in turn, as ratios of pairs."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import venv
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.measure import Measured, Plan, measure
from tests.bench.peers import TOP, Peer, edge
from tests.bench.rows import Figure, Row
from tests.bench.world import World

PAIRS = 7
"""As few pairs as a median of ratios may be taken of."""
BOUND = 1.03
"""What a row may cost, of what it cost before."""
REPORTED = frozenset((Figure.CPU, Figure.ADDED, Figure.MEMORY, Figure.WORKER_MEMORY))
"""What is compared unless rows are named: a percentile needs a machine of its own."""
_INSTALL_S = 900.0
_BEFORE = "before"
_NOW = "now"
_MISSED = "MISSED"


def compare(
    rows: Sequence[Row], ref: str, folder: Path, plan: Plan, bound: float
) -> Iterator[dict[str, Any]]:
    """Row by row; `bound` is the ratio that is asked for. Raises CalledProcessError for an unknown `ref`."""
    top = folder / _BEFORE
    _unpack(ref, top)
    peers = [edge(_BEFORE, _interpreter(top, folder), top), edge(_NOW, Path(sys.executable), TOP)]
    world = World(folder)
    try:
        for row in rows:
            yield _summary(row, _measure(row, peers, world, plan), bound)
    finally:
        world.end()


def lines(data: dict[str, Any]) -> list[str]:
    """One row as text."""
    before, now = (data["values"][name] for name in (_BEFORE, _NOW))
    if not data["ratios"]:
        return [f"{data['title']:<44} –", *(f"    {failure}" for failure in data["failures"])]
    spread = f"{min(data['ratios']):.3f}–{max(data['ratios']):.3f}"
    head = f"{data['title']:<44} ratio {data['ratio']:.3f} ({spread}, {len(data['ratios'])} pairs)"
    figures = f"    {data['unit']}: before {median(before):.2f}, now {median(now):.2f}"
    errors = f"; ERRORS {data['errors']}" if data["errors"] else ""
    return [f"{head}  asked ≤ {data['bound']}: {data['verdict']}", figures + errors]


def is_passed(data: dict[str, Any]) -> bool:
    """Measured without errors, and not slower in every pair: a miss inside the spread is reported only."""
    return bool(data["ratios"]) and not data["errors"] and data["verdict"] != _MISSED


def _summary(row: Row, results: dict[str, Measured], bound: float) -> dict[str, Any]:
    before, now = results[_BEFORE], results[_NOW]
    failures = [f"{each.peer}: {each.failure}" for each in (before, now) if each.failure]
    pairs = [] if failures else zip(before.values, now.values, strict=True)
    ratios = [ours / theirs for theirs, ours in pairs if theirs]
    return {
        "name": row.name,
        "title": row.title,
        "unit": row.figure.value,
        "bound": bound,
        "ratio": median(ratios) if ratios else None,
        "ratios": ratios,
        "verdict": verdict(ratios, bound),
        "values": {each.peer: each.values for each in (before, now)},
        "errors": before.errors + now.errors,
        "failures": failures,
    }


def verdict(ratios: list[float], bound: float) -> str:
    if not ratios:
        return ""
    if median(ratios) <= bound:
        return "met"
    return "missed inside the spread" if min(ratios) <= bound else _MISSED


def _measure(row: Row, peers: list[Peer], world: World, plan: Plan) -> dict[str, Measured]:
    """Memory is that of processes which have done just this work, so each pair starts its own."""
    if row.figure not in (Figure.MEMORY, Figure.WORKER_MEMORY):
        return {each.peer: each for each in measure(row, peers, world, plan)}
    whole = {peer.name: Measured(peer.name) for peer in peers}
    for turn in range(plan.runs):
        for each in measure(row, peers[::-1] if turn % 2 else peers, world, plan):
            known = whole[each.peer]
            known.values += each.values
            known.errors += each.errors
            known.failure = known.failure or each.failure
    return whole


def _unpack(ref: str, top: Path) -> None:
    top.mkdir()
    archive = top.with_suffix(".tar")
    subprocess.run(["git", "archive", "-o", archive, ref], cwd=TOP, check=True)
    subprocess.run(["tar", "xf", archive, "-C", top], check=True)


def _interpreter(top: Path, folder: Path) -> Path:
    """Ours, if it has just what that tree asks for; else one made for it."""
    project = tomllib.loads((top / "pyproject.toml").read_text())["project"]
    if all(_has(requirement) for requirement in project["dependencies"]):
        return Path(sys.executable)
    target = folder / "venv"
    venv.create(target, with_pip=True)
    python = target / "bin" / "python"
    command = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *project["dependencies"]]
    subprocess.run(command, check=True, timeout=_INSTALL_S)
    return python


def _has(requirement: str) -> bool:
    name, _, pinned = requirement.partition("==")
    try:
        return version(name) == pinned
    except PackageNotFoundError:
        return False

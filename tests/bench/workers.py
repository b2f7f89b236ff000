"""One worker beside two: `python -m tests.bench.workers [--rows h1,wasm3] [--seconds 5] [--pairs 7]`.

What a request costs where two workers serve twice the connections of one, as ratios of pairs of
runs: each worker has the same to do, so what differs is what having company costs. Both share the
measured core. A report: status 1 only for errors.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median

from tests.bench.drive import drive
from tests.bench.peers import TOP, Peer, Server, edge
from tests.bench.rows import ROWS, Row
from tests.bench.world import World

PAIRS = 7
_WARM_S = 1.5


class _Side:
    """A running edge and what was measured of it."""

    def __init__(self, peer: Peer, row: Row, world: World) -> None:
        self.row = row
        self.values: list[float] = []
        self.errors = 0
        folder = world.unused(f"{row.name}-{peer.name}")
        self._server: Server = peer.serve(world, row.setting, folder)
        self._world = world

    def run(self, seconds: float) -> None:
        """Another value: µs of CPU a request."""
        world, group = self._world, self._server.group
        before = group.cpu_s()
        done = drive(self.row.load, self._server.port, seconds, world.load_core, world.folder)
        self.values.append((group.cpu_s() - before) / max(1, done.requests) * 1e6)
        self.errors += done.errors

    def end(self) -> None:
        self._server.group.end()


def main() -> int:
    options = _parse()
    errors = 0
    with tempfile.TemporaryDirectory(prefix="edge-bench-") as folder:
        world = World(Path(folder))
        try:
            for name in options.rows.split(","):
                sides = _compare(ROWS[name], world, options)
                errors += sum(side.errors for side in sides)
                print(_line(*sides, options.bound), flush=True)
        finally:
            world.end()
    return 1 if errors else 0


def _compare(row: Row, world: World, options: argparse.Namespace) -> tuple[_Side, _Side]:
    python = Path(sys.executable)
    doubled = replace(row, load=replace(row.load, connections=2 * row.load.connections))
    one = _Side(edge("one", python, TOP), row, world)
    two = _Side(edge("two", python, TOP, workers=2), doubled, world)
    try:
        for side in (one, two):
            side.run(_WARM_S)
            side.values.clear()
        for turn in range(options.pairs):
            for side in (two, one) if turn % 2 else (one, two):
                side.run(options.seconds)
    finally:
        one.end()
        two.end()
    return one, two


def _line(one: _Side, two: _Side, bound: float) -> str:
    ratios = [ours / theirs for theirs, ours in zip(one.values, two.values, strict=True)]
    verdict = "met" if median(ratios) <= bound else "inside the spread" if min(ratios) <= bound else "MISSED"
    errors = f"  ERRORS {one.errors + two.errors}" if one.errors or two.errors else ""
    spread = f"{min(ratios):.3f}–{max(ratios):.3f}, {len(ratios)} pairs"
    figures = f"µs {median(one.values):.2f} → {median(two.values):.2f}{errors}"
    return f"{one.row.title:<44} ratio {median(ratios):.3f} ({spread})  asked ≤ {bound}: {verdict}; {figures}"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.workers")
    parser.add_argument("--rows", default="h1,wasm3", help="comma-separated, of those that measure CPU")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each run")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="alternating; the median of ratios counts")
    parser.add_argument("--bound", type=float, default=1.05, help="the ratio that is asked for")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

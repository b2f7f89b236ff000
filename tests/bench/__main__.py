"""`python -m tests.bench [--rows h1,wasm3] [--peers envoy,edge] [--seconds 5] [--runs 3] [--json FILE]`.

Ends with status 1 when a run had errors or a server did not start; goals that are missed are shown.
`--rows floods` shows what another client feels of each flood, `--flood NAME` of one; status 1 when one of its
goals is missed.
`python -m tests.bench --against REF [--bound 1.03]` compares this tree with another commit of it, in at
least seven pairs a row; status 1 when the bound is missed by every pair, not for a miss inside the spread.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.bench import against, floods
from tests.bench.flooder import ATTACKS
from tests.bench.measure import Plan, measure
from tests.bench.peers import PEERS, Peer
from tests.bench.report import SUBJECT, is_sound, lines, machine, summary
from tests.bench.rows import ROWS, Row
from tests.bench.world import World

_MEMORY_REQUESTS = 100_000
_MEMORY_REQUESTS_LONG = 1_000_000
_MEMORY_REQUESTS_PAIR = 50_000
_RUNS = 3
_FLOODS = "floods"
_Run = Callable[[argparse.Namespace, Path], Iterator[tuple[dict[str, Any], list[str]]]]


def main() -> int:
    options = _parse()
    data: dict[str, Any] = {**machine(), "seconds": options.seconds, "rows": []}
    with tempfile.TemporaryDirectory(prefix="edge-bench-") as folder:
        run, is_passed = _work(options)
        for row, text in run(options, Path(folder)):
            data["rows"].append(row)
            print("\n".join(text), flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps(data, indent=1) + "\n")
    return 0 if all(is_passed(row) for row in data["rows"]) else 1


def _work(options: argparse.Namespace) -> tuple[_Run, Callable[[dict[str, Any]], bool]]:
    """What is run, and whether a row of it is good enough."""
    if options.against:
        return _against, against.is_passed
    if options.rows == _FLOODS:
        return _floods, floods.is_met
    return _beside_peers, is_sound


def _beside_peers(options: argparse.Namespace, folder: Path) -> Iterator[tuple[dict[str, Any], list[str]]]:
    peers = [PEERS[name] for name in options.peers.split(",")]
    memory_requests = _MEMORY_REQUESTS_LONG if options.long else _MEMORY_REQUESTS
    plan = Plan(options.seconds, options.runs or _RUNS, memory_requests)
    world = World(folder)
    try:
        for row in _rows(options.rows or ",".join(ROWS)):
            results = measure(row, [peer for peer in peers if _takes(peer, row)], world, plan)
            data = summary(row, results)
            yield data, lines(data)
    finally:
        world.end()


def _takes(peer: Peer, row: Row) -> bool:
    return peer.name == SUBJECT if row.alone else peer.takes(row.setting)


def _against(options: argparse.Namespace, folder: Path) -> Iterator[tuple[dict[str, Any], list[str]]]:
    compared = ",".join(name for name, row in ROWS.items() if row.figure in against.REPORTED)
    plan = Plan(options.seconds, max(options.runs or 0, against.PAIRS), _MEMORY_REQUESTS_PAIR)
    for data in against.compare(
        _rows(options.rows or compared), options.against, folder, plan, options.bound
    ):
        yield data, against.lines(data)


def _floods(options: argparse.Namespace, folder: Path) -> Iterator[tuple[dict[str, Any], list[str]]]:
    for data in floods.measure(options.flood or [], folder, options.seconds, options.runs or _RUNS):
        yield data, floods.lines(data)


def _rows(names: str) -> list[Row]:
    return [ROWS[name] for name in names.split(",")]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--rows", help=f"comma-separated, of: {', '.join(ROWS)}; or {_FLOODS}")
    parser.add_argument("--flood", action="append", choices=ATTACKS, help="with --rows floods: only this one")
    parser.add_argument("--peers", default=",".join(PEERS), help="comma-separated; Envoy first")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each run")
    parser.add_argument("--runs", type=int, help="alternating runs, 3 (7 with --against); the median counts")
    parser.add_argument("--against", metavar="REF", help="compare with another commit in place of peers")
    parser.add_argument("--bound", type=float, default=against.BOUND, help="the ratio asked of --against")
    parser.add_argument("--long", action="store_true", help="10^6 requests in the memory row, not 10^5")
    parser.add_argument("--json", help="file to write all figures to")
    options = parser.parse_args()
    for kind, known in (("rows", ROWS), ("peers", PEERS)):
        unknown = set((getattr(options, kind) or "").split(",")) - {"", _FLOODS, *known}
        if unknown:
            parser.error(f"no such {kind}: {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    sys.exit(main())

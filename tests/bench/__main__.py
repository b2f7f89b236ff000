"""`python -m tests.bench [--rows h1,wasm3] [--peers envoy,edge] [--seconds 5] [--runs 3] [--json FILE]`.

Ends with status 1 when a run had errors or a server did not start; goals that are missed are shown.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.bench.measure import Plan, measure
from tests.bench.peers import PEERS
from tests.bench.report import is_sound, lines, machine, summary
from tests.bench.rows import ROWS
from tests.bench.world import World

_MEMORY_REQUESTS = 100_000
_MEMORY_REQUESTS_LONG = 1_000_000


def main() -> int:
    options = _parse()
    rows = [ROWS[name] for name in options.rows.split(",")]
    peers = [PEERS[name] for name in options.peers.split(",")]
    memory_requests = _MEMORY_REQUESTS_LONG if options.long else _MEMORY_REQUESTS
    plan = Plan(options.seconds, options.runs, memory_requests)
    data = {**machine(), "seconds": plan.seconds, "runs": plan.runs, "rows": []}
    with tempfile.TemporaryDirectory(prefix="edge-bench-") as folder:
        world = World(Path(folder))
        try:
            for row in rows:
                results = measure(row, [peer for peer in peers if peer.takes(row.setting)], world, plan)
                data["rows"].append(summary(row, results))
                print("\n".join(lines(data["rows"][-1])), flush=True)
        finally:
            world.end()
    if options.json:
        Path(options.json).write_text(json.dumps(data, indent=1) + "\n")
    return 0 if all(is_sound(row) for row in data["rows"]) else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--rows", default=",".join(ROWS), help=f"comma-separated, of: {', '.join(ROWS)}")
    parser.add_argument("--peers", default=",".join(PEERS), help="comma-separated; Envoy first")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each run")
    parser.add_argument("--runs", type=int, default=3, help="alternating runs; the median counts")
    parser.add_argument("--long", action="store_true", help="10^6 requests in the memory row, not 10^5")
    parser.add_argument("--json", help="file to write all figures to")
    options = parser.parse_args()
    for kind, known in (("rows", ROWS), ("peers", PEERS)):
        unknown = set(getattr(options, kind).split(",")) - set(known)
        if unknown:
            parser.error(f"no such {kind}: {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    sys.exit(main())

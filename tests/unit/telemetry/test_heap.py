"""The heap that batches of spans go through."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
import resource, sys
from edge.telemetry.heap import keep_spare
if not keep_spare():
    sys.exit("no glibc")
def batches(count):
    for _ in range(count):
        kept = [bytes(150_000) for _ in range(4)]
        del kept
batches(20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
batches(100)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults() -> int:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=60, check=True
    )
    return int(done.stdout)


def test_batches_after_the_first_cost_no_page_faults() -> None:
    # Without it there are some 15,000.
    assert _faults() < 1_000

"""The test command: every phase of `tests.phases`, each with its seconds and its counts.

`python -m tests` runs all, `python -m tests unit hostile` those; with `--long` they do as much as
`tests/amounts.py` says for it, and the phases that are only for it follow. The last line is
`N passed, N failed, N skipped`; the exit status is 1 when anything failed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tests.amounts import LONG
from tests.phases import LONG_PHASES, PHASES, Static, Suite

_TOP = Path(__file__).resolve().parent.parent


@dataclass
class Counts:
    """Outcomes; an error in a fixture is a failure."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def add(self, other: Counts) -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def _run(command: list[str], timeout_s: float) -> int:
    """Exit status of `command` with its output on ours; after `timeout_s` it and its children end."""
    process = subprocess.Popen([sys.executable, *command], cwd=_TOP, start_new_session=True)
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        print(f"longer than {timeout_s:.0f} s: ended", flush=True)
        return 124
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _static(phase: Static) -> Counts:
    status = _run(list(phase.arguments), phase.timeout_s)
    return Counts(passed=int(status == 0), failed=int(status != 0))


def _suite(phase: Suite) -> Counts:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = ["-m", "pytest", "-q", f"tests/{phase.name}", f"--junit-xml={report}"]
        if phase.processes:
            command += ["-n", str(phase.processes)]
        status = _run(command, phase.long_timeout_s if LONG else phase.timeout_s)
        counts = _read(report)
    if counts.passed + counts.failed < phase.floor:
        print(f"{phase.name}: only {counts.passed + counts.failed} tests ran, {phase.floor} are needed")
        counts.failed += 1
    elif status and not counts.failed:
        print(f"{phase.name}: pytest ended with status {status}")
        counts.failed += 1
    return counts


def _read(report: Path) -> Counts:
    """What pytest wrote down; nothing when it did not get so far."""
    if not report.exists():
        return Counts()
    suites = list(ElementTree.parse(report).getroot().iter("testsuite"))
    total, failed, skipped = (
        sum(int(suite.get(name, "0")) for suite in suites for name in names)
        for names in (("tests",), ("failures", "errors"), ("skipped",))
    )
    return Counts(passed=max(total - failed - skipped, 0), failed=failed, skipped=skipped)


def _chosen(names: list[str]) -> list[Static | Suite]:
    phases = [*PHASES, *(LONG_PHASES if LONG else ())]
    known = [phase.name for phase in phases]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SystemExit(f"no such phase: {', '.join(unknown)} (known: {', '.join(known)})")
    return [phase for phase in phases if not names or phase.name in names]


def main() -> int:
    """Run the phases named on the command line, or all."""
    names = sys.argv[1:]
    if "--long" in names and not LONG:
        # What reads it is imported by then, here and in every process of a phase.
        os.execve(
            sys.executable, [sys.executable, "-m", "tests", *names], {**os.environ, "EDGE_TEST_LONG": "1"}
        )
    names = [name for name in names if name != "--long"]
    totals = Counts()
    lines = []
    for phase in _chosen(names):
        print(f"\n=== {phase.name}", flush=True)
        start = time.monotonic()
        counts = _static(phase) if isinstance(phase, Static) else _suite(phase)
        totals.add(counts)
        lines.append(f"{phase.name:<12} {time.monotonic() - start:7.1f} s  {counts}")
        print(lines[-1], flush=True)
    print("\n=== all phases", *lines, sep="\n")
    print(totals)
    return 1 if totals.failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""What `python -m tests` runs, in order, and how much of it must at least have run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Static:
    """A program that judges the sources; it counts as one test. `arguments` are the interpreter's."""

    name: str
    arguments: tuple[str, ...]
    timeout_s: float = 300.0


@dataclass(frozen=True)
class Suite:
    """A folder of tests. Fewer than `floor` of them run and the phase fails: none may get lost.

    `processes` is how many share the work; 0 where tests measure time or start many programs.
    """

    name: str
    floor: int
    processes: int = 2
    timeout_s: float = 1800.0
    long_timeout_s: float = 3600.0
    """In the long run, where it does more: see `tests/amounts.py`."""


PHASES: tuple[Static | Suite, ...] = (
    Static("lint", ("-m", "ruff", "check", "-q", ".")),
    Static("types", ("-m", "mypy"), timeout_s=1200.0),
    Static("layers", ("-c", "from importlinter.cli import lint_imports_command as run; run()")),
    Suite("unit", floor=2950),
    Suite("contract", floor=240),
    Suite("property", floor=80, timeout_s=3600.0, long_timeout_s=7200.0),
    Suite("golden", floor=38),
    Suite("conformance", floor=295),
    Suite("hostile", floor=3000, processes=0, timeout_s=2700.0),
    Suite("integration", floor=1250, processes=0, timeout_s=5400.0, long_timeout_s=7200.0),
    Suite("examples", floor=22, processes=0),
)

LONG_PHASES: tuple[Static | Suite, ...] = ()
"""What only `python -m tests --long` runs, after all of the above: folders of tests that need hours."""

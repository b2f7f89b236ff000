"""What every test may use, and the list of skips that nobody can overlook."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import hypothesis
import pytest

from tests.amounts import LONG, amount
from tests.tools.ports import free_port as _free_port

# A run must not fail for an example that the one before it did not draw; the long run looks for such.
hypothesis.settings.register_profile("same", derandomize=True)
hypothesis.settings.register_profile("other", database=None, print_blob=True)
hypothesis.settings.load_profile("other" if LONG else "same")


@pytest.fixture
def free_port() -> int:
    """A TCP port on 127.0.0.1 that was free a moment ago."""
    return _free_port()


@pytest.fixture
def no_collector() -> Iterator[None]:
    """What goes during the test goes by count."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In the long run every property gets more examples, however many it asked for."""
    times = amount("examples of each property, times")
    if times == 1:
        return
    known: set[int] = set()
    for item in items:
        test = getattr(item, "function", None)
        given = getattr(test, "_hypothesis_internal_use_settings", None)
        if given is not None and id(test) not in known:
            known.add(id(test))
            more = hypothesis.settings(given, max_examples=given.max_examples * times)
            test._hypothesis_internal_use_settings = more  # type: ignore[union-attr]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line per reason of a skip, in words, after everything else."""
    reasons: dict[str, int] = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[reason] = reasons.get(reason, 0) + 1
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"NOT RUN ({count}): {reason}")

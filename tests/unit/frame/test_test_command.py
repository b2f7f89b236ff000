"""`python -m tests` itself: what it counts, and that it cannot be content with less."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import tests.__main__ as command
from tests.__main__ import Counts
from tests.amounts import AMOUNTS, LONG, amount
from tests.phases import LONG_PHASES, PHASES, Static, Suite

Outcome = Callable[..., None]

_REPORT = """<testsuites>
<testsuite tests="{tests}" failures="{failures}" errors="{errors}" skipped="{skipped}"/>
</testsuites>"""


@pytest.fixture
def pytest_writes(monkeypatch: pytest.MonkeyPatch) -> Outcome:
    """Puts a report and an exit status in the place of a run of pytest."""

    def arrange(status: int, **numbers: int) -> None:
        outcome = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0, **numbers}

        def run(arguments: list[str], _timeout_s: float) -> int:
            (report,) = (word.partition("=")[2] for word in arguments if word.startswith("--junit-xml="))
            if numbers:
                Path(report).write_text(_REPORT.format(**outcome))
            return status

        monkeypatch.setattr(command, "_run", run)

    return arrange


def test_a_green_suite_is_counted(pytest_writes: Outcome) -> None:
    pytest_writes(0, tests=12, skipped=2)
    assert command._suite(Suite("unit", floor=10)) == Counts(10, 0, 2)


def test_errors_count_as_failures(pytest_writes: Outcome) -> None:
    pytest_writes(1, tests=12, failures=1, errors=2)
    assert command._suite(Suite("unit", floor=10)) == Counts(9, 3, 0)


def test_skips_do_not_reach_the_floor(pytest_writes: Outcome) -> None:
    pytest_writes(0, tests=12, skipped=3)
    assert command._suite(Suite("unit", floor=10)) == Counts(9, 1, 3)


def test_a_run_that_broke_off_fails(pytest_writes: Outcome) -> None:
    pytest_writes(139)
    assert command._suite(Suite("unit", floor=0)) == Counts(0, 1, 0)


def test_a_status_without_a_failed_test_fails(pytest_writes: Outcome) -> None:
    pytest_writes(3, tests=12)
    assert command._suite(Suite("unit", floor=10)) == Counts(12, 1, 0)


def test_a_static_phase_counts_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_run", lambda arguments, _timeout_s: int(arguments == ["bad"]))
    assert command._static(Static("lint", ("good",))) == Counts(1, 0, 0)
    assert command._static(Static("lint", ("bad",))) == Counts(0, 1, 0)


def test_a_phase_that_never_ends_is_ended() -> None:
    assert command._run(["-c", "import signal; signal.pause()"], 0.5) == 124


def test_an_unknown_phase_is_named() -> None:
    with pytest.raises(SystemExit, match="no such phase: unti"):
        command._chosen(["unit", "unti"])


def test_phases_run_in_their_order() -> None:
    assert [phase.name for phase in command._chosen(["hostile", "lint"])] == ["lint", "hostile"]
    assert command._chosen([]) == [*PHASES, *(LONG_PHASES if LONG else ())]


def test_the_long_run_has_its_phases_behind_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    soak = Suite("soak", floor=1)
    monkeypatch.setattr(command, "LONG_PHASES", (soak,))
    monkeypatch.setattr(command, "LONG", False)
    assert command._chosen([]) == list(PHASES)
    monkeypatch.setattr(command, "LONG", True)
    assert command._chosen([]) == [*PHASES, soak]


def test_the_long_run_does_at_least_as_much_of_everything() -> None:
    assert all(0 < every_run <= long_run for every_run, long_run in AMOUNTS.values())
    fuzz = AMOUNTS["fuzz: conversations a protocol"]
    assert fuzz == (20_000, 200_000)
    assert amount("fuzz: conversations a protocol") == fuzz[LONG]


def test_continuous_integration_runs_the_command_of_the_readme() -> None:
    top = command._TOP
    readme = (top / "README.md").read_text()
    (tests,) = [line for line in readme.splitlines() if line.endswith(".venv/bin/python -m tests")]
    assert (top / ".ci" / "run").read_text().splitlines()[-1] == tests


def test_every_folder_of_tests_has_its_phase() -> None:
    folders = {
        path.parts[len(command._TOP.parts) + 1] for path in (command._TOP / "tests").rglob("test_*.py")
    }
    # The bench takes an hour and compares machines, not sources: it has a command of its own.
    assert folders - {"bench"} == {
        phase.name for phase in (*PHASES, *LONG_PHASES) if isinstance(phase, Suite)
    }


def test_the_last_line_is_plain(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, "PHASES", (Static("one", ()), Static("two", ())))
    monkeypatch.setattr(command, "LONG_PHASES", ())
    monkeypatch.setattr(command, "_run", lambda _arguments, _timeout_s: 0)
    monkeypatch.setattr("sys.argv", ["tests"])
    assert command.main() == 0
    assert capsys.readouterr().out.splitlines()[-1] == "2 passed, 0 failed, 0 skipped"

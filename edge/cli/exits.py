"""Exit codes of every command, and what each means; README.md and `edge --help` say the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from edge.control.config.problem import Problem

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_INVALID: Final = 3
"""The configuration."""
EXIT_DIFFERENT: Final = 4
EXIT_REFUSED: Final = 5
"""By policy: a module, for its digest, its ABI or its limits. Nothing else is wrong."""
EXIT_UNREACHABLE: Final = 6
"""The admin API."""
EXIT_INTERRUPTED: Final = 130

MEANINGS: Final = {
    EXIT_OK: "done",
    EXIT_FAILED: "failed",
    EXIT_USAGE: "wrong usage",
    EXIT_INVALID: "configuration invalid",
    EXIT_DIFFERENT: "difference found",
    EXIT_REFUSED: "refused by policy",
    EXIT_UNREACHABLE: "admin not reachable",
    EXIT_INTERRUPTED: "interrupted",
}


def told() -> str:
    """All of them, as the help has them."""
    return f"Exit codes: {', '.join(f'{code} {meaning}' for code, meaning in MEANINGS.items())}."


def exit_of(problems: Iterable[Problem]) -> int:
    """Of a configuration that is not taken: 5 if nothing is wrong but that modules are refused."""
    codes = {problem.code for problem in problems if problem.severity == "error"}
    return EXIT_REFUSED if codes == {"module"} else EXIT_INVALID

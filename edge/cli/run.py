"""`edge run`: a configuration file, served by a supervisor in this process."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path

import uvloop

from edge.cli.app import EXIT_INVALID, EXIT_USAGE
from edge.cli.compiling import compile_progress
from edge.cli.state import state_directory
from edge.control.config import Loaded, load
from edge.control.config.quantity import duration_s
from edge.control.supervisor import Options, Supervisor

ONE_WORKER = (
    "edge: --workers {} is refused: this version runs one worker. What filters share (shared data, "
    "queues) is not yet shared between workers, so more of them would give wrong answers."
)


def run_file(config: Path, workers: int, state_dir: Path | None, grace: str) -> int:
    """The exit code. Everything is said on stderr."""
    if workers != 1:
        print(ONE_WORKER.format(workers), file=sys.stderr)
        return EXIT_USAGE
    try:
        grace_s = duration_s(grace)
    except ValueError as error:
        print(f"edge: --grace: {error}", file=sys.stderr)
        return EXIT_USAGE
    loaded = load(config)
    problems = loaded.warnings if isinstance(loaded, Loaded) else loaded
    for problem in problems:
        print(problem.text(), file=sys.stderr)
    if not isinstance(loaded, Loaded):
        errors = sum(problem.severity == "error" for problem in problems)
        print(f"edge: {config} has {errors} error{'s' * (errors != 1)}; nothing is served", file=sys.stderr)
        return EXIT_INVALID
    return serve(loaded, state_dir, grace_s, announce)


def serve(
    loaded: Loaded,
    state_dir: Path | None,
    grace_s: float,
    on_ready: Callable[[Supervisor], None],
) -> int:
    """Run a supervisor to its end; the exit code."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="edge: %(message)s")
    options = Options(state_directory(state_dir), grace_s, on_ready, compile_progress())

    async def main() -> int:
        return await Supervisor(loaded, options).run()

    return uvloop.run(main())


def announce(supervisor: Supervisor) -> None:
    """Where it listens, one line each."""
    by_name = {listener.name: listener for listener in supervisor.loaded.root.listeners}
    for bound in supervisor.bound:
        scheme = "https" if by_name[bound.name].tls else "http"
        print(f"edge: {bound.name}: {scheme}://{bound.address}", file=sys.stderr)
    if supervisor.admin is not None:
        print(f"edge: admin: http://{supervisor.admin.address}/traces.html", file=sys.stderr)
    print("edge: ready", file=sys.stderr, flush=True)

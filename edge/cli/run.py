"""`edge run`: a configuration file, served by a supervisor in this process."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edge.cli.exits import EXIT_FAILED, EXIT_REFUSED, EXIT_USAGE, exit_of
from edge.cli.state import state_directory
from edge.control.config.quantity import duration_s
from edge.control.draft import Draft, Failed, Invalid, Outcome, Uncompiled
from edge.control.drafter import DraftingRoom
from edge.control.processors import usable

if TYPE_CHECKING:
    from edge.control.supervisor import Options, Supervisor

WORKERS_LIMIT = 128
"""A connection id's first byte has room for the number of a worker, twice over."""


def run_file(config: Path, workers: int, state_dir: Path | None, grace: str, watch: bool = False) -> int:
    """The exit code. Everything is said on stderr. `workers` 0 = one for each CPU we may use."""
    workers = workers or min(usable(), WORKERS_LIMIT)
    if not 1 <= workers <= WORKERS_LIMIT:
        print(f"edge: --workers {workers}: from 1 to {WORKERS_LIMIT}", file=sys.stderr)
        return EXIT_USAGE
    try:
        grace_s = duration_s(grace)
    except ValueError as error:
        print(f"edge: --grace: {error}", file=sys.stderr)
        return EXIT_USAGE
    with closing(DraftingRoom(state_directory(state_dir))) as room:
        outcome, descriptors = drafted(config, room)
        if not isinstance(outcome, Draft):
            return refused(outcome, config)
        from edge.control.supervisor import Options

        # By its whole path: a reload must not depend on where the process stands by then.
        make_drafter = partial(room.ask, config.absolute())
        options = Options(grace_s, workers, announce, make_drafter, lambda: room.pid, watch)
        return serve(outcome, descriptors, options)


def drafted(config: Path, room: DraftingRoom) -> tuple[Outcome, list[int]]:
    """The configuration as a child makes it; meanwhile this process gets ready to serve it."""
    drafter = room.ask(config)
    import edge.control.supervisor  # noqa: F401

    outcome, descriptors = drafter.result()
    if isinstance(outcome, Draft | Uncompiled):
        for problem in outcome.warnings:
            print(problem.text(), file=sys.stderr)
    return outcome, descriptors


def refused(outcome: Invalid | Uncompiled | Failed, config: Path) -> int:
    """Say why nothing is served; the exit code."""
    if isinstance(outcome, Invalid):
        for problem in outcome.problems:
            print(problem.text(), file=sys.stderr)
        errors = sum(problem.severity == "error" for problem in outcome.problems)
        print(f"edge: {config} has {errors} error{'s' * (errors != 1)}; nothing is served", file=sys.stderr)
        return exit_of(outcome.problems)
    lines = outcome.errors if isinstance(outcome, Uncompiled) else [outcome.reason]
    for line in lines:
        print(f"edge: {line}", file=sys.stderr)
    return EXIT_REFUSED if isinstance(outcome, Uncompiled) else EXIT_FAILED


def serve(draft: Draft, descriptors: list[int], options: Options) -> int:
    """Run a supervisor to its end; the exit code."""
    import uvloop

    from edge.control.supervisor import Supervisor

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="edge: %(message)s")

    async def main() -> int:
        return await Supervisor(draft, descriptors, options).run()

    try:
        return uvloop.run(main())
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def announce(supervisor: Supervisor) -> None:
    """Where it listens, one line each."""
    secure = {listener.name for listener in supervisor.draft.model.listeners if listener.certificates}
    for bound in supervisor.bound:
        scheme = "https" if bound.name in secure else "http"
        print(f"edge: {bound.name}: {scheme}://{bound.address}", file=sys.stderr)
    if supervisor.admin is not None:
        print(f"edge: admin: http://{supervisor.admin.address}/traces.html", file=sys.stderr)
    print("edge: ready", file=sys.stderr, flush=True)

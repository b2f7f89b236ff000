"""The demo from start to end."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import uvloop

from edge.cli.app import EXIT_FAILED
from edge.cli.compiling import compile_progress
from edge.cli.demo.authority import Files, local_certificate
from edge.cli.demo.setup import write_config
from edge.cli.demo.shop import Shop
from edge.cli.demo.tour import tour
from edge.cli.state import state_directory
from edge.control.config import Loaded, load
from edge.control.supervisor import Options, Supervisor

GRACE_S = 2.0


def run_demo(state_dir: Path | None) -> int:
    """Serve until a signal; the exit code."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="edge: %(message)s")
    state = state_directory(state_dir)
    folder = state / "demo"
    folder.mkdir(mode=0o700, exist_ok=True)
    return uvloop.run(_serve(state, folder, local_certificate(folder)))


async def _serve(state: Path, folder: Path, files: Files) -> int:
    shops = [Shop("v1"), Shop("v2")]
    for shop in shops:
        await shop.start()
    loaded = load(write_config(folder, files, shops[0].port, shops[1].port))
    if not isinstance(loaded, Loaded):
        for problem in loaded:
            print(problem.text(), file=sys.stderr)
        return EXIT_FAILED

    def announce(supervisor: Supervisor) -> None:
        ports = {bound.name: bound.address.port for bound in supervisor.bound}
        assert supervisor.admin is not None
        print(
            tour(ports["web"], ports["websecure"], supervisor.admin.address.port, folder, files.ca),
            flush=True,
        )

    print("edge: starting; the first start compiles the filters", file=sys.stderr, flush=True)
    try:
        return await Supervisor(loaded, Options(state, GRACE_S, announce, compile_progress())).run()
    finally:
        for shop in shops:
            shop.stop()

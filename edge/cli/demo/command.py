"""The demo from start to end."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from edge.cli.demo.authority import local_certificate
from edge.cli.demo.setup import write_config
from edge.cli.demo.shop import Shop
from edge.cli.demo.tour import tour
from edge.cli.run import drafted, refused
from edge.cli.state import state_directory
from edge.control.draft import Draft
from edge.control.drafter import DraftingRoom

if TYPE_CHECKING:
    from edge.control.supervisor import Supervisor

GRACE_S = 2.0


def run_demo(state_dir: Path | None) -> int:
    """Serve until a signal; the exit code."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="edge: %(message)s")
    state = state_directory(state_dir)
    folder = state / "demo"
    folder.mkdir(mode=0o700, exist_ok=True)
    files = local_certificate(folder)
    shops = [Shop("v1"), Shop("v2")]
    config = write_config(folder, files, shops[0].port, shops[1].port)
    print("edge: starting; the first start compiles the filters", file=sys.stderr, flush=True)
    with closing(DraftingRoom(state)) as room:
        outcome, descriptors = drafted(config, room)
    if not isinstance(outcome, Draft):
        return refused(outcome, config)

    def announce(supervisor: Supervisor) -> None:
        ports = {bound.name: bound.address.port for bound in supervisor.bound}
        assert supervisor.admin is not None
        print(
            tour(ports["web"], ports["websecure"], supervisor.admin.address.port, folder, files.ca),
            flush=True,
        )

    async def serve() -> int:
        from edge.control.supervisor import Options, Supervisor

        for shop in shops:
            await shop.start()
        try:
            return await Supervisor(outcome, descriptors, Options(GRACE_S, on_ready=announce)).run()
        finally:
            for shop in shops:
                shop.stop()

    try:
        return uvloop.run(serve())
    finally:
        for descriptor in descriptors:
            os.close(descriptor)

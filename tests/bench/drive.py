"""Load by the tool that a row names."""

from __future__ import annotations

from pathlib import Path

from tests.bench import streams, wrk
from tests.bench.wrk import SCRIPTS, Load, Result

_TOOLS = {"h2": streams.drive_h2, "h3": streams.drive_h3, "grpc": streams.drive_grpc}


def drive(load: Load, port: int, seconds: float, core: int, folder: Path) -> Result:
    """Run `load` against 127.0.0.1:`port`, pinned to `core`; `folder` is for what the tool needs."""
    tool = _TOOLS.get(load.protocol)
    if tool is None:
        return wrk.drive(load, port, seconds, core, folder)
    return tool(load, port, seconds, core, folder, SCRIPTS / f"{load.script}.lua")

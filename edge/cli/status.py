"""`edge status`: how a running edge is."""

from __future__ import annotations

import json
import time
from typing import Any

from edge.cli.admin_client import NotReachable, ask, tell
from edge.cli.exits import EXIT_FAILED, EXIT_OK, EXIT_UNREACHABLE, EXIT_USAGE


def show_status(admin: str, output: str) -> int:
    """The exit code: 0 serving, 1 not ready, 6 nobody answers."""
    try:
        _, state = ask(admin, "/ready")
    except NotReachable as error:
        tell(error)
        return EXIT_UNREACHABLE
    except ValueError as error:
        tell(error)
        return EXIT_USAGE
    print(json.dumps(state, ensure_ascii=False, indent=1) if output == "json" else text(state, time.time()))
    return EXIT_OK if state.get("ready") else EXIT_FAILED


def text(state: dict[str, Any], now: float) -> str:
    """For people. `now` is Unix time."""
    lines = [
        f"ready     {'yes' if state['ready'] else 'no'}",
        f"version   {state['version']}",
        f"revision  {state['revision']}",
        f"up        {_span(now - state['startedAt'])}",
    ]
    reload = state.get("reload") or {}
    if reload.get("error"):
        lines.append(f"reload    failed: {reload['error']}")
    workers = state["workers"]
    lines.append(f"workers   {len(workers)}")
    lines += [
        f"  {each['number']:<3} {each['state']:<9} pid {each['pid']:<8} restarts {each['restarts']:<4} "
        f"connections {each['connections']:<6} requests {each['exchanges']}"
        for each in workers
    ]
    return "\n".join(lines)


def _span(seconds: float) -> str:
    seconds = max(int(seconds), 0)
    for size, unit, smaller, rest in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if seconds >= size:
            return f"{seconds // size}{unit}{seconds % size // smaller}{rest}"
    return f"{seconds}s"

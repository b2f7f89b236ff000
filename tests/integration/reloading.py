"""A running edge whose files are rewritten."""

from __future__ import annotations

import json
import re
import signal
from collections import Counter
from typing import Any

from tests.integration.running_edge import EdgeProcess, within

RELOAD_S = 60.0
_ENDED = re.compile(r"^edge: reload: (\w+)[,;] revision \d+.*\n", re.M)


def stamping(number: int) -> list[dict[str, Any]]:
    """Filters of a rule that write `number` into the request and into the response."""
    return [
        {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [_pair("x-asked", number)]}},
        {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [_pair("x-answered", number)]}},
    ]


def _pair(name: str, value: int) -> dict[str, str]:
    return {"name": name, "value": str(value)}


class Reloading:
    """Reloads of `edge`, one after the other."""

    def __init__(self, edge: EdgeProcess) -> None:
        self.edge = edge

    @property
    def attempts(self) -> Counter[str]:
        """Reloads so far, by result, as the log tells: asking admin all the time would slow them down."""
        return Counter(_ENDED.findall(self.edge.errors))

    @property
    def listeners(self) -> dict[str, int]:
        """Ports by name."""
        shown = json.loads(self.edge.get("/config"))["listeners"]
        return {name: int(address.rpartition(":")[2]) for name, address in shown.items()}

    def apply(self, config: dict[str, Any]) -> None:
        """A good one: it serves afterwards."""
        self.push(json.dumps(config))
        assert _ENDED.findall(self.edge.errors)[-1] == "applied", self.edge.errors

    def push(self, text: str) -> None:
        """Put the file in place at once, and reload."""
        file = self.edge.folder / "edge.yaml"
        fresh = file.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(file)
        self.reload()

    def reload(self) -> None:
        """Ask for it, and wait until it is over."""
        before = self.attempts.total()
        self.edge.process.send_signal(signal.SIGHUP)
        for _ in within(RELOAD_S, f"the reload is over: {self.edge.errors}"):
            if self.attempts.total() > before:
                return

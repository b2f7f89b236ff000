"""A running edge whose files are rewritten."""

from __future__ import annotations

import json
import signal
from typing import Any

from tests.integration.running_edge import EdgeProcess, within

RELOAD_S = 60.0


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
    def attempts(self) -> dict[str, float]:
        """Reloads so far, by result."""
        lines = self.edge.get("/metrics").decode().splitlines()
        found = [line for line in lines if line.startswith("edge_config_reloads_total{")]
        return {line.split('"')[1]: float(line.rpartition(" ")[2]) for line in found}

    @property
    def listeners(self) -> dict[str, int]:
        """Ports by name."""
        shown = json.loads(self.edge.get("/config"))["listeners"]
        return {name: int(address.rpartition(":")[2]) for name, address in shown.items()}

    def apply(self, config: dict[str, Any]) -> None:
        """A good one: it serves afterwards."""
        self.push(json.dumps(config))
        last = json.loads(self.edge.get("/config"))["reload"]["history"][0]
        assert last["result"] == "applied", last

    def push(self, text: str) -> None:
        """Put the file in place at once, and reload."""
        file = self.edge.folder / "edge.yaml"
        fresh = file.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(file)
        self.reload()

    def reload(self) -> None:
        """Ask for it, and wait until it is over."""
        before = sum(self.attempts.values())
        self.edge.process.send_signal(signal.SIGHUP)
        for _ in within(RELOAD_S, f"the reload is over: {self.edge.errors}"):
            if sum(self.attempts.values()) > before:
                return

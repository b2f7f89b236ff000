"""The table of the bench: which work, what is measured, which ratio to Envoy is the goal."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from tests.bench.peers import Setting
from tests.bench.wrk import Load

LIGHT3 = ("light",) * 3
PLAIN = Load()


class Figure(Enum):
    """What a row measures, with its unit."""

    CPU = "µs of CPU a request"
    ADDED = "µs of CPU a request that one filter more adds"
    MEMORY = "MiB after the requests"
    LATENCY = "ms at the 99th percentile"


@dataclass(frozen=True)
class Row:
    """`goal` bounds edge's figure divided by Envoy's; None = reported only."""

    name: str
    title: str
    setting: Setting
    load: Load = PLAIN
    goal: float | None = None
    figure: Figure = Figure.CPU
    base: Setting | None = None
    """For ADDED: the same without the three filters whose share is measured."""


ROWS = {
    row.name: row
    for row in (
        Row("h1", "H1, 32 connections, no filters", Setting(), goal=1.0),
        Row("wasm3", "H1, three Proxy-Wasm filters", Setting(LIGHT3), goal=1.0),
        Row("traced", "the same, every request traced", Setting(LIGHT3, traced=True), goal=1.3),
        Row(
            "more3",
            "one Proxy-Wasm filter more, 3 host calls",
            Setting(LIGHT3 + ("light",) * 3),
            goal=1.0,
            figure=Figure.ADDED,
            base=Setting(LIGHT3),
        ),
        Row(
            "more18",
            "one Proxy-Wasm filter more, 18 host calls",
            Setting(LIGHT3 + ("heavy",) * 3),
            goal=0.7,
            figure=Figure.ADDED,
            base=Setting(LIGHT3),
        ),
        Row("down64k", "response body of 64 KiB", Setting(), Load(path="/files/64k.bin"), 1.1),
        Row("down10m", "response body of 10 MiB", Setting(), Load(path="/files/10m.bin", connections=4), 1.1),
        Row("up64k", "request body of 64 KiB", Setting(), Load("upload", "/upload", 32, 64 << 10), 1.1),
        Row("up10m", "request body of 10 MiB", Setting(), Load("upload", "/upload", 4, 10 << 20), 1.1),
        Row("tls", "a new TLS connection per request", Setting(tls=True), Load("close", tls=True), 1.5),
        Row("memory", "memory, three filters", Setting(LIGHT3), goal=1.0, figure=Figure.MEMORY),
        Row("one", "H1, one field instead of twelve", Setting(), Load("one")),
        Row("p99", "p99 at half of Envoy's peak", Setting(), figure=Figure.LATENCY),
    )
}

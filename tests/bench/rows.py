"""The table of the bench: which work, what is measured, which ratio to Envoy is the goal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from tests.bench.peers import Setting
from tests.bench.wrk import Load

LIGHT3 = ("light",) * 3
PLAIN = Load()
H2 = Setting(tls=True, protocol="h2")
H3 = Setting(tls=True, protocol="h3")
GRPC = Setting(tls=True, protocol="h2", grpc=True)


def _h2(connections: int, streams: int, path: str = Load.path, upload_bytes: int = 0) -> Load:
    return _streams("h2", connections, streams, path, upload_bytes)


def _h3(connections: int, streams: int, path: str = Load.path, upload_bytes: int = 0) -> Load:
    return _streams("h3", connections, streams, path, upload_bytes)


def _streams(protocol: str, connections: int, streams: int, path: str, upload_bytes: int) -> Load:
    return Load(
        "upload" if upload_bytes else "twelve",
        path,
        connections,
        upload_bytes,
        tls=True,
        protocol=protocol,
        streams=streams,
    )


class Figure(Enum):
    """What a row measures, with its unit."""

    CPU = "µs of CPU a request"
    ADDED = "µs of CPU a request that one filter more, or all routes more, add"
    MEMORY = "MiB after the requests"
    WORKER_MEMORY = "MiB of the busiest process after the requests"
    LATENCY = "ms at the 99th percentile"
    RELOAD = "s from the change of a watched file to the first answer by it"
    START = "s from the start of the process to its first answer"


@dataclass(frozen=True)
class Row:
    """`goal` bounds edge's figure divided by Envoy's, or, where edge is `alone`, the figure itself.

    None = reported only.
    """

    name: str
    title: str
    setting: Setting
    load: Load = PLAIN
    goal: float | None = None
    figure: Figure = Figure.CPU
    base: Setting | None = None
    """For ADDED: the same without the three filters whose share is measured, or without the routes."""

    @property
    def alone(self) -> bool:
        """Whether peers have nothing like it."""
        return self.figure in (Figure.RELOAD, Figure.START)


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
        *(
            Row(
                f"routes{count // 1000}k",
                f"{count} routes instead of one; edge's goal is {goal} µs",
                Setting(routes=count),
                Load(paths=count),
                figure=Figure.ADDED,
                base=Setting(),
            )
            for count, goal in ((1000, 3), (10_000, 6))
        ),
        Row("down64k", "response body of 64 KiB", Setting(), Load(path="/files/64k.bin"), 1.1),
        Row("down10m", "response body of 10 MiB", Setting(), Load(path="/files/10m.bin", connections=4), 1.1),
        Row("up64k", "request body of 64 KiB", Setting(), Load("upload", "/upload", 32, 64 << 10), 1.1),
        Row("up10m", "request body of 10 MiB", Setting(), Load("upload", "/upload", 4, 10 << 20), 1.1),
        Row("tls", "a new TLS connection per request", Setting(tls=True), Load("close", tls=True), 1.5),
        Row("h2x10", "H2, 8 connections × 10 streams", H2, _h2(8, 10), 1.0),
        Row("h2x1", "H2, 32 connections × 1", H2, _h2(32, 1), 1.0),
        Row("h2wasm3", "H2, three Proxy-Wasm filters", replace(H2, filters=LIGHT3), _h2(8, 10), 1.0),
        Row("h2down1m", "H2, response body of 1 MiB", H2, _h2(4, 2, "/files/1m.bin"), 1.3),
        Row("h2up1m", "H2, request body of 1 MiB", H2, _h2(4, 2, "/upload", 1 << 20), 1.3),
        Row(
            "grpc",
            "gRPC unary, 8 connections × 10 calls",
            GRPC,
            Load(connections=8, tls=True, protocol="grpc", streams=10),
            1.2,
        ),
        Row("h3x8", "H3, 4 connections × 8 streams", H3, _h3(4, 8), 1.4),
        Row("h3x1", "H3, 16 connections × 1", H3, _h3(16, 1), 2.2),
        Row("h3down1m", "H3, response body of 1 MiB", H3, _h3(4, 2, "/files/1m.bin")),
        Row("h3up1m", "H3, request body of 1 MiB", H3, _h3(4, 2, "/upload", 1 << 20)),
        Row("memory", "memory, three filters", Setting(LIGHT3), goal=1.0, figure=Figure.MEMORY),
        Row(
            "worker",
            "memory of a worker, three filters",
            Setting(LIGHT3),
            figure=Figure.WORKER_MEMORY,
        ),
        Row("one", "H1, one field instead of twelve", Setting(), Load("one")),
        Row("reload10k", "one route of 10000 changes", Setting(routes=10_000), PLAIN, 1.0, Figure.RELOAD),
        Row("coldstart", "start, filters compiled before", Setting(LIGHT3), PLAIN, 1.5, Figure.START),
        Row("p99", "p99 at half of Envoy's peak", Setting(), figure=Figure.LATENCY),
    )
}

"""Clients and upstreams that break off anywhere, many at once: edge lets go of everything."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.amounts import amount
from tests.integration.authority import HOSTS, Authority
from tests.integration.raw_client import RawClient, request
from tests.integration.running_edge import (
    EdgeProcess,
    configuration,
    rule,
    running_edge,
    secured,
    through,
    within,
)
from tests.integration.scripted_upstream import Conversation, reply, scripted

SEED = 20261123
OPERATIONS = amount("storm: operations")
TOGETHER = 40
KEY = b"x-api-key: k"
_BODY = b"b" * 100_000
_WAIT_S = 60.0


async def _moody(it: Conversation) -> None:
    """Answers as the path says."""
    while True:
        head = await it.head()
        way = head.target.rsplit(b"/", 1)[1]
        if way == b"early":
            await it.send(reply(b"early"))
            return
        if way == b"dies":
            return
        await it.read_body(head)
        if way == b"half":
            await it.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n" + _BODY[:50_000])
            return
        if way == b"chunks":
            await it.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            for _ in range(10):
                await it.send(b"2710\r\n" + _BODY[:10_000] + b"\r\n")
            await it.send(b"0\r\n\r\n")
        else:
            await it.send(reply(_BODY))


@pytest.fixture(scope="module")
def edge(
    tmp_path_factory: pytest.TempPathFactory, edge_state: Path, authority: Authority
) -> Iterator[EdgeProcess]:
    variants = [{"name": "only", "weight": 1, "backend": "up"}]
    chain = [
        {"name": "who", "module": "key", "config": {"keys": {"k": "alice"}}},
        {"name": "polish", "module": "headers", "config": {"response": {"set": {"x-a": "${status}"}}}},
        {"name": "ab", "module": "split", "config": {"variants": variants}, "allow": {"backends": ["up"]}},
    ]
    with scripted(_moody) as upstream:
        config = configuration(
            {"up": [upstream.port]},
            [rule("up"), rule("up", "/filtered", filters=[through("all")])],
            modules={
                "key": {"builtin": "api-key"},
                "headers": {"builtin": "header-transform"},
                "split": {"builtin": "ab-split"},
            },
            filterChains={"all": chain},
            telemetry={"accessLog": {"path": "access.log"}, "tracing": {"sampler": {"ratio": 0.5}}},
        )
        secured(config, authority.listener())
        with running_edge(tmp_path_factory.mktemp("storm"), config, edge_state) as edge:
            yield edge


class _Storm:
    """`outcomes` counts how each operation ended, as far as the client can tell."""

    def __init__(self, edge: EdgeProcess, tls: ssl.SSLContext) -> None:
        self.outcomes: Counter[str] = Counter()
        self._edge = edge
        self._tls = tls
        self._random = random.Random(SEED)

    async def run(self) -> None:
        left = iter(range(OPERATIONS))

        async def worker() -> None:
            for _ in left:
                self.outcomes[await asyncio.wait_for(self._operation(), _WAIT_S)] += 1

        await asyncio.gather(*(worker() for _ in range(TOGETHER)))

    async def _operation(self) -> str:
        choose = self._random
        secure = choose.random() < 0.3
        prefix = choose.choice((b"", b"/filtered"))
        way = choose.choice((b"whole", b"chunks", b"half", b"early", b"dies"))
        data = self._request(prefix + b"/" + way)
        cut = choose.choice((None, None, None, choose.randrange(1, len(data))))
        read = choose.choice((None, None, 0, choose.randrange(1, 100_000)))
        reset = choose.random() < 0.5
        port = self._edge.ports["secure"] if secure else self._edge.web
        try:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1",
                port,
                ssl=self._tls if secure else None,
                server_hostname=HOSTS[0] if secure else None,
            )
        except OSError:
            return "not connected"
        try:
            return await self._talk(reader, writer, data[:cut], read if cut is None else 0)
        except (OSError, asyncio.IncompleteReadError):
            return "cut by edge"
        finally:
            if reset:
                sock: socket.socket = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    def _request(self, target: bytes) -> bytes:
        kind = self._random.randrange(3)
        close = b"connection: close"
        if kind == 0:
            return request(target, KEY, close)
        if kind == 1:
            length = b"content-length: %d" % len(_BODY)
            return request(target, KEY, close, length, method=b"POST", body=_BODY)
        chunks = b"186a0\r\n" + _BODY + b"\r\n0\r\n\r\n"
        return request(target, KEY, close, b"transfer-encoding: chunked", method=b"POST", body=chunks)

    @staticmethod
    async def _talk(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes, read: int | None
    ) -> str:
        """`read` None = to the end, 0 = nothing."""
        writer.write(data)
        if read == 0:
            return "left at once"
        if read is not None:
            await reader.read(read)
            return "left in the answer"
        head = await reader.readuntil(b"\r\n\r\n")
        while await reader.read(1 << 16):
            pass
        return head.split(b" ")[1].decode()


def test_whoever_breaks_off_edge_lets_go_of_everything(edge: EdgeProcess, authority: Authority) -> None:
    storm = _Storm(edge, authority.client())
    asyncio.run(storm.run())
    assert storm.outcomes.total() == OPERATIONS
    assert storm.outcomes["not connected"] == 0
    assert set(storm.outcomes) - {"left at once", "left in the answer", "cut by edge"} == {"200", "502"}
    assert storm.outcomes["200"] > OPERATIONS / 10
    for _ in within(60, "no connection and no exchange is left"):
        (worker,) = edge.state()["workers"]
        if (worker["connections"], worker["exchanges"]) == (0, 0):
            break
    edge.check_sound()
    with RawClient(edge.web) as client:
        for prefix in (b"", b"/filtered"):
            assert client.exchange(request(prefix + b"/whole", KEY)).body == _BODY
    statuses = Counter(line["status"] for line in edge.access_log())
    assert set(statuses) <= {200, 400, 408, 499, 502}
    assert statuses.total() > OPERATIONS / 2

"""F6: ten thousand responses, most of them wrong; none of them answers another request."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random
from typing import Final

from edge import model
from edge.exchange.deadlines import Deadlines
from edge.head import RequestHead
from edge.upstream import Cluster, TcpDialer
from tests.integration.upstream_exchange import Exchange, run, until

REQUESTS: Final = 10_000
AT_ONCE: Final = 8
SMUGGLED: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison"


def _answer(number: int, body: bytes) -> tuple[bytes, bytes, bool]:
    """A response, what is behind it, and whether the client may get a 200 of it."""
    length = b"content-length: %d\r\n" % len(body)
    good = b"HTTP/1.1 200 OK\r\n" + length + b"\r\n" + body
    chunked = b"transfer-encoding: chunked\r\n"
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    head = b"HTTP/1.1 200 OK\r\n"
    return [
        (good, b"", True),
        (good, SMUGGLED, True),
        (head + chunked + b"\r\n" + chunks, SMUGGLED, True),
        (head + length + b"content-length: 999\r\n\r\n" + body, SMUGGLED, False),
        (head + length + chunked + b"\r\n" + chunks, SMUGGLED, False),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 17, SMUGGLED, False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", SMUGGLED, False),
        (b"HTTP/1.1 304 Not Modified\r\n" + length + b"\r\n", body + SMUGGLED, False),
        (head + b"content-length: -1\r\n\r\n", SMUGGLED, False),
        (head + chunked + b"\r\n5\r\nwrong!\r\n0\r\n\r\n", SMUGGLED, False),
        (b"HTTP/1.0 200 OK\r\n" + length + b"\r\n" + body, SMUGGLED, True),
        (b"\r\n\r\n" + good, SMUGGLED, False),
    ][number % 12]


class Upstream:
    """Sends it at once or in two pieces.

    The cut is never just behind a whole response: what comes later then is by nothing else than its
    time not the answer to the next request, and no proxy can tell.
    """

    def __init__(self) -> None:
        self._chance = Random(6)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                number = int(head.split(b" ", 2)[1][1:])
                response, behind, _ = _answer(number, b"%d" % number)
                data = response + behind
                cut = self._chance.choice([len(data), self._chance.randrange(1, len(data))])
                cut += cut == len(response)
                writer.write(data[:cut])
                await writer.drain()
                if cut < len(data):
                    await asyncio.sleep(0)
                    writer.write(data[cut:])
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def test_f6_no_response_answers_another_request() -> None:
    async def case() -> None:
        loop = asyncio.get_running_loop()
        before = asyncio.all_tasks()
        server = await asyncio.start_server(Upstream().serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        endpoints = [model.Endpoint(host="127.0.0.1", port=port)]
        cluster = Cluster(
            model.Cluster(name="shop", endpoints=endpoints, connect_timeout_s=10.0),
            TcpDialer(loop),
            Deadlines(loop.time, loop.call_later),
            loop.time,
            model.Limits(),
        )
        seen: Counter[str] = Counter()

        async def ask(first: int) -> None:
            for number in range(first, REQUESTS, AT_ONCE):
                exchange = Exchange()
                head = RequestHead(b"GET", b"http", b"shop.example", b"/%d" % number, [])
                cluster.dispatch(exchange, head, True, 0.0)
                ended = await exchange.end()
                assert b"poison" not in exchange.body
                if ended == "ok" and exchange.status == 200:
                    assert exchange.body == b"%d" % number
                    assert _answer(number, b"%d" % number)[2], number
                seen[f"{ended} {exchange.status}"] += 1

        try:
            await asyncio.gather(*(ask(first) for first in range(AT_ONCE)))
        finally:
            cluster.close()
            server.close()
            await until(lambda: asyncio.all_tasks() <= before)
        assert seen.total() == REQUESTS
        assert seen["ok 200"] >= REQUESTS * 4 // 12
        assert seen["BadResponse 0"] >= REQUESTS * 5 // 12

    run(case)

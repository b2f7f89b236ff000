"""Upstream on real sockets: a sound server behind a proxy that misbehaves (hardening F1-F7, F9)."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import pytest

from edge import model
from edge.exchange.deadlines import Deadlines
from edge.head import Fields, RequestHead, ResponseHead
from edge.upstream import Callouts, Cluster, TcpDialer
from edge.upstream.request import PooledRequest
from tests.integration.fault_proxy import Fault, FaultProxy
from tests.integration.upstream_exchange import LIVENESS_S, Exchange, run, until
from tests.tools.ports import free_port

BODY = b"0123456789abcdef" * 4096
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n"


class Origin:
    """A small sound HTTP/1.1 server: GET gives BODY in chunks, POST its body's length back."""

    def __init__(self) -> None:
        self.posts = 0
        self.heads = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    def hang_up(self) -> None:
        """Close all connections, as a restart does."""
        for writer in self._writers:
            writer.close()

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.hang_up()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads += 1
                if head.startswith(b"POST"):
                    await self._post(head, reader, writer)
                elif head.startswith(b"GET /tunnel"):
                    writer.write(
                        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n"
                    )
                    while data := await reader.read(65536):
                        writer.write(data)
                    writer.write_eof()
                    return
                else:
                    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                    for at in range(0, len(BODY), 8192):
                        writer.write(b"2000\r\n" + BODY[at : at + 8192] + b"\r\n")
                    writer.write(b"0\r\nx-end: yes\r\n\r\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _post(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.posts += 1
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        answer = b"%d" % len(body)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(answer), answer))


class World:
    """An origin, fault proxies before it, and a cluster of them on the real loop."""

    def __init__(
        self, origin: Origin, proxies: list[FaultProxy], cluster: Cluster, dialer: TcpDialer
    ) -> None:
        self.origin = origin
        self.proxies = proxies
        self.cluster = cluster
        self.dialer = dialer

    def send(
        self, method: bytes = b"GET", path: bytes = b"/", timeout_s: float = 0.0, length: int | None = None
    ) -> tuple[PooledRequest, Exchange]:
        exchange = Exchange()
        head = RequestHead(method, b"http", b"shop.example", path, [], length)
        return self.cluster.dispatch(exchange, head, length is None, timeout_s), exchange

    @property
    def open(self) -> int:
        return sum(pool.open for pool in self.cluster.pools)


@asynccontextmanager
async def world(*faults: Fault, dead_ports: int = 0, **fields: Any) -> AsyncIterator[World]:
    """Fails when a task or a connection is left behind."""
    before = asyncio.all_tasks()
    loop = asyncio.get_running_loop()
    origin = Origin()
    port = await origin.start()
    proxies = [await FaultProxy(port, fault).__aenter__() for fault in faults]
    ports = [free_port() for _ in range(dead_ports)] + [proxy.port for proxy in proxies]
    cluster_model = model.Cluster(
        name="shop", endpoints=[model.Endpoint(host="127.0.0.1", port=p) for p in ports], **fields
    )
    dialer = TcpDialer(loop)
    deadlines = Deadlines(loop.time, loop.call_later)
    cluster = Cluster(cluster_model, dialer, deadlines, loop.time, model.Limits())
    here = World(origin, proxies, cluster, dialer)
    try:
        yield here
        assert not dialer.tasks
        cluster.close()
        assert here.open == 0
    finally:
        for proxy in proxies:
            await proxy.__aexit__()
        await origin.stop()
        await until(lambda: asyncio.all_tasks() <= before)


@pytest.mark.parametrize("slice_bytes", [0, 1000])
def test_many_requests_share_few_connections_and_come_whole(slice_bytes: int) -> None:
    async def case() -> None:
        async with world(Fault(slice_bytes=slice_bytes)) as here:
            for _ in range(5):
                sent = [here.send()[1] for _ in range(4)]
                assert [await exchange.end() for exchange in sent] == ["ok"] * 4
                assert all(exchange.body == BODY for exchange in sent)
                assert all(exchange.trailers == [(b"x-end", b"yes")] for exchange in sent)
            assert here.proxies[0].connections == 4

    run(case)


def test_a_large_upload_is_paused_and_arrives_whole() -> None:
    async def case() -> None:
        async with world(Fault()) as here:
            total = 8 << 20
            request, exchange = here.send(b"POST", length=total)
            sent = 0
            pauses = 0
            while sent < total:
                if exchange.paused:
                    pauses += 1
                    await until(lambda: not exchange.paused)
                request.send_data(b"x" * 65536, sent + 65536 == total)
                sent += 65536
            assert await exchange.end() == "ok"
            assert exchange.body == b"%d" % total
            assert pauses > 0

    run(case)


def test_with_one_of_two_endpoints_dead_no_request_fails_and_a_post_is_sent_once() -> None:
    """F1."""

    async def case() -> None:
        async with world(Fault(), dead_ports=1) as here:
            for _ in range(10):
                assert await here.send()[1].end() == "ok"
            request, exchange = here.send(b"POST", length=3)
            request.send_data(b"abc", True)
            assert await exchange.end() == "ok"
            assert here.origin.posts == 1

    run(case)


def test_when_all_endpoints_are_dead_the_answer_is_a_502() -> None:
    async def case() -> None:
        async with world(dead_ports=2) as here:
            request, exchange = here.send()
            assert await exchange.end() == "ConnectFailed"
            assert request.attempts == 2

    run(case)


def test_a_name_that_does_not_resolve_is_a_502() -> None:
    async def case() -> None:
        async with world() as here:
            loop = asyncio.get_running_loop()
            named = model.Cluster(name="n", endpoints=[model.Endpoint(host="no-such-host.invalid", port=80)])
            here.cluster = Cluster(
                named, here.dialer, Deadlines(loop.time, loop.call_later), loop.time, model.Limits()
            )
            assert await here.send()[1].end() == "ConnectFailed"
            await until(lambda: not here.dialer.tasks)

    run(case)


def test_an_upstream_that_hangs_is_a_504_in_time() -> None:
    """F2."""

    async def case() -> None:
        async with world(Fault(delay_s=60)) as here:
            began = time.monotonic()
            _, exchange = here.send(timeout_s=0.3)
            assert await exchange.end() == "UpstreamTimeout"
            assert time.monotonic() - began >= 0.3
            assert here.open == 0
            await until(lambda: here.proxies[0].open == 0)

    run(case)


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("close_after", [100, 30_000])
def test_an_upstream_that_dies_in_the_body_never_ends_cleanly(reset: bool, close_after: int) -> None:
    """F3, F4."""

    async def case() -> None:
        async with world(Fault(close_after=close_after, reset=reset)) as here:
            _, exchange = here.send()
            assert await exchange.end() == "UpstreamClosed"
            assert exchange.status == 200
            assert here.origin.heads == 1

    run(case)


@pytest.mark.parametrize("reset", [False, True])
def test_a_new_connection_that_closes_before_the_first_byte_is_not_retried(
    reset: bool,
) -> None:
    async def case() -> None:
        async with world(Fault(close_after=0, reset=reset)) as here:
            request, exchange = here.send()
            assert await exchange.end() == "UpstreamClosed"
            assert (request.attempts, here.proxies[0].connections) == (1, 1)

    run(case)


def test_stale_connections_cost_no_get_and_no_post_is_sent_twice() -> None:
    """F7."""

    async def case() -> None:
        async with world(Fault()) as here:
            for _ in range(20):
                assert await here.send()[1].end() == "ok"
                here.origin.hang_up()
                request, exchange = here.send()
                assert await exchange.end() == "ok"
                assert exchange.body == BODY
            assert here.origin.posts == 0
            request, exchange = here.send(b"POST", length=3)
            request.send_data(b"abc", True)
            await exchange.end()
            assert here.origin.posts <= 1

    run(case)


def test_a_client_that_leaves_closes_its_upstream_connection_at_once() -> None:
    """F9."""

    async def case() -> None:
        async with world(Fault(delay_s=60)) as here:
            request, exchange = here.send()
            await until(lambda: here.origin.heads == 1)
            request.cancel()
            await until(lambda: here.proxies[0].open == 0)
            assert here.open == 0
            assert not exchange.over.is_set()

    run(case)


def test_cancelling_while_connecting_leaves_nothing_behind() -> None:
    async def case() -> None:
        async with world(Fault()) as here:
            for _ in range(20):
                here.send()[0].cancel()
            assert here.open == 0
            await until(lambda: not here.dialer.tasks)

    run(case)


def test_connecting_to_a_full_backlog_ends_at_the_connect_timeout() -> None:
    async def case() -> None:
        async with world() as here:
            loop = asyncio.get_running_loop()
            with socket.socket() as full, ExitStack() as others:
                full.bind(("127.0.0.1", 0))
                full.listen(0)
                for _ in range(4):
                    other = others.enter_context(socket.socket())
                    other.setblocking(False)
                    other.connect_ex(full.getsockname())
                silent = model.Cluster(
                    name="silent",
                    endpoints=[model.Endpoint(host="127.0.0.1", port=full.getsockname()[1])],
                    connect_timeout_s=0.3,
                )
                here.cluster = Cluster(
                    silent, here.dialer, Deadlines(loop.time, loop.call_later), loop.time, model.Limits()
                )
                assert await here.send()[1].end() == "ConnectFailed"
            await until(lambda: not here.dialer.tasks)

    run(case)


def test_a_tunnel_carries_bytes_and_both_half_closes() -> None:
    async def case() -> None:
        async with world(Fault()) as here:
            head = RequestHead(b"GET", b"http", b"shop.example", b"/tunnel", [], upgrade=b"echo")
            exchange = Exchange()
            request = here.cluster.dispatch(exchange, head, False, 0.0)
            await asyncio.wait_for(exchange.began.wait(), LIVENESS_S)
            assert exchange.status == 101
            request.send_data(b"GET / HTTP/1.1\r\n\r\n", False)
            await until(lambda: exchange.body == b"GET / HTTP/1.1\r\n\r\n")
            request.send_data(b"last", True)
            assert await exchange.end() == "ok"
            assert exchange.body.endswith(b"last")
            assert here.open == 0

    run(case)


def test_a_callout_runs_on_the_same_clusters() -> None:
    async def case() -> None:
        async with world(Fault(slice_bytes=7)) as here:
            loop = asyncio.get_running_loop()
            callouts = Callouts(
                {"shop": here.cluster}, Deadlines(loop.time, loop.call_later), loop.time, loop.call_soon
            )
            answer: asyncio.Future[tuple[int, bytes, Fields]] = loop.create_future()

            def done(head: ResponseHead | None, body: bytes, trailers: Fields) -> None:
                answer.set_result((head.status if head else 0, body, trailers))

            head = RequestHead(b"POST", b"http", b"auth", b"/check", [])
            assert callouts.start("shop", head, b"token", [], 5.0, done) == 1
            assert await asyncio.wait_for(answer, LIVENESS_S) == (200, b"5", [])

    run(case)

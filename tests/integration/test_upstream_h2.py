"""HTTP/2 upstreams on real sockets: a sound server behind a proxy that misbehaves (hardening F1-F7, F9)."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from edge import model
from edge.exchange.deadlines import Deadlines
from edge.head import RequestHead, ResponseHead
from edge.upstream import Callouts, Cluster, TcpDialer
from edge.upstream.h2 import STREAM_WINDOW_BYTES
from edge.upstream.request import PooledRequest
from tests.amounts import amount
from tests.integration.fault_proxy import Fault, FaultProxy
from tests.integration.h2_origin import BODY, H2Origin
from tests.integration.upstream_exchange import LIVENESS_S, Exchange, run, until
from tests.tools.ports import free_port

RESET_FRAME = b"\0\0\4\3\0"
"""How a RST_STREAM begins. RFC 9113 §6.4."""


class World:
    """An origin, fault proxies before it, and a cluster of them on the real loop."""

    def __init__(self, origin: H2Origin, proxies: list[FaultProxy], cluster: Cluster) -> None:
        self.origin = origin
        self.proxies = proxies
        self.cluster = cluster

    def send(
        self, path: bytes = b"/body", method: bytes = b"GET", timeout_s: float = 0.0
    ) -> tuple[PooledRequest, Exchange]:
        exchange = Exchange()
        head = RequestHead(method, b"http", b"shop.example", path, [])
        return self.cluster.dispatch(exchange, head, method == b"GET", timeout_s), exchange

    @property
    def open(self) -> int:
        return sum(pool.open for pool in self.cluster.pools)

    @property
    def active(self) -> int:
        """Streams under way on connections that take more."""
        return sum(client.active for pool in self.cluster.pools for client in pool.idle)  # type: ignore[attr-defined]


@asynccontextmanager
async def world(
    *faults: Fault, dead_ports: int = 0, goodbyes: bool = False, **fields: Any
) -> AsyncIterator[World]:
    """Fails when a task or a connection is left behind, or a callback raised."""
    loop = asyncio.get_running_loop()
    unhandled: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: unhandled.append(context))
    origin = H2Origin(goodbyes)
    port = await origin.start()
    proxies = [await FaultProxy(port, fault).__aenter__() for fault in faults]
    ports = [free_port() for _ in range(dead_ports)] + [proxy.port for proxy in proxies]
    endpoints = [model.Endpoint(host="127.0.0.1", port=each) for each in ports]
    dialer = TcpDialer(loop)
    cluster = Cluster(
        model.Cluster(name="shop", endpoints=endpoints, protocol="h2", **fields),
        dialer,
        Deadlines(loop.time, loop.call_later),
        loop.time,
        model.Limits(),
    )
    here = World(origin, proxies, cluster)
    try:
        yield here
        assert here.active == 0
        await until(lambda: not dialer.tasks)
        cluster.close()
        await until(lambda: here.open == 0)
        await until(lambda: not origin.connections)
        assert not unhandled
        assert not origin.broken
    finally:
        for proxy in proxies:
            await proxy.__aexit__()
        await origin.stop()


@pytest.mark.parametrize("slice_bytes", [0, 1000, 7])
def test_many_requests_share_a_connection_and_come_whole(slice_bytes: int) -> None:
    async def case() -> None:
        async with world(Fault(slice_bytes=slice_bytes)) as here:
            for _ in range(2):
                sent = [here.send()[1] for _ in range(5)]
                assert [await exchange.end() for exchange in sent] == ["ok"] * 5
                assert all(exchange.body == BODY for exchange in sent)
            assert here.proxies[0].connections == 1

    run(case)


def test_large_bodies_go_up_paused_and_come_back_whole_with_trailers() -> None:
    async def case() -> None:
        async with world(Fault()) as here:
            total = 4 << 20
            request, exchange = here.send(b"/echo", b"POST")
            sent = pauses = 0
            while sent < total:
                if exchange.paused:
                    pauses += 1
                    await until(lambda: not exchange.paused)
                request.send_data(b"x" * 65536, sent + 65536 == total)
                sent += 65536
            assert await exchange.end() == "ok"
            assert (len(exchange.body), exchange.trailers) == (total, [(b"x-length", b"%d" % total)])
            assert pauses > 0

    run(case)


def test_a_slow_reader_holds_one_window_back_and_nobody_else() -> None:
    async def case() -> None:
        async with world(Fault()) as here:
            request, slow = here.send(b"/echo", b"POST")
            request.pause_response()
            for _ in range(32):
                if slow.paused:
                    await until(lambda: not slow.paused)
                request.send_data(b"x" * 65536, False)
            request.send_data(b"", True)
            for _ in range(5):
                _, other = here.send()
                assert await other.end() == "ok"
            assert len(slow.body) <= STREAM_WINDOW_BYTES
            request.resume_response()
            assert await slow.end() == "ok"
            assert len(slow.body) == 32 * 65536

    run(case)


def test_with_one_of_two_endpoints_dead_no_request_fails() -> None:
    """F1."""

    async def case() -> None:
        async with world(Fault(), dead_ports=1) as here:
            for _ in range(10):
                request, exchange = here.send(b"/echo", b"POST")
                request.send_data(b"abc", True)
                assert await exchange.end() == "ok"
            assert here.origin.posts == 10

    run(case)


def test_an_upstream_that_hangs_is_a_504_in_time_and_the_stream_is_cancelled() -> None:
    """F2."""

    async def case() -> None:
        async with world(Fault()) as here:
            began = time.monotonic()
            _, exchange = here.send(b"/hang", timeout_s=0.3)
            assert await exchange.end() == "UpstreamTimeout"
            assert time.monotonic() - began >= 0.3
            await until(lambda: here.origin.cancelled == 1)
            assert await here.send()[1].end() == "ok"

    run(case)


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("close_after", [200, 30_000])
def test_an_upstream_that_dies_in_the_body_never_ends_cleanly(reset: bool, close_after: int) -> None:
    """F3, F4."""

    async def case() -> None:
        async with world(Fault(close_after=close_after, reset=reset)) as here:
            sent = [here.send()[1] for _ in range(3)]
            ends = [await exchange.end() for exchange in sent]
            assert ends == ["UpstreamClosed"] * 3
            assert all(len(exchange.body) < len(BODY) for exchange in sent)

    run(case)


def test_stale_connections_cost_no_get_and_no_post_is_sent_twice() -> None:
    """F7."""

    async def case() -> None:
        async with world(Fault()) as here:
            for _ in range(20):
                assert await here.send()[1].end() == "ok"
                here.origin.hang_up()
                sent = [here.send()[1] for _ in range(3)]
                assert [await exchange.end() for exchange in sent] == ["ok"] * 3
            for posts in range(1, 11):
                assert await here.send()[1].end() == "ok"
                here.origin.hang_up()
                request, exchange = here.send(b"/echo", b"POST")
                request.send_data(b"abc", True)
                await exchange.end()
                assert here.origin.posts <= posts

    run(case)


def test_connections_that_say_goodbye_cost_no_request() -> None:
    async def case() -> None:
        async with world(Fault(), goodbyes=True) as here:
            for _ in range(10):
                sent = []
                for _ in range(17):
                    request, exchange = here.send(b"/echo", b"POST")
                    request.send_data(b"abc", True)
                    sent.append(exchange)
                assert [await exchange.end() for exchange in sent] == ["ok"] * 17
                assert all(exchange.body == b"abc" for exchange in sent)
            assert here.proxies[0].connections > 10

    run(case)


def test_an_endpoint_that_refuses_is_a_503() -> None:
    async def case() -> None:
        async with world(Fault()) as here:
            request, exchange = here.send(b"/refuse")
            assert await exchange.end() == "UpstreamRefused"
            assert request.attempts == 3
            assert await here.send()[1].end() == "ok"

    run(case)


def test_a_client_that_leaves_cancels_its_stream_only() -> None:
    """F9."""

    async def case() -> None:
        async with world(Fault()) as here:
            request, exchange = here.send(b"/half")
            await until(lambda: len(exchange.body) == 1000)
            request.cancel()
            await until(lambda: here.origin.cancelled == 1)
            assert await here.send()[1].end() == "ok"
            assert here.proxies[0].connections == 1

    run(case)


def test_streams_reset_behind_their_requests_cost_no_other_stream() -> None:
    """The upstream reads both in one go, as a busy one does."""

    async def case() -> None:
        async with world(Fault()) as here:
            proxy = here.proxies[0]
            assert await here.send()[1].end() == "ok"
            proxy.hold()
            sent = len(proxy.requests)
            left = [here.send(path)[0] for path in (b"/body", b"/refuse", b"/half", b"/hang")]
            _, stays = here.send()
            await until(lambda: len(proxy.requests) > sent)
            for request in left:
                request.cancel()
            await until(lambda: proxy.requests.count(RESET_FRAME) == len(left))
            proxy.release()
            assert await stays.end() == "ok"
            assert stays.body == BODY
            assert proxy.connections == 1

    run(case)


def test_cancelling_while_connecting_leaves_nothing_behind() -> None:
    async def case() -> None:
        async with world(Fault()) as here:
            for _ in range(20):
                here.send()[0].cancel()
            assert here.open == 0
            await until(lambda: not here.cluster.pools[0].open)

    run(case)


@pytest.mark.parametrize("seed", range(amount("storm of upstream HTTP/2: seeds")))
def test_a_storm_of_everything_leaves_nothing_behind(seed: int) -> None:
    async def one(here: World, chance: random.Random) -> str:
        path = chance.choice([b"/body", b"/echo", b"/half", b"/hang", b"/refuse"])
        whole = path in (b"/body", b"/echo")
        request, exchange = here.send(path, b"POST", 0.2 if path == b"/hang" else 0.0)
        size = chance.choice([0, 1, 20_000, 200_000])
        request.send_data(b"x" * size, chance.random() < 0.5)
        if chance.random() < 0.3:
            request.pause_response()
        await asyncio.sleep(chance.random() * 0.02)
        if chance.random() < 0.3:
            request.cancel()
            return "cancelled"
        request.send_trailers([(b"x-end", b"1")])
        request.resume_response()
        if path == b"/half":
            await until(lambda: len(exchange.body) == 1000)
            request.cancel()
            return "half"
        ended = await exchange.end()
        if whole and ended == "ok":
            assert len(exchange.body) == (size if path == b"/echo" else len(BODY))
        assert ended == {b"/hang": "UpstreamTimeout", b"/refuse": "UpstreamRefused"}.get(path, "ok")
        return ended

    async def case() -> None:
        chance = random.Random(seed)
        async with world(Fault(slice_bytes=chance.choice([0, 5000])), max_connections=2) as here:
            ends = await asyncio.gather(*[one(here, chance) for _ in range(60)])
            assert len(set(ends)) >= 4
            await until(lambda: here.active == 0)

    run(case)


def test_a_callout_runs_on_the_same_clusters() -> None:
    async def case() -> None:
        async with world(Fault(slice_bytes=7)) as here:
            loop = asyncio.get_running_loop()
            callouts = Callouts(
                {"shop": here.cluster}, Deadlines(loop.time, loop.call_later), loop.time, loop.call_soon
            )
            answer: asyncio.Future[tuple[int, bytes]] = loop.create_future()

            def done(head: ResponseHead | None, body: bytes, _: object) -> None:
                answer.set_result((head.status if head else 0, body))

            head = RequestHead(b"POST", b"http", b"auth", b"/echo", [])
            assert callouts.start("shop", head, b"token", [(b"x-t", b"1")], 5.0, done) == 1
            assert await asyncio.wait_for(answer, LIVENESS_S) == (200, b"token")

    run(case)

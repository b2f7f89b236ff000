"""HTTP/2 endpoints whose connections break or end under load: with a rule's `retry` nobody sees it."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, Final

import pytest

from edge import model
from edge.exchange.deadlines import Deadlines
from edge.head import RequestHead
from edge.upstream import Cluster, TcpDialer
from edge.upstream.retry import CONDITIONS, Retry
from tests.integration.h2_origin import H2Origin
from tests.integration.upstream_exchange import Exchange, run, until

REQUESTS: Final = 1500
AT_ONCE: Final = 12
BREAKS: Final = 30


@pytest.mark.parametrize("goodbyes", [False, True])
@pytest.mark.parametrize("method", [b"GET", b"PUT"])
def test_connections_that_end_under_load_cost_nobody_a_request(goodbyes: bool, method: bytes) -> None:
    async def case() -> None:
        loop = asyncio.get_running_loop()
        origins = [H2Origin(goodbyes), H2Origin(goodbyes)]
        endpoints = [model.Endpoint(host="127.0.0.1", port=await each.start()) for each in origins]
        cluster = Cluster(
            model.Cluster(
                name="shop",
                endpoints=endpoints,
                protocol="h2",
                connect_timeout_s=10.0,
                min_retries_per_s=10_000,
            ),
            TcpDialer(loop),
            (deadlines := Deadlines(loop.time, loop.call_later)),
            loop.time,
            model.Limits(),
        )
        policy = model.Retry(conditions=list(CONDITIONS), attempts=8, backoff_s=0.001, max_backoff_s=0.01)
        retry = Retry(policy, deadlines, loop.time)
        seen: Counter[str] = Counter()
        attempts = 0

        async def ask(first: int) -> None:
            nonlocal attempts
            for number in range(first, REQUESTS, AT_ONCE):
                exchange = Exchange()
                body = b"" if method == b"GET" else b"%d" % number
                head = RequestHead(method, b"http", b"shop.example", b"/echo", [], len(body) or None)
                request = retry.dispatch(cluster, exchange, head, not body, 10.0)
                if body:
                    request.send_data(body, True)
                seen[await exchange.end()] += 1
                assert exchange.error is not None or exchange.body == body
                attempts += request.attempts

        async def break_connections() -> None:
            for number in range(BREAKS):
                target = REQUESTS * (number + 1) // (BREAKS + 1)
                await until(lambda target=target: seen.total() >= target)  # type: ignore[misc]
                origins[number % 2].hang_up()

        work: list[Any] = [ask(first) for first in range(AT_ONCE)]
        if not goodbyes:
            work.append(break_connections())
        try:
            await asyncio.gather(*work)
            assert seen == {"ok": REQUESTS}
            assert attempts >= REQUESTS
            assert cluster.retrying == 0
            assert not any(each.broken for each in origins)
        finally:
            cluster.close()
            for each in origins:
                await each.stop()
            await until(lambda: cluster.endpoints.open() == 0)

    run(case)

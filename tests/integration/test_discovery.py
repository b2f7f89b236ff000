"""The supervisor's view of endpoints: a real name server of the tests, real sockets behind probes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

import pytest

from edge.control.discovery.resolver import DnsResolver, LookupFailed
from edge.control.discovery.spec import Check, Dns, Place, Watch
from edge.control.discovery.watcher import Told, Watcher
from tests.integration.dns_server import DnsServer

DEADLINE_S = 60.0


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.01)


def run(case: Coroutine[None, None, None]) -> None:
    asyncio.run(case)


@asynccontextmanager
async def dns_server() -> AsyncIterator[DnsServer]:
    server = await DnsServer.start()
    try:
        yield server
    finally:
        server.close()


class Heard:
    """What a watcher published, by cluster."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.watcher = Watcher(lambda _, told: self.told.append(told))

    def addresses(self, cluster: str = "shop", usable: bool = False) -> list[str]:
        for told in reversed(self.told):
            if told.cluster == cluster:
                return [each.host for each in told.members if each.usable or not usable]
        return ["nothing was told"]


@asynccontextmanager
async def watching(dns: Dns, *watches: Watch, limit_s: float = DEADLINE_S) -> AsyncIterator[Heard]:
    heard = Heard()
    await heard.watcher.begin(dns, watches, limit_s)
    try:
        yield heard
    finally:
        await heard.watcher.stop()


def asking(server: DnsServer, timeout_s: float = 10.0) -> Dns:
    return Dns(nameservers=(("127.0.0.1", server.port),), timeout_s=timeout_s)


def named(host: str, port: int = 80, check: Check | None = None, cluster: str = "shop") -> Watch:
    return Watch(cluster=cluster, places=(Place(host=host, port=port),), check=check)


def test_a_and_aaaa_are_both_taken_with_the_shorter_ttl() -> None:
    async def case() -> None:
        async with dns_server() as server:
            server.records["shop.test"] = (7, ["10.0.0.2", "10.0.0.1", "2001:db8::1"])
            found = await DnsResolver(asking(server)).lookup("shop.test")
            assert sorted(found.addresses) == ["10.0.0.1", "10.0.0.2", "2001:db8::1"]
            assert found.ttl_s == 7.0

    run(case())


def test_the_reason_of_a_failure_names_the_name() -> None:
    async def case() -> None:
        async with dns_server() as server:
            server.records["empty.test"] = (1, [])
            resolver = DnsResolver(asking(server, DEADLINE_S))
            with pytest.raises(LookupFailed, match=r"nowhere\.test: no such name"):
                await resolver.lookup("nowhere.test")
            with pytest.raises(LookupFailed, match=r"empty\.test: the name has no address"):
                await resolver.lookup("empty.test")
            server.silent = True
            with pytest.raises(LookupFailed, match=r"shop\.test: no name server answered in 0\.3 s"):
                await DnsResolver(asking(server, 0.3)).lookup("shop.test")

    run(case())


def test_a_changed_record_is_told_after_its_ttl() -> None:
    async def case() -> None:
        async with dns_server() as server:
            server.records["shop.test"] = (1, ["10.0.0.1"])
            async with watching(asking(server), named("shop.test")) as heard:
                assert heard.addresses() == ["10.0.0.1"]
                server.records["shop.test"] = (1, ["10.0.0.2", "10.0.0.3"])
                await until(lambda: heard.addresses() == ["10.0.0.2", "10.0.0.3"])
                generations = [told.generation for told in heard.told]
                assert generations == sorted(set(generations))

    run(case())


def test_addresses_stay_while_the_dns_is_down_and_it_shows() -> None:
    async def case() -> None:
        async with dns_server() as server:
            server.records["shop.test"] = (1, ["10.0.0.1"])
            async with watching(asking(server, 1.0), named("shop.test")) as heard:
                server.silent = True
                asked = server.asked
                await until(lambda: server.asked > asked + 2)
                await until(lambda: [stale for _, _, stale in heard.watcher.states()] == [1])
                assert heard.addresses() == ["10.0.0.1"]
                server.silent = False
                server.records["shop.test"] = (1, ["10.0.0.9"])
                await until(lambda: heard.addresses() == ["10.0.0.9"])
                assert [stale for _, _, stale in heard.watcher.states()] == [0]

    run(case())


def test_a_name_that_nobody_knows_is_told_as_empty_and_asked_again() -> None:
    async def case() -> None:
        async with dns_server() as server, watching(asking(server), named("late.test")) as heard:
            assert heard.addresses() == []
            server.records["late.test"] = (60, ["10.0.0.4"])
            await until(lambda: heard.addresses() == ["10.0.0.4"])

    run(case())


def test_beginning_waits_no_longer_than_it_may() -> None:
    async def case() -> None:
        async with dns_server() as server:
            server.silent = True
            async with watching(asking(server, 30.0), named("shop.test"), limit_s=0.1) as heard:
                assert heard.told == []

    run(case())


def test_equal_watches_go_on_and_others_end() -> None:
    async def case() -> None:
        async with dns_server() as server:
            server.records["shop.test"] = server.records["site.test"] = (60, ["10.0.0.1"])
            dns = asking(server)
            shop, site = named("shop.test"), named("site.test", cluster="site")
            async with watching(dns, shop) as heard:
                asked = server.asked
                await heard.watcher.begin(dns, [shop, site], DEADLINE_S)
                assert server.asked == asked + 2, "A and AAAA of the new name, nothing else"
                heard.watcher.only(dns, [site])
                assert heard.watcher.told(shop) is None
                assert [cluster for cluster, _, _ in heard.watcher.states()] == ["site"]

    run(case())


@asynccontextmanager
async def tcp_server(answer: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Answers each connection's first bytes with `answer`; empty = says nothing, ever."""
    requests: list[bytes] = []
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        requests.append(await reader.read(65536))
        if answer:
            writer.write(answer)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], requests
    finally:
        server.close()
        for writer in writers:
            writer.close()


def probing(port: int, check: Check) -> Watch:
    return Watch(cluster="shop", places=(Place(host="127.0.0.1", port=port),), check=check)


def check(kind: str = "HTTP", **more: object) -> Check:
    return Check(type=kind, interval_s=0.05, timeout_s=5.0, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", ""),
        (b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n", "GET /healthz answered 503, expected 200, 204"),
        (b"SSH-2.0-OpenSSH\r\n", "no HTTP/1.1 answer"),
        (b"HTTP/1.1 200 OK\r\nx: ", "peer unexpectedly closed connection"),
    ],
)
def test_an_http_probe_judges_the_status(answer: bytes, reason: str) -> None:
    async def case() -> None:
        async with tcp_server(answer) as (port, requests):
            made = check(path="/healthz", expected_statuses=(200, 204), hostname="shop.test")
            async with watching(Dns(), probing(port, made)) as heard:
                await until(lambda: len(requests) >= 2)
                await until(lambda: heard.watcher.members()["shop"][0].state.value != "unknown")
                (member,) = heard.watcher.members()["shop"]
                assert member.usable == (not reason)
                assert reason in member.reason
                assert requests[0].startswith(b"GET /healthz HTTP/1.1\r\nHost: shop.test\r\n")

    run(case())


def test_an_endpoint_that_says_nothing_times_out() -> None:
    async def case() -> None:
        async with tcp_server(b"") as (port, _):
            made = Check(type="HTTP", interval_s=0.05, timeout_s=0.2)
            async with watching(Dns(), probing(port, made)) as heard:
                await until(lambda: heard.addresses(usable=True) == [])
                assert heard.watcher.members()["shop"][0].reason == "no answer within 0.2 s"

    run(case())


def test_a_tcp_probe_wants_a_connection_and_follows_the_endpoint_down_and_up() -> None:
    async def case() -> None:
        async def nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        server = await asyncio.start_server(nothing, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        made = check("TCP", unhealthy_threshold=2, healthy_threshold=2)
        async with watching(Dns(), probing(port, made)) as heard:
            await until(lambda: heard.watcher.members()["shop"][0].state.value == "healthy")
            server.close()
            await until(lambda: heard.addresses(usable=True) == [])
            server = await asyncio.start_server(nothing, "127.0.0.1", port)
            await until(lambda: heard.addresses(usable=True) == ["127.0.0.1"])
            server.close()

    run(case())

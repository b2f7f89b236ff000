"""What only an upstream that is scripted byte by byte can show, plain and over TLS."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.authority import Authority
from tests.integration.raw_client import Truncated, request
from tests.integration.running_edge import within
from tests.integration.scripted_site import CHUNKED, Site, events, scripted_site

_EVENT_S = 30.0


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, edge_state: Path, authority: Authority) -> Iterator[Site]:
    with scripted_site(tmp_path_factory.mktemp("conversations"), edge_state, authority) as site:
        yield site


both = pytest.mark.parametrize("scheme", ["http", "https"])
EXPECT = (b"expect: 100-continue", b"content-length: 5")


@contextmanager
def held(site: Site) -> Iterator[None]:
    """A request that its upstream has and never answers; at the end the client goes away."""
    client = site.connect()
    before = len(site.upstream.requests)
    client.send(request(b"/capped/held"))
    for _ in within(_EVENT_S, "upstream has the request"):
        if len(site.upstream.requests) > before:
            break
    yield
    client.reset()


@both
def test_a_100_of_the_upstream_reaches_the_client_before_its_body(site: Site, scheme: str) -> None:
    with site.connect(scheme) as client:
        assert client.exchange(request(b"/continue", *EXPECT, method=b"POST")).status == 100
        final = client.exchange(b"hello")
    assert (final.status, final.body) == (200, b"hello")


@both
def test_a_filter_refuses_without_asking_for_the_body(site: Site, scheme: str) -> None:
    with site.connect(scheme) as client:
        final = client.exchange(request(b"/guarded", *EXPECT, method=b"POST"))
        assert final.status == 401
        assert final.values(b"connection") == [b"close"]
        assert client.rest() == b""


@both
def test_early_hints_are_forwarded(site: Site, scheme: str) -> None:
    with site.connect(scheme) as client:
        client.send(request(b"/hints"))
        hints = [client.response(), client.response()]
        final = client.response()
    assert [hint.status for hint in hints] == [103, 103]
    assert [hint.values(b"link") for hint in hints] == [
        [b"</a.css>; rel=preload"],
        [b"</b.css>; rel=preload"],
    ]
    assert (final.status, final.body) == (200, b"page")


@both
def test_trailers_go_both_ways(site: Site, scheme: str) -> None:
    body = b"3\r\nabc\r\n0\r\nx-up: 1\r\nhost: evil\r\n\r\n"
    final = site.ask(request(b"/trailers", CHUNKED, b"te: trailers", method=b"POST", body=body), scheme)
    arrived = next(each for each in reversed(site.upstream.requests) if each.target == b"/trailers")
    assert (arrived.body, arrived.trailers) == (b"abc", [(b"x-up", b"1")])
    assert (final.body, final.trailers) == (b"hello", [(b"x-sum", b"42")])


@both
def test_a_client_that_goes_away_cancels_its_request(site: Site, scheme: str) -> None:
    for event in events.values():
        event.clear()
    client = site.connect(scheme)
    client.send(request(b"/endless"))
    assert events["started"].wait(_EVENT_S)
    client.reset()
    assert events["aborted"].wait(_EVENT_S)


def test_a_client_that_has_closed_its_half_still_gets_the_answer(site: Site) -> None:
    with site.connect() as client:
        client.send(request(b"/hints"))
        client.socket.shutdown(socket.SHUT_WR)
        assert [client.response().status for _ in range(3)] == [103, 103, 200]
        assert client.rest() == b""


@both
@pytest.mark.parametrize("framing", [b"length", b"chunks"])
def test_a_body_cut_short_by_the_upstream_is_cut_short_for_the_client(
    site: Site, scheme: str, framing: bytes
) -> None:
    with site.connect(scheme) as client, pytest.raises(Truncated):
        client.exchange(request(b"/dies/" + framing))


@both
def test_a_body_that_ends_with_the_connection_is_framed_anew(site: Site, scheme: str) -> None:
    with site.connect(scheme) as client:
        final = client.exchange(request(b"/close"))
        assert (final.values(b"transfer-encoding"), final.body) == ([b"chunked"], b"to the end")
        assert client.exchange(request(b"/next")).body == b"ok"


@pytest.mark.parametrize(
    ("target", "status"),
    [(b"/dead", 502), (b"/nonsense", 502), (b"/quick", 504), (b"/limited", 504)],
)
def test_edge_answers_for_an_upstream_that_does_not(site: Site, target: bytes, status: int) -> None:
    with site.connect() as client:
        assert client.exchange(request(target)).status == status
        assert client.exchange(request(b"/next")).body == b"ok"


def test_a_request_over_the_cap_waits_and_gets_503(site: Site) -> None:
    with held(site):
        assert site.ask(request(b"/capped/waits")).status == 503
    # The holder has gone, and so has its connection: there is room again.
    assert site.ask(request(b"/capped/free")).status == 200


def test_header_modifiers_edit_both_heads(site: Site) -> None:
    sent = request(b"/modified", b"x-drop: 1", b"x-set: client", b"x-add: one", b"x-keep: 1")
    final = site.ask(sent)
    arrived = next(each for each in reversed(site.upstream.requests) if each.target == b"/modified")
    shown = {name: arrived.values(name) for name in (b"x-drop", b"x-set", b"x-add", b"x-keep")}
    assert shown == {b"x-drop": [], b"x-set": [b"edge"], b"x-add": [b"one", b"two"], b"x-keep": [b"1"]}
    names = (b"x-drop", b"x-set", b"x-keep")
    assert [final.values(name) for name in names] == [[], [b"edge"], [b"1"]]


@pytest.mark.parametrize(
    ("target", "forwarded", "host"),
    [
        (b"/old/a/b?q=1", b"/new/a/b?q=1", b"inner.example"),
        (b"/old", b"/new", b"inner.example"),
        (b"/any/thing?q=1", b"/fixed?q=1", b"shop.example"),
    ],
)
def test_path_and_host_are_rewritten(site: Site, target: bytes, forwarded: bytes, host: bytes) -> None:
    assert site.ask(request(target)).status == 200
    arrived = site.upstream.requests[-1]
    assert (arrived.target, arrived.values(b"host")) == (forwarded, [host])


def test_endpoints_take_turns(site: Site) -> None:
    with site.connect() as client:
        bodies = [client.exchange(request(b"/pair")).body for _ in range(20)]
    assert bodies in ([b"first", b"second"] * 10, [b"second", b"first"] * 10)
    assert [each.connections for each in site.pair] == [1, 1]


def test_a_connection_that_went_stale_costs_no_request(site: Site) -> None:
    with site.connect() as client:
        assert client.exchange(request(b"/stale")).body == b"1"
        assert client.exchange(request(b"/stale")).body == b"2"
        post = client.exchange(request(b"/stale", b"content-length: 2", method=b"POST", body=b"hi"))
    assert post.status == 502, "what is not idempotent may have been carried out: never sent twice"
    assert site.stale.connections == 2


def test_a_request_that_waits_for_an_upstream_holds_up_no_other(site: Site) -> None:
    with held(site):
        assert asyncio.run(_many(site.edge.web, 50)) == [200] * 50


async def _many(port: int, count: int) -> list[int]:
    async def one() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request(b"/next"))
        status = int((await reader.readline()).split()[1])
        writer.close()
        return status

    return list(await asyncio.gather(*(one() for _ in range(count))))

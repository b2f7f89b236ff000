"""Every refusal is counted with its reason, over every protocol, and with what the client was told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.hostile.fake_h2 import rst
from tests.integration.authority import Authority
from tests.integration.h2_client import H2Client
from tests.integration.protocol_site import PROTOCOLS, STREAMS, Site, every_protocol, fields
from tests.integration.running_edge import configuration, rule, running_edge, within
from tests.integration.scripted_upstream import answering

WAIT_S = 60.0
LONG = b"a" * 70_000
HEADS = {
    400: b"GET /%2f HTTP/1.1\r\nhost: a\r\n\r\n",
    405: b"TRACE / HTTP/1.1\r\nhost: a\r\n\r\n",
    414: b"GET /" + LONG + b" HTTP/1.1\r\nhost: a\r\n\r\n",
    417: b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 200-maybe\r\ncontent-length: 1\r\n\r\na",
    431: b"GET / HTTP/1.1\r\nhost: a\r\nx: " + LONG + b"\r\n\r\n",
    501: b"CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n",
    505: b"GET / HTTP/2.0\r\nhost: a\r\n\r\n",
}
"""By the status that answers each, over HTTP/1.1."""
MORE = {
    400: [(b"content-type", b"a/b"), (b"content-type", b"c/d")],
    417: [(b"expect", b"200-maybe")],
    431: [(b"x-%d" % number, b"a") for number in range(150)],
}
"""By the status that answers a request with these fields, over the others."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, authority: Authority, edge_state: Path) -> Iterator[Site]:
    with answering() as upstream:
        config = every_protocol(configuration({"up": [upstream.port]}, [rule("up")]), authority)
        with running_edge(tmp_path_factory.mktemp("reasons"), config, edge_state) as edge:
            yield Site(edge, authority)


def counted(site: Site, status: int, reason: str = "BadRequest") -> float:
    labels = f'error_type="{reason}",http_response_status_code="{status}"'
    return site.edge.metric("edge_server_refused_total", labels)


def becomes(site: Site, number: float, status: int, reason: str = "BadRequest") -> None:
    for _ in within(WAIT_S, f"{number} refusals with {status} are counted"):
        if counted(site, status, reason) == number:
            break


def tally(site: Site, statuses: Iterable[int]) -> dict[int, float]:
    return {status: counted(site, status) for status in statuses}


@pytest.mark.parametrize("protocol", ["h1", "h1s"])
def test_heads_that_are_refused_on_http1(site: Site, protocol: str) -> None:
    before = tally(site, HEADS)
    for status, head in HEADS.items():
        with site.h1(protocol) as client:
            client.send(head)
            assert client.response().status == status
    for status, number in before.items():
        becomes(site, number + 1, status)


@pytest.mark.parametrize("protocol", STREAMS)
def test_heads_that_are_refused_on_a_stream(site: Site, protocol: str) -> None:
    before = tally(site, MORE)
    for status, more in MORE.items():
        assert site.ask(protocol, "/", *more).status == status
    for status, number in before.items():
        becomes(site, number + 1, status)


def test_a_connection_that_is_cut_for_a_flood(site: Site) -> None:
    before = counted(site, 0, "Flooded")
    with H2Client(site.edge.ports["web"]) as client:
        for _ in range(500):
            client.send(client.head(client._next, fields(scheme="http"), True) + rst(client._next))
            client._next += 2
        client.wait(lambda: client.goaway is not None)
        assert client.goaway == 11
    becomes(site, before + 1, 0, "Flooded")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_options_at_its_last_hop_is_answered_here(site: Site, protocol: str) -> None:
    before = counted(site, 200, "LastHop")
    last = site.ask(protocol, "/", (b"max-forwards", b"0"), method="OPTIONS")
    assert (last.status, last.body) == (200, b"200 OK\n")
    (allowed,) = last.values(b"allow")
    assert b"OPTIONS" in allowed
    becomes(site, before + 1, 200, "LastHop")
    assert site.ask(protocol, "/", (b"max-forwards", b"1"), method="OPTIONS").values(b"allow") == []


def test_who_is_served_is_counted_nowhere(site: Site) -> None:
    before = site.edge.metric("edge_server_refused_total")
    assert [site.ask(protocol, "/").status for protocol in PROTOCOLS] == [200] * len(PROTOCOLS)
    assert site.edge.metric("edge_server_refused_total") == before

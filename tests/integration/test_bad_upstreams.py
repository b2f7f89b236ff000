"""What no upstream should send, over real sockets: the client gets a sound 502 or a visible end."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.hostile.cases_h1_responses import BAD_CHUNKS, RESPONSES
from tests.hostile.fake_h1 import responses
from tests.integration.authority import HOSTS, Authority
from tests.integration.raw_client import RawClient, Truncated, request
from tests.integration.running_edge import EdgeProcess, configuration, rule, running_edge, secured
from tests.integration.scripted_upstream import Conversation, reply, scripted

BAD = [case for case in RESPONSES if case.framing is None]
_CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
_CLOSED_S = 30.0
_ran: set[str] = set()


@dataclass
class Site:
    edge: EdgeProcess
    authority: Authority
    ended: queue.Queue[bytes]
    """What edge still sent on each connection that had a bad response, until it closed it."""

    def connect(self, scheme: str) -> RawClient:
        if scheme == "http":
            return RawClient(self.edge.web)
        return RawClient(self.edge.ports["secure"], (self.authority.client(), HOSTS[0]))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, edge_state: Path, authority: Authority) -> Iterator[Site]:
    ended: queue.Queue[bytes] = queue.Queue()

    async def script(it: Conversation) -> None:
        while True:
            target = (await it.head()).target
            _, kind, *number = target.split(b"/")
            if kind == b"good":
                await it.send(reply(b"ok"))
                continue
            if kind == b"late":
                await it.send(reply(b"hello")[: -len(b"hello")])
                await it.head()
                await it.send(b"hello")
                ended.put(await it.until_closed())
                return
            index = int(number[0])
            await it.send(
                BAD[index].head + b"\r\n\r\nok" if kind == b"head" else _CHUNKED + BAD_CHUNKS[index]
            )
            ended.put(await it.until_closed())
            return

    with scripted(script) as upstream:
        config = secured(configuration({"up": [upstream.port]}, [rule("up")]), authority.listener())
        with running_edge(tmp_path_factory.mktemp("bad-upstreams"), config, edge_state) as edge:
            yield Site(edge, authority, ended)


both = pytest.mark.parametrize("scheme", ["http", "https"])


@both
@pytest.mark.parametrize("index", range(len(BAD)), ids=lambda index: BAD[index].name)
def test_a_malformed_head_becomes_502_and_its_connection_is_never_used_again(
    site: Site, scheme: str, index: int
) -> None:
    _ran.add(f"{scheme} head {index}")
    method = BAD[index].method
    with site.connect(scheme) as client:
        client.send(request(b"/head/%d" % index, b"connection: close", method=method))
        ((status, fields, _),) = responses(client.rest(), (method,))
        assert status == 502
        assert b"set-cookie" not in dict(fields)
    assert site.ended.get(timeout=_CLOSED_S) == b""
    with site.connect(scheme) as client:
        assert client.exchange(request(b"/good")).body == b"ok"


@both
@pytest.mark.parametrize("index", range(len(BAD_CHUNKS)))
def test_a_malformed_body_is_never_a_whole_one(site: Site, scheme: str, index: int) -> None:
    _ran.add(f"{scheme} chunks {index}")
    with site.connect(scheme) as client:
        client.send(request(b"/chunks/%d" % index))
        try:
            assert client.response().status == 502
        except Truncated:
            assert client.rest() == b""
    assert site.ended.get(timeout=_CLOSED_S) == b""
    with site.connect(scheme) as client:
        assert client.exchange(request(b"/good")).body == b"ok"


@both
def test_a_body_of_head_that_comes_late_spoils_no_other_request(site: Site, scheme: str) -> None:
    """It comes where the answer of the next request on that connection should begin."""
    with site.connect(scheme) as client:
        client.send(request(b"/late", method=b"HEAD"))
        assert client.response(head_only=True).status == 200
        assert client.exchange(request(b"/good")).body == b"ok"
    assert site.ended.get(timeout=_CLOSED_S) == b""


def test_every_row_ran_both_ways() -> None:
    assert len(_ran) == 2 * (41 + 19)

"""HTTP/2 and HTTP/3 before an upstream that is scripted byte by byte: what a stream may meet on its way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.integration.authority import Authority
from tests.integration.protocol_site import STREAMS, Site, StreamClient, every_protocol, fields, reply_of
from tests.integration.running_edge import configuration, rule, running_edge, within
from tests.integration.scripted_site import ANSWERS, events
from tests.integration.scripted_upstream import Conversation, Upstream, reply, scripted
from tests.tools import free_port

INTERNAL_ERROR: Final = {"h2c": 2, "h2": 2, "h3": 0x102}
MANY: Final = 100
_EVENT_S: Final = 30.0

streams = pytest.mark.parametrize("protocol", STREAMS)


@dataclass
class Scripted(Site):
    upstream: Upstream
    let_go: threading.Event
    """/held waits for it."""

    def arrived(self, path: str) -> bool:
        return any(each.target == path.encode() for each in self.upstream.requests)


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, edge_state: Path, authority: Authority
) -> Iterator[Scripted]:
    let_go = threading.Event()

    async def main(it: Conversation) -> None:
        while True:
            head = await it.head()
            upstream.requests.append(head)
            if head.target == b"/echo":
                await it.read_body(head)
                await it.send(reply(head.body))
            elif head.target == b"/head":
                await it.send(b"HTTP/1.1 200 OK\r\ncontent-length: 12345\r\n\r\n")
            elif head.target == b"/none":
                await it.send(b"HTTP/1.1 204 No Content\r\nx-a: b\r\n\r\n")
            elif head.target == b"/half-body":
                head.body = await it.reader.read(1)
                head.body += await it.until_closed()
            elif head.target == b"/held":
                while not let_go.is_set():
                    await it.pause()
                await it.send(reply(b"late"))
            else:
                await ANSWERS[head.target](it, head)

    with scripted(main) as upstream:
        rules = [
            rule("main"),
            rule("main", "/quick", timeouts={"backendRequest": "300ms"}),
            rule("main", "/limited", timeouts={"request": "300ms"}),
            rule("dead", "/dead"),
        ]
        config = configuration({"main": [upstream.port], "dead": [free_port()]}, rules)
        folder = tmp_path_factory.mktemp("conversations")
        with running_edge(folder / "edge", every_protocol(config, authority), edge_state) as edge:
            yield Scripted(edge, authority, upstream, let_go)


def _still_good(client: StreamClient) -> None:
    """The connection carries another request."""
    assert reply_of(client, client.request(fields("/echo", method="POST"), b"again")).body == b"again"


def _until_arrived(site: Scripted, client: StreamClient, before: int) -> None:
    """Upstream has one request more."""
    for _ in within(_EVENT_S, "the request arrives"):
        client.read(0.01)
        if len(site.upstream.requests) > before:
            break


@streams
def test_trailers_go_both_ways(site: Scripted, protocol: str) -> None:
    with site.connect(protocol) as client:
        stream_id = client.request(fields("/trailers", (b"te", b"trailers"), method="POST"), b"up", end=False)
        client.send_trailers(stream_id, [(b"x-checksum", b"7"), (b"x-two", b"8")])
        answer = reply_of(client, stream_id)
        assert (answer.status, answer.body, answer.trailers) == (200, b"hello", [(b"x-sum", b"42")])
        arrived = site.upstream.requests[-1]
        assert (arrived.body, arrived.trailers) == (b"up", [(b"x-checksum", b"7"), (b"x-two", b"8")])
        _still_good(client)


@streams
def test_early_hints_come_before_the_page(site: Scripted, protocol: str) -> None:
    answer = site.ask(protocol, "/hints")
    assert (answer.status, answer.body) == (200, b"page")
    assert [(dict(each)[b":status"], dict(each)[b"link"]) for each in answer.early] == [
        (b"103", b"</a.css>; rel=preload"),
        (b"103", b"</b.css>; rel=preload"),
    ]


@streams
def test_a_client_that_expects_100_gets_it_from_upstream(site: Scripted, protocol: str) -> None:
    with site.connect(protocol) as client:
        expecting = fields(
            "/continue", (b"expect", b"100-continue"), (b"content-length", b"5"), method="POST"
        )
        stream_id = client.request(expecting, end=False)
        client.wait(lambda: bool(client.heads(stream_id)))
        client.send_data(stream_id, b"hello", True)
        answer = reply_of(client, stream_id)
        assert [dict(each)[b":status"] for each in answer.early] == [b"100"]
        assert (answer.status, answer.body) == (200, b"hello")


@streams
def test_head_and_204_have_no_body(site: Scripted, protocol: str) -> None:
    with site.connect(protocol) as client:
        answer = reply_of(client, client.request(fields("/head", method="HEAD")))
        assert (answer.status, answer.values(b"content-length"), answer.body) == (200, [b"12345"], b"")
        answer = reply_of(client, client.request(fields("/none")))
        assert (answer.status, answer.values(b"x-a"), answer.body) == (204, [b"b"], b"")
        _still_good(client)


@streams
@pytest.mark.parametrize(
    ("path", "status"), [("/quick", 504), ("/limited", 504), ("/nonsense", 502), ("/dead", 502)]
)
def test_an_upstream_that_fails_before_its_head_is_answered_for(
    site: Scripted, protocol: str, path: str, status: int
) -> None:
    with site.connect(protocol) as client:
        assert reply_of(client, client.request(fields(path))).status == status
        _still_good(client)


@streams
@pytest.mark.parametrize("path", ["/dies/length", "/dies/chunks"])
def test_an_upstream_that_dies_in_its_body_resets_the_stream_only(
    site: Scripted, protocol: str, path: str
) -> None:
    with site.connect(protocol) as client:
        stream_id = client.request(fields(path))
        client.wait(lambda: client.reset_code(stream_id) is not None)
        assert client.reset_code(stream_id) == INTERNAL_ERROR[protocol]
        assert dict(client.heads(stream_id)[0])[b":status"] == b"200"
        assert not client.ended(stream_id)
        _still_good(client)


@streams
def test_a_body_without_end_ends_where_upstream_closes(site: Scripted, protocol: str) -> None:
    answer = site.ask(protocol, "/close")
    assert (answer.status, answer.body) == (200, b"to the end")


@streams
def test_a_client_that_cancels_ends_the_work_upstream(site: Scripted, protocol: str) -> None:
    events["aborted"].clear()
    with site.connect(protocol) as client:
        stream_id = client.request(fields("/endless"))
        client.wait(lambda: client.body(stream_id) != b"")
        client.cancel(stream_id)
        assert events["aborted"].wait(_EVENT_S)
        _still_good(client)


@streams
def test_a_client_that_goes_away_ends_the_work_upstream(site: Scripted, protocol: str) -> None:
    events["aborted"].clear()
    with site.connect(protocol) as client:
        stream_id = client.request(fields("/endless"))
        client.wait(lambda: client.body(stream_id) != b"")
    assert events["aborted"].wait(_EVENT_S)


@streams
def test_an_upload_that_is_broken_off_is_never_complete_upstream(site: Scripted, protocol: str) -> None:
    before = len(site.upstream.requests)
    with site.connect(protocol) as client:
        stream_id = client.request(fields("/half-body", method="POST"), b"half", end=False)
        _until_arrived(site, client, before)
        if protocol == "h3":
            client.quic.reset_stream(stream_id, 0x10C)  # type: ignore[union-attr]
        client.cancel(stream_id)
        _still_good(client)
    seen = site.upstream.requests[before]
    for _ in within(_EVENT_S, "upstream's connection is closed"):
        if len(seen.body) > 1:
            break
    assert b"0\r\n\r\n" not in seen.body


@streams
def test_a_hundred_requests_share_a_connection_and_one_that_waits_holds_up_none(
    site: Scripted, protocol: str
) -> None:
    site.let_go.clear()
    with site.connect(protocol) as client:
        held = client.request(fields("/held"))
        others = [
            client.request(fields("/echo", method="POST"), b"%d" % number) for number in range(MANY - 1)
        ]
        answers = [reply_of(client, stream_id).body for stream_id in others]
        assert answers == [b"%d" % number for number in range(MANY - 1)]
        assert not client.heads(held)
        site.let_go.set()
        assert reply_of(client, held).body == b"late"


@streams
def test_drained_connections_finish_what_they_began(
    tmp_path: Path, edge_state: Path, authority: Authority, site: Scripted, protocol: str
) -> None:
    """A GOAWAY, the answer, and then the end, with exit code 0."""
    site.let_go.clear()
    config = every_protocol(configuration({"main": [site.upstream.port]}, [rule("main")]), authority)
    before = len(site.upstream.requests)
    with running_edge(tmp_path / "edge", config, edge_state) as edge:
        with Site(edge, authority).connect(protocol) as client:
            held = client.request(fields("/held"))
            _until_arrived(site, client, before)
            ended = threading.Thread(target=edge.end)
            ended.start()
            client.read(1.0)
            site.let_go.set()
            answer = reply_of(client, held)
            assert (answer.status, answer.body) == (200, b"late")
        ended.join(_EVENT_S)
        assert edge.code == 0

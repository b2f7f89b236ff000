"""SIGTERM with requests under way: two GOAWAYs with exact ids, whole answers, nothing after the last."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.hostile.fake_h2 import frame, window
from tests.integration.authority import Authority
from tests.integration.h2_client import H2Client
from tests.integration.protocol_site import STREAMS, Site, StreamClient, every_protocol, fields, reply_of
from tests.integration.running_edge import configuration, rule, running_edge, within
from tests.integration.scripted_upstream import Conversation, Upstream, reply, scripted

NO_ERROR: Final = {"h2c": 0, "h2": 0, "h3": 0x100}
H3_REQUEST_REJECTED: Final = 0x10B
H2_ALL: Final = (1 << 31) - 1
"""A GOAWAY that announces another. Spec: RFC 9113 §6.8."""
H3_ALL: Final = (1 << 62) - 4
"""Spec: RFC 9114 §5.2."""
_WAIT_S = 30.0
_PAUSE_S = 0.05

streams = pytest.mark.parametrize("protocol", STREAMS)


@dataclass
class Origin:
    """Answers each request, those below /held once `let_go` is set, and most of them shortly."""

    upstream: Upstream
    let_go: threading.Event

    @property
    def targets(self) -> list[bytes]:
        """What arrived."""
        return [each.target for each in self.upstream.requests]


BODY: Final = b"all of it " * 20_000
"""More than one window of a stream, and than edge may read ahead: the end is far from written."""


@contextmanager
def _origin() -> Iterator[Origin]:
    let_go = threading.Event()

    async def script(it: Conversation) -> None:
        while True:
            head = await it.request()
            upstream.requests.append(head)
            while head.target.startswith(b"/held") and not let_go.is_set():
                await it.pause()
            await it.send(reply(BODY if head.target in (b"/before", b"/held") else head.target))

    with scripted(script) as upstream:
        yield Origin(upstream, let_go)


@contextmanager
def _site(origin: Origin, folder: Path, state: Path, authority: Authority) -> Iterator[Site]:
    log = {"accessLog": {"path": "access.log"}}
    config = configuration({"main": [origin.upstream.port]}, [rule("main")], telemetry=log)
    with running_edge(folder / "edge", every_protocol(config, authority), state) as edge:
        yield Site(edge, authority)


@contextmanager
def _ending(site: Site) -> Iterator[None]:
    """SIGTERM at the beginning; at its end edge is gone, and said nothing but 0."""
    ended = threading.Thread(target=site.edge.end)
    ended.start()
    try:
        yield
    finally:
        ended.join(2 * _WAIT_S)
    assert site.edge.code == 0


def _goaways(client: StreamClient) -> list[int]:
    """The stream in each; all of them without a fault."""
    if isinstance(client, H2Client):
        assert all(code == 0 for _, code in client.goaways)
        return [last for last, _ in client.goaways]
    return client.control.goaways


def _closed_cleanly(client: StreamClient) -> bool:
    """Edge closed; over HTTP/3 it says with what."""
    client.wait(lambda: bool(client.closed))
    if isinstance(client, H2Client):
        return client.closed
    return client.closed is not None and client.closed.error_code == NO_ERROR["h3"]


def _until(origin: Origin, client: StreamClient, target: bytes) -> None:
    for _ in within(_WAIT_S, f"{target!r} is upstream"):
        client.read(0.01)
        if target in origin.targets:
            break


@streams
def test_a_request_under_way_ends_whole_and_one_behind_the_last_goaway_is_not_served(
    tmp_path: Path, edge_state: Path, authority: Authority, protocol: str
) -> None:
    with _origin() as origin, _site(origin, tmp_path, edge_state, authority) as site:
        with site.connect(protocol) as client:
            assert reply_of(client, client.request(fields("/before"))).body == BODY
            held = client.request(fields("/held"))
            _until(origin, client, b"/held")
            assert _goaways(client) == []
            with _ending(site):
                client.wait(lambda: len(_goaways(client)) == 2)
                promised = [H3_ALL, held + 4] if protocol == "h3" else [H2_ALL, held]
                assert _goaways(client) == promised
                late = client.request(fields("/late"))
                if isinstance(client, H2Client):
                    client.until_taken()
                else:
                    client.wait(lambda: client.reset_code(late) is not None)
                    assert client.reset_code(late) == H3_REQUEST_REJECTED
                assert not client.heads(held), "it is still under way"
                origin.let_go.set()
                answer = reply_of(client, held)
                assert (answer.status, answer.body) == (200, BODY)
                assert _closed_cleanly(client)
            assert _goaways(client) == promised
            assert (client.heads(late), client.body(late)) == ([], b"")
        assert origin.targets == [b"/before", b"/held"]


@streams
def test_an_idle_connection_hears_both_before_its_end(
    tmp_path: Path, edge_state: Path, authority: Authority, protocol: str
) -> None:
    """Or its client could not know that what it has just sent may be sent again elsewhere."""
    with (
        _origin() as origin,
        _site(origin, tmp_path, edge_state, authority) as site,
        site.connect(protocol) as client,
    ):
        last = client.request(fields("/before"))
        assert reply_of(client, last).body == BODY
        with _ending(site):
            assert _closed_cleanly(client)
        assert _goaways(client) == ([H3_ALL, last + 4] if protocol == "h3" else [H2_ALL, last])


@streams
def test_the_last_goaway_is_true_of_requests_that_crossed_it(
    tmp_path: Path, edge_state: Path, authority: Authority, protocol: str
) -> None:
    """A client that goes on asking while edge says goodbye: what it numbers is answered, nothing else."""
    with _origin() as origin, _site(origin, tmp_path, edge_state, authority) as site:
        with site.connect(protocol) as client:
            if isinstance(client, H2Client):
                client.answers = False  # so that there is time between the two
            asked = [client.request(fields("/held/0"))]
            _until(origin, client, b"/held/0")
            with _ending(site):
                client.wait(lambda: bool(_goaways(client)))
                while len(_goaways(client)) < 2 and not client.closed:
                    asked.append(client.request(fields(f"/held/{len(asked)}")))
                    client.read(_PAUSE_S)
                before = len(asked)
                asked += [client.request(fields(f"/held/{before + each}")) for each in range(3)]
                client.read(_PAUSE_S)
                origin.let_go.set()
                first, last = _goaways(client)
                assert first == (H3_ALL if protocol == "h3" else H2_ALL)
                taken = [each for each in asked if (each < last if protocol == "h3" else each <= last)]
                assert 1 <= len(taken) <= before
                for number, stream_id in enumerate(taken):
                    assert reply_of(client, stream_id).body == b"/held/%d" % number
                assert _closed_cleanly(client)
        assert [client.heads(each) for each in asked[len(taken) :]] == [[]] * (len(asked) - len(taken))
        assert sorted(origin.targets) == sorted(b"/held/%d" % each for each in range(len(taken)))


@pytest.mark.parametrize("protocol", ["h2c", "h2"])
def test_a_slow_reader_gets_its_last_answer_whole_whatever_it_says_meanwhile(
    tmp_path: Path, edge_state: Path, authority: Authority, protocol: str
) -> None:
    """Closed too early, edge's kernel would answer a WINDOW_UPDATE by a RST, and drop what is unread."""
    with (
        _origin() as origin,
        _site(origin, tmp_path, edge_state, authority) as site,
        site.connect(protocol, client_settings={4: 2 * len(BODY)}) as client,
    ):
        assert isinstance(client, H2Client)
        # Less than the answer, so that the rest of it waits on edge's side.
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.send(window(0, 2 * len(BODY)))
        held = client.request(fields("/held"))
        _until(origin, client, b"/held")
        with _ending(site):
            client.wait(lambda: len(_goaways(client)) == 2)
            origin.let_go.set()
            for _ in within(_WAIT_S, "edge has written all of it"):
                if any(line["path"] == "/held" for line in site.edge.access_log()):
                    break
            assert client.body(held) == b""
            client.send(window(0, 1) + frame(6, b"are you?"))
            answer = reply_of(client, held)
            assert (answer.status, answer.body) == (200, BODY)

"""Rows that are an answer of edge, or one of upstream that must not pass as it is: live, each protocol."""

from __future__ import annotations

import select
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.hostile.fake_h2 import data
from tests.hostile.judge import Judge
from tests.hostile.live_site import LiveSite
from tests.integration.authority import HOSTS, Authority
from tests.integration.h3_client import H3Client
from tests.integration.protocol_site import PROTOCOLS, STREAMS, every_protocol, fields, reply_of
from tests.integration.raw_client import request
from tests.integration.running_edge import configuration, rule, running_edge, through, within
from tests.integration.scripted_upstream import Conversation, reply, scripted

_ANSWER_S: Final = 30.0
_ROOM: Final = 100_000
"""Bytes that a body may have."""
_OPEN: Final = b"12345678"
"""The beginning of a body whose rest comes late."""
_EXPECTED: Final = (b"expect", b"100-continue"), (b"content-length", b"8")
_DENIED: Final = {
    "no-rule": ("/none", 404, ()),
    "no-key": ("/guarded", 401, ()),
    "too-long": ("/ok", 413, ((b"content-length", b"%d" % (_ROOM + 1)),)),
}
_BODILESS: Final = {
    "head": ("HEAD", b"200 OK"),
    "204": ("GET", b"204 No Content"),
    "304": ("GET", b"304 Not Modified"),
}
_STRIPPED: Final = [
    ("/strip/x", 200, b"/x"),
    ("/strip//admin", 200, b"/admin"),
    ("/strip/./admin", 200, b"/admin"),
    ("/strip/a/../admin", 200, b"/admin"),
    ("/strip/..;/admin", 400, None),
    ("/strip/..%2fadmin", 400, None),
    ("/strip/%2e%2e%5cadmin", 400, None),
    ("/strip/../admin", 404, None),
    ("/strip/%2e%2e/admin", 404, None),
    ("/strip../admin", 404, None),
]
every = pytest.mark.parametrize("protocol", PROTOCOLS)
streams = pytest.mark.parametrize("protocol", STREAMS)


class _Origin:
    """Sends a body that the answer may not have, which looks like another answer."""

    def __init__(self) -> None:
        self.status = b""
        self.ended: list[bytes] = []

    async def script(self, it: Conversation) -> None:
        await it.request()
        await it.send(b"HTTP/1.1 " + self.status + b"\r\nx-a: b\r\n\r\n" + reply(b"poison"))
        self.ended.append(await it.until_closed())


def _rules() -> list[dict[str, Any]]:
    path = {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}
    return [
        rule("up", "/ok"),
        rule("up", "/probe"),
        rule("bare", "/bare"),
        rule("up", "/guarded", filters=[through("guard")]),
        rule("up", "/strip", filters=[{"type": "URLRewrite", "urlRewrite": {"path": path}}]),
    ]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSite]:
    folder = tmp_path_factory.mktemp("answers")
    authority, judge = Authority(folder), Judge()
    with scripted(judge.script) as upstream, scripted(BARE.script) as bare:
        key = {"name": "key", "module": "key", "config": {"keys": {"k": "alice"}}}
        more = {"modules": {"key": {"builtin": "api-key"}}, "filterChains": {"guard": [key]}}
        clusters = {"up": [upstream.port], "bare": [bare.port]}
        config = configuration(clusters, _rules(), limits={"body": _ROOM}, **more)
        with running_edge(folder / "edge", every_protocol(config, authority), folder / "state") as edge:
            site = LiveSite(edge, authority, judge, upstream, edge.worker_pid)
            site.probe()
            yield site
            site.leave()
            assert edge.worker_pid == site.worker


BARE: Final = _Origin()


def _check(site: LiveSite, since: int, *targets: bytes) -> None:
    """What went upstream, with probes over every protocol; nothing died and nothing was unhandled."""
    site.check_forwarded(since, targets)
    site.edge.check_sound()


@every
@pytest.mark.parametrize("denied", _DENIED)
@pytest.mark.row(41, live=True)
def test_a_denied_expectation_gets_its_answer_and_no_100(site: LiveSite, protocol: str, denied: str) -> None:
    path, status, length = _DENIED[denied]
    since = len(site.judge.arrived)
    expected = (_EXPECTED[0], *(length or _EXPECTED[1:]))
    if protocol in STREAMS:
        with site.connect(protocol) as client:
            stream_id = client.request(fields(path, *expected, method="POST"), end=False)
            answer = reply_of(client, stream_id)
            assert (answer.status, answer.early) == (status, [])
    else:
        lines = [b"%b: %b" % field for field in expected]
        head = [f"POST {path} HTTP/1.1".encode(), b"host: " + HOSTS[0].encode(), *lines, b"", b""]
        with site.h1(protocol) as h1:
            told = h1.exchange(b"\r\n".join(head))
            assert (told.status, told.values(b"connection")) == (status, [b"close"])
            assert h1.rest() == b""
    _check(site, since)


@streams
@pytest.mark.parametrize("denied", _DENIED)
@pytest.mark.row(44, 59, 82, live=True)
def test_an_early_answer_leaves_the_connection_to_others(site: LiveSite, protocol: str, denied: str) -> None:
    path, status, length = _DENIED[denied]
    since = len(site.judge.arrived)
    with site.connect(protocol) as client:
        stream_id = client.request(fields(path, *length, method="POST"), end=False)
        if isinstance(client, H3Client):
            # aioquic sends nothing once it was asked to stop: more leaves before it has read that.
            client.flush()
            assert select.select([client.network.socket], [], [], _ANSWER_S)[0]
            client.send_data(stream_id, _OPEN * 1000, False)
        answer = reply_of(client, stream_id)
        assert (answer.status, answer.early) == (status, [])
        told = client.stops if isinstance(client, H3Client) else client.resets
        client.wait(lambda: stream_id in told)
        assert told == {stream_id: 0x100 if protocol == "h3" else 0}
        if not isinstance(client, H3Client):
            client.send(data(stream_id, _OPEN * 1000, True))
        assert reply_of(client, client.request(fields("/ok"))).body == b"ok"
        assert client.closed is None if isinstance(client, H3Client) else client.goaway is None
    _check(site, since, b"/ok")


@pytest.mark.parametrize("protocol", ["h1", "h1s"])
@pytest.mark.row(44, live=True)
def test_a_body_that_nobody_read_is_not_the_next_request(site: LiveSite, protocol: str) -> None:
    since = len(site.judge.arrived)
    body = request(b"/ok") * 20
    denied = request(b"/guarded", b"content-length: %d" % len(body), method=b"POST", body=body)
    with site.h1(protocol) as client:
        client.send(denied + request(b"/ok"))
        assert [client.response().status for _ in range(2)] == [401, 200]
    _check(site, since, b"/ok")


@every
@pytest.mark.parametrize("kind", _BODILESS)
@pytest.mark.row(46, live=True)
def test_a_body_that_may_not_be_there_is_dropped_with_its_connection(
    site: LiveSite, protocol: str, kind: str
) -> None:
    method, BARE.status = _BODILESS[kind]
    since, ended = len(site.judge.arrived), len(BARE.ended)
    for _ in range(2):
        answer = site.ask(protocol, "/bare", method=method)
        assert (answer.status, answer.body) == (int(BARE.status[:3]), b"")
        assert answer.values(b"x-a") == [b"b"]
    _check(site, since)
    for _ in within(_ANSWER_S, "edge has closed both connections"):
        if len(BARE.ended) == ended + 2:
            break
    assert BARE.ended[ended:] == [b"", b""], "each had a connection of its own"


@every
@pytest.mark.parametrize(("path", "status", "target"), _STRIPPED)
@pytest.mark.row(49, live=True)
def test_no_dots_are_left_when_a_prefix_is_stripped(
    site: LiveSite, protocol: str, path: str, status: int, target: bytes | None
) -> None:
    since = len(site.judge.arrived)
    assert site.ask(protocol, path).status == status
    _check(site, since, *([] if target is None else [target]))


def test_nothing_went_upstream_behind_the_checks(site: LiveSite) -> None:
    site.probe(anew=True)
    site.check_sum()
    site.edge.check_sound()

"""HTTP/2 with prior knowledge where nobody offered it: one answer in HTTP/1.1, and the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.hostile.fake_h2 import GET, PREFACE, Heads, settings
from tests.integration.authority import HOSTS, Authority
from tests.integration.h2_client import H2Client
from tests.integration.protocol_site import fields, reply_of
from tests.integration.raw_client import RawClient, request
from tests.integration.running_edge import EdgeProcess, configuration, rule, running_edge, secured, within
from tests.integration.scripted_upstream import Upstream, answering

ANSWER: Final = (
    b"HTTP/1.1 505 HTTP Version Not Supported\r\ncontent-type: text/plain\r\n"
    b"content-length: 31\r\nconnection: close\r\n\r\n505 HTTP Version Not Supported\n"
)
"""The preface is a request line of HTTP/1 with another version. Spec: RFC 9113 §3.4, RFC 9110 §15.6.6."""
GREETING: Final = PREFACE + settings() + Heads()(1, GET)
_WAIT_S = 30.0

without = pytest.mark.parametrize("listener", ["web", "secure", "both"])


@dataclass
class Listeners:
    """`web` is plain and says nothing of protocols, `prior` has h2c; TLS: `secure` has h1, `both` h1, h2."""

    edge: EdgeProcess
    authority: Authority
    upstream: Upstream

    def connect(self, listener: str) -> RawClient:
        """Without ALPN."""
        tls = (self.authority.client(), HOSTS[0]) if listener in ("secure", "both") else None
        return RawClient(self.edge.ports[listener], tls)


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, edge_state: Path, authority: Authority
) -> Iterator[Listeners]:
    with answering() as upstream:
        log = {"accessLog": {"path": "access.log"}}
        config = configuration({"main": [upstream.port]}, [rule("main")], telemetry=log)
        secured(config, authority.listener())
        secured(config, {**authority.listener("both"), "protocols": ["h1", "h2"]})
        secured(config, {"name": "prior", "address": "127.0.0.1:0", "protocols": ["h1", "h2c"]})
        folder = tmp_path_factory.mktemp("without-h2c")
        with running_edge(folder / "edge", config, edge_state) as edge:
            yield Listeners(edge, authority, upstream)


@pytest.mark.parametrize(
    "pieces",
    [[GREETING], [PREFACE], [PREFACE[:16], PREFACE[16:], GREETING[24:]], [bytes([b]) for b in GREETING]],
    ids=["with a request", "alone", "line by line", "byte by byte"],
)
@without
def test_a_preface_is_refused_in_http1_and_the_connection_ends(
    site: Listeners, listener: str, pieces: list[bytes]
) -> None:
    asked = len(site.upstream.requests)
    with site.connect(listener) as client:
        here = "{}:{}".format(*client.socket.getsockname())
        with suppress(ConnectionError):  # it need not take what comes behind its answer
            for piece in pieces:
                client.send(piece)
        assert client.rest() == ANSWER, "no frame of HTTP/2 either"
    for _ in within(_WAIT_S, "it is logged"):
        lines = [line for line in site.edge.access_log() if line["client"] == here]
        if lines:
            break
    assert [(line["status"], line["flags"], line["protocol"]) for line in lines] == [(505, "DPE", "HTTP/1.1")]
    assert len(site.upstream.requests) == asked
    with site.connect(listener) as client:
        assert client.exchange(request(b"/probe", b"connection: close")).body == b"ok"
        assert client.rest() == b""


@without
def test_a_preface_behind_a_request_ends_the_connection_after_its_answer(
    site: Listeners, listener: str
) -> None:
    with site.connect(listener) as client:
        answer = client.exchange(request() + GREETING)
        assert (answer.status, answer.body) == (200, b"ok")
        assert client.rest() == ANSWER


@pytest.mark.parametrize("listener", ["web", "prior"])
def test_an_upgrade_to_h2c_is_passed_over(site: Listeners, listener: str) -> None:
    """As RFC 9113 §3.1 wishes: nobody upgrades any more, prior knowledge or not."""
    wish = (b"connection: upgrade, http2-settings", b"upgrade: h2c", b"http2-settings: AAMAAABk")
    with site.connect(listener) as client:
        for _ in range(2):
            answer = client.exchange(request(b"/", *wish))
            assert (answer.status, answer.body, answer.values(b"upgrade")) == (200, b"ok", [])
    seen = site.upstream.requests[-1]
    assert [seen.values(name) for name in (b"connection", b"upgrade", b"http2-settings")] == [[], [], []]


def test_the_same_bytes_are_served_where_h2c_is_offered(site: Listeners) -> None:
    with site.connect("prior") as client:
        client.send(GREETING)
        assert client.exactly(9)[3] == 4, "SETTINGS"
    with H2Client(site.edge.ports["prior"]) as client:
        assert reply_of(client, client.request(fields(scheme="http"))).body == b"ok"

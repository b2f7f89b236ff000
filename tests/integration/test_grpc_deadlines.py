"""gRPC's deadlines and cancellations frame by frame, HTTP/2 to HTTP/2, before the tests' own origin."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.integration.authority import HOSTS, Authority
from tests.integration.grpc_origin import (
    DEADLINE_EXCEEDED,
    MESSAGE,
    Call,
    GrpcOrigin,
    grpc_origin,
    message,
)
from tests.integration.h2_client import H2Client
from tests.integration.protocol_site import Site, every_protocol, fields
from tests.integration.running_edge import configuration, rule, running_edge, through, within

CANCEL: Final = 8
"""Spec: RFC 9113 §7."""
TIMEOUTS: Final = (b"1H", b"2M", b"5S", b"30000m", b"99999999u", b"99999999n")
"""In each unit that gRPC over HTTP/2 has."""
_WAIT_S = 30.0

downstreams = pytest.mark.parametrize("downstream", ["h2c", "h2"])
upstreams = pytest.mark.parametrize("upstream", ["plain", "tls", "filtered"])


@dataclass
class Grpc(Site):
    origin: GrpcOrigin

    def h2(self, downstream: str) -> H2Client:
        client = self.connect(downstream)
        assert isinstance(client, H2Client)
        return client

    def call(
        self,
        client: H2Client,
        downstream: str,
        upstream: str,
        method: str,
        *more: tuple[bytes, bytes],
        end: bool = True,
    ) -> int:
        """Id of the stream of a call with one message."""
        asked = [(b"te", b"trailers"), (b"content-type", b"application/grpc"), *more]
        scheme = "http" if downstream == "h2c" else "https"
        head = fields(f"/{upstream}.Shop/{method}", *asked, method="POST", scheme=scheme)
        return client.request(head, message(b"hello"), end)

    def arrived(self, since: int, done: Callable[[Call], bool] = lambda call: True) -> Call:
        """The call that came `since` so many, once `done` is true of it."""
        for _ in within(_WAIT_S, "the call is upstream, and that is true of it"):
            if len(self.origin.calls) > since and done(self.origin.calls[since]):
                break
        assert len(self.origin.calls) == since + 1
        return self.origin.calls[since]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, edge_state: Path, authority: Authority) -> Iterator[Grpc]:
    authority.listener()  # which makes the files
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.files(HOSTS[0]))
    context.set_alpn_protocols(["h2"])
    polish = {"request": {"set": {"x-from": "${method} ${path}"}}, "response": {"set": {"x-by": "${status}"}}}
    chain = [
        {"name": "fresh", "module": "headers", "config": polish, "isolation": "Request"},
        {"name": "shared", "module": "headers", "config": polish},
    ]
    with grpc_origin(None, context) as origin:
        plain, tls = origin.ports
        config = configuration(
            {"plain": [plain], "tls": [tls]},
            [
                rule("plain", "/plain.Shop"),
                rule("tls", "/tls.Shop"),
                rule("plain", "/filtered.Shop", filters=[through("both")]),
            ],
            modules={"headers": {"builtin": "header-transform"}},
            filterChains={"both": chain},
        )
        config["clusters"][0] |= {"protocol": "h2"}
        config["clusters"][1] |= {"protocol": "h2", "tls": {"sni": HOSTS[0], "caFile": str(authority.file)}}
        folder = tmp_path_factory.mktemp("deadlines")
        with running_edge(folder / "edge", every_protocol(config, authority), edge_state) as edge:
            yield Grpc(edge, authority, origin)


def _until_over(client: H2Client, stream_id: int) -> None:
    client.wait(lambda: client.ended(stream_id) or client.reset_code(stream_id) is not None)
    assert client.ended(stream_id), client.reset_code(stream_id)


@upstreams
@downstreams
def test_a_deadline_arrives_as_the_client_sent_it(site: Grpc, downstream: str, upstream: str) -> None:
    with site.h2(downstream) as client:
        for timeout in TIMEOUTS:
            before = len(site.origin.calls)
            sent = site.call(client, downstream, upstream, "Ask", (b"grpc-timeout", timeout))
            call = site.arrived(before, lambda call: call.ended)
            assert call.values(b"grpc-timeout") == [timeout]
            assert (call.values(b"te"), call.body) == ([b"trailers"], message(b"hello"))
            _until_over(client, sent)
            head, trailers = client.heads(sent)
            assert (dict(head)[b":status"], trailers) == (b"200", [(b"grpc-status", b"0")])
            assert client.body(sent) == MESSAGE


@upstreams
@downstreams
def test_a_call_without_a_deadline_gets_none(site: Grpc, downstream: str, upstream: str) -> None:
    before = len(site.origin.calls)
    with site.h2(downstream) as client:
        _until_over(client, site.call(client, downstream, upstream, "Ask"))
    assert site.arrived(before).values(b"grpc-timeout") == []


@upstreams
@downstreams
def test_trailers_alone_that_say_the_deadline_is_over_come_back_as_one_head(
    site: Grpc, downstream: str, upstream: str
) -> None:
    """Trailers-Only: a head that ends the stream. Spec: gRPC over HTTP/2, Responses."""
    with site.h2(downstream) as client:
        sent = site.call(client, downstream, upstream, "Late", (b"grpc-timeout", b"1m"))
        _until_over(client, sent)
        (head,) = client.heads(sent)
        assert dict(head)[b":status"] == b"200"
        assert [field for field in head if field in DEADLINE_EXCEEDED] == DEADLINE_EXCEEDED
        assert sent not in client.bodies, "no DATA at all"


@upstreams
@downstreams
def test_a_deadline_that_is_over_behind_a_message_comes_back_in_trailers(
    site: Grpc, downstream: str, upstream: str
) -> None:
    with site.h2(downstream) as client:
        sent = site.call(client, downstream, upstream, "LateAfterOne", (b"grpc-timeout", b"1m"))
        _until_over(client, sent)
        head, trailers = client.heads(sent)
        assert (dict(head)[b":status"], client.body(sent)) == (b"200", MESSAGE)
        assert trailers == DEADLINE_EXCEEDED


@pytest.mark.parametrize(
    ("method", "end"),
    [("Hang", False), ("Hang", True), ("Begin", True)],
    ids=["while the client still sends", "before the answer", "behind the first message"],
)
@upstreams
@downstreams
def test_a_cancellation_reaches_the_origin_and_costs_nobody_else(
    site: Grpc, downstream: str, upstream: str, method: str, end: bool
) -> None:
    before = len(site.origin.calls)
    with site.h2(downstream) as client:
        sent = site.call(client, downstream, upstream, method, (b"grpc-timeout", b"1H"), end=end)
        call = site.arrived(before, lambda call: call.body == message(b"hello") and call.ended == end)
        if method == "Begin":
            client.wait(lambda: client.body(sent) == MESSAGE)
        client.cancel(sent)
        site.arrived(before, lambda call: call.reset is not None or call.lost)
        assert (call.reset, call.lost, call.ended) == (CANCEL, False, end)
        other = site.call(client, downstream, upstream, "Ask")
        _until_over(client, other)
        assert client.goaway is None and not client.ended(sent)
    again = site.origin.calls[before + 1]
    assert again.connection == call.connection, "the connection upstream goes on"


@upstreams
@downstreams
def test_a_client_that_is_gone_cancels_all_its_calls(site: Grpc, downstream: str, upstream: str) -> None:
    before = len(site.origin.calls)
    with site.h2(downstream) as client:
        for _ in range(3):
            site.call(client, downstream, upstream, "Hang")
        for _ in within(_WAIT_S, "all are upstream"):
            if len(site.origin.calls) == before + 3:
                break
    calls = site.origin.calls[before:]
    for _ in within(_WAIT_S, "all are reset"):
        if all(call.reset is not None for call in calls):
            break
    assert [(call.reset, call.lost) for call in calls] == [(CANCEL, False)] * 3

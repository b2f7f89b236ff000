"""Who the client is behind load balancers: PROXY headers, `X-Forwarded-*`, `Forwarded`, and nobody's lies.

Everything comes from 127.0.0.1, so a PROXY header of a trusted peer stands for clients from elsewhere.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edge.listen import proxy_door
from tests.hostile.fake_h2 import Pairs
from tests.integration.authority import HOSTS, Authority
from tests.integration.h2_client import H2Client
from tests.integration.h3_client import H3Client
from tests.integration.protocol_site import fields, reply_of
from tests.integration.raw_client import RawClient, Response, request
from tests.integration.running_edge import EdgeProcess, configuration, rule, running_edge, within
from tests.integration.scripted_upstream import Upstream, answering

BY_US = {"from": ["127.0.0.0/8"]}
V1 = b"PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\n"
V2 = (
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"
    + socket.inet_aton("203.0.113.7")
    + socket.inet_aton("192.0.2.1")
    + (4711).to_bytes(2, "big")
    + (443).to_bytes(2, "big")
)
CLIENT = "203.0.113.7:4711"


@dataclass
class World:
    """An edge with a listener for each way to stand in front of it, and what its upstream saw."""

    edge: EdgeProcess
    upstream: Upstream
    authority: Authority

    def sees(self, name: bytes) -> list[bytes]:
        """Values of a field of the last request that came upstream."""
        return self.upstream.requests[-1].values(name)

    def logged(self) -> dict[str, Any]:
        """The access log's line of the last request."""
        wanted = self.sees(b"x-request-id")[0].decode()
        for _ in within(30, "the line is in the access log"):
            found = [line for line in self.edge.access_log() if line["request_id"] == wanted]
            if found:
                return found[0]
        raise AssertionError

    def ask(self, listener: str, start: bytes = b"", *more: bytes) -> Response:
        """A request over HTTP/1.1, after `start`."""
        with RawClient(self.edge.ports[listener], before=start) as client:
            return client.exchange(request(b"/", *more))


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory, edge_state: Path, authority: Authority
) -> Iterator[World]:
    with answering() as upstream:
        config = configuration({"up": [upstream.port]}, [rule("up")])
        config["telemetry"] = {"accessLog": {"path": "access.log"}}
        tls = authority.listener()["tls"]
        extra = [
            {"name": "proxied", "protocols": ["h1", "h2c"], "proxyProtocol": BY_US},
            {"name": "proxied-tls", "protocols": ["h1", "h2"], "proxyProtocol": BY_US, "tls": tls},
            {"name": "maybe", "proxyProtocol": {**BY_US, "required": False}},
            {"name": "stranger", "proxyProtocol": {"from": ["10.0.0.0/8"]}},
            {"name": "stranger-tls", "proxyProtocol": {"from": ["10.0.0.0/8"]}, "tls": tls},
            {"name": "hops", "proxyProtocol": BY_US, "forwarded": {"trusted": ["10.0.0.0/8", "fd00::/8"]}},
            {"name": "counted", "forwarded": {"trustedHops": 2}},
            {"name": "rfc", "forwarded": {"trusted": ["127.0.0.1/32"], "header": "Forwarded"}},
            {
                "name": "every",
                "protocols": ["h1", "h2", "h3"],
                "forwarded": {"trusted": ["127.0.0.1/32"]},
                "tls": tls,
            },
            {"name": "redirect", "redirectToHttps": True},
            {"name": "redirect-8443", "redirectToHttps": 8443},
        ]
        for listener in extra:
            config["listeners"].append({"address": "127.0.0.1:0", **listener})
            if "redirectToHttps" not in listener:
                config["routes"][0]["parentRefs"].append({"name": listener["name"]})
        with running_edge(tmp_path_factory.mktemp("clients") / "edge", config, edge_state) as edge:
            yield World(edge, upstream, authority)


@pytest.fixture(scope="module", autouse=True)
def hesitant(world: World) -> Iterator[RawClient]:
    """A client that has begun a header before every test."""
    with RawClient(world.edge.ports["proxied"]) as client:
        client.send(V2[:10])
        yield client


# ---- the PROXY protocol


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
def test_the_address_of_a_proxy_header_is_the_clients(world: World, header: bytes) -> None:
    assert world.ask("proxied", header).status == 200
    assert world.sees(b"x-forwarded-for") == [b"203.0.113.7"]
    assert world.logged()["client"] == CLIENT


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
def test_a_header_that_comes_octet_by_octet_is_read(world: World, header: bytes) -> None:
    with RawClient(world.edge.ports["proxied"]) as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in header:
            client.send(bytes([octet]))
        assert client.exchange(request()).status == 200
    assert world.logged()["client"] == CLIENT


def test_ipv6_addresses_are_told_in_brackets(world: World) -> None:
    assert world.ask("proxied", b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n").status == 200
    assert world.sees(b"x-forwarded-for") == [b"2001:db8::7"]
    assert world.logged()["client"] == "[2001:db8::7]:4711"


@pytest.mark.parametrize(
    "header", [b"PROXY UNKNOWN\r\n", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"], ids=["v1", "v2"]
)
def test_a_proxy_that_speaks_for_itself_is_the_client(world: World, header: bytes) -> None:
    assert world.ask("proxied", header).status == 200
    assert world.sees(b"x-forwarded-for") == [b"127.0.0.1"]


@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_a_header_before_tls_is_read(world: World, protocol: str) -> None:
    port = world.edge.ports["proxied-tls"]
    if protocol == "h1":
        with RawClient(port, (world.authority.client("http/1.1"), HOSTS[0]), V2) as h1:
            assert h1.exchange(request()).status == 200
    else:
        with H2Client(port, (world.authority.client("h2"), HOSTS[0]), before=V2) as h2:
            assert reply_of(h2, h2.request(fields())).status == 200
    assert world.sees(b"x-forwarded-for") == [b"203.0.113.7"]
    assert world.sees(b"x-forwarded-proto") == [b"https"]
    assert world.logged()["client"] == CLIENT


def test_a_header_in_one_piece_with_the_client_hello_is_read(world: World) -> None:
    """A proxy may send both in one segment; nothing of the handshake is lost."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = world.authority.client("http/1.1").wrap_bio(down, up, server_hostname=HOSTS[0])
    with socket.create_connection(("127.0.0.1", world.edge.ports["proxied-tls"]), 20) as raw:
        first = V1
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                raw.sendall(first + up.read())
                first = b""
                down.write(raw.recv(1 << 16))
        tls.write(request(b"/", b"connection: close"))
        raw.sendall(up.read())
        answer = b""
        while data := raw.recv(1 << 16):
            down.write(data)
            try:
                while piece := tls.read():
                    answer += piece
            except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
                continue
    assert answer.startswith(b"HTTP/1.1 200")
    assert world.logged()["client"] == CLIENT


def test_http2_with_prior_knowledge_follows_a_header(world: World) -> None:
    with H2Client(world.edge.ports["proxied"], before=V2) as client:
        assert reply_of(client, client.request(fields(scheme="http"))).status == 200
    assert world.logged()["client"] == CLIENT


@pytest.mark.parametrize(
    "start",
    [
        request(),
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.04 1 2\r\n",
        b"PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
        b"proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 " + b"1" * 200,
        b"\r\n\r\n\0\r\nQUIT\n\x11\x11\0\x0c" + bytes(12),
        b"\r\n\r\n\0\r\nQUIT\n\x22\x11\0\x0c" + bytes(12),
        b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c" + bytes(12),
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0b" + bytes(11),
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f" + bytes(12) + b"\x04\0\x09",
    ],
)
def test_what_is_no_header_is_cut_without_an_answer(world: World, start: bytes) -> None:
    before, refused = len(world.upstream.requests), world.edge.metric("edge_server_refused_total", "proxied")
    with RawClient(world.edge.ports["proxied"]) as client:
        client.send(start)
        assert client.rest() == b""
    for _ in within(30, "the refusal is counted"):
        if world.edge.metric("edge_server_refused_total", "proxied") > refused:
            break
    assert len(world.upstream.requests) == before


def test_a_second_header_is_a_malformed_request(world: World) -> None:
    assert world.ask("proxied", V1 + V1).status == 400


def test_without_its_header_a_trusted_peer_is_served_where_none_is_required(world: World) -> None:
    assert world.ask("maybe").status == 200
    assert world.sees(b"x-forwarded-for") == [b"127.0.0.1"]
    assert world.ask("maybe", V1).status == 200
    assert world.sees(b"x-forwarded-for") == [b"203.0.113.7"]


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
def test_a_header_of_a_stranger_is_no_request(world: World, header: bytes) -> None:
    before = len(world.upstream.requests)
    assert world.ask("stranger", header).status == 400
    with RawClient(world.edge.ports["stranger-tls"]) as client:
        client.send(header + b"x" * 100)
        assert not client.rest().startswith(b"HTTP")
    assert len(world.upstream.requests) == before


def test_a_stranger_without_a_header_is_served_as_who_it_is(world: World) -> None:
    assert world.ask("stranger").status == 200
    assert world.sees(b"x-forwarded-for") == [b"127.0.0.1"]


# ---- hops that are trusted (cases 50, 51)


LIES = (
    b"X-Forwarded-For: 1.1.1.1, 10.9.9.9",
    b"x-forwarded-proto: https",
    b"X-Forwarded-Host: evil.example",
    b"X-Forwarded-Port: 1",
    b"X-Forwarded-Client-Cert: Hash=00",
    b"Forwarded: for=1.1.1.1;host=evil.example",
    b"X-Real-IP: 1.1.1.1",
    b"x_forwarded_for: 1.1.1.1",
    b"X-Forwarded-Prefix: /evil",
)


def _claims(world: World) -> set[bytes]:
    return {
        name
        for name, _ in world.upstream.requests[-1].fields
        if name.replace(b"_", b"-").startswith((b"x-forwarded", b"forwarded", b"x-real"))
    }


def _from(address: str) -> bytes:
    family = "TCP6" if ":" in address else "TCP4"
    return f"PROXY {family} {address} {address} 99 80\r\n".encode()


@pytest.mark.parametrize(("listener", "start"), [("web", b""), ("hops", _from("203.0.113.7"))])
def test_the_claims_of_a_stranger_are_dropped(world: World, listener: str, start: bytes) -> None:
    assert world.ask(listener, start, *LIES).status == 200
    assert world.sees(b"x-forwarded-for") == [b"203.0.113.7" if start else b"127.0.0.1"]
    assert world.sees(b"x-forwarded-proto") == [b"http"]
    assert _claims(world) == {b"x-forwarded-for", b"x-forwarded-proto"}


def test_the_client_is_the_first_that_is_not_trusted(world: World) -> None:
    told = b"X-Forwarded-For: 1.1.1.1, 198.51.100.9, 10.0.0.5"
    assert world.ask("hops", _from("10.0.0.1"), told, b"x-forwarded-proto: https").status == 200
    assert world.sees(b"x-forwarded-for") == [b"198.51.100.9, 10.0.0.5, 10.0.0.1"]
    assert world.sees(b"x-forwarded-proto") == [b"https"]
    assert world.logged()["client"] == "198.51.100.9:0"


def test_several_fields_count_as_one_list(world: World) -> None:
    told = (b"X-Forwarded-For: 198.51.100.9", b"x-forwarded-for: fd00::5")
    assert world.ask("hops", _from("fd00::1"), *told).status == 200
    assert world.sees(b"x-forwarded-for") == [b"198.51.100.9, fd00::5, fd00::1"]


@pytest.mark.parametrize("bad", [b"unknown", b"1.2.3", b"", b"1.2.3.4:70000", b"[::1", b"a, b"])
def test_what_cannot_be_read_ends_the_walk(world: World, bad: bytes) -> None:
    told = b"X-Forwarded-For: 1.1.1.1, " + bad + b", 10.0.0.5"
    assert world.ask("hops", _from("10.0.0.1"), told).status == 200
    assert world.sees(b"x-forwarded-for") == [b"10.0.0.5, 10.0.0.1"]


def test_hops_are_counted_from_the_right(world: World) -> None:
    assert world.ask("counted", b"", b"X-Forwarded-For: 1.1.1.1, 198.51.100.9, 192.0.2.8").status == 200
    assert world.sees(b"x-forwarded-for") == [b"198.51.100.9, 192.0.2.8, 127.0.0.1"]
    assert world.logged()["client"] == "198.51.100.9:0"
    assert world.ask("counted").status == 200
    assert world.sees(b"x-forwarded-for") == [b"127.0.0.1"]


def test_a_trusted_hop_tells_of_host_and_port_and_certificate(world: World) -> None:
    told = (
        b"X-Forwarded-For: 198.51.100.9:5000",
        b"X-Forwarded-Host: Shop.Example",
        b"X-Forwarded-Port: 8443",
        b"X-Forwarded-Client-Cert: Hash=ab",
        b"X-Real-IP: 6.6.6.6",
        b"Forwarded: for=6.6.6.6",
    )
    assert world.ask("hops", _from("10.0.0.1"), *told).status == 200
    assert world.sees(b"x-forwarded-host") == [b"shop.example"]
    assert world.sees(b"x-forwarded-port") == [b"8443"]
    assert world.sees(b"x-forwarded-client-cert") == [b"Hash=ab"]
    assert world.logged()["client"] == "198.51.100.9:5000"
    assert not {b"x-real-ip", b"forwarded"} & _claims(world)


def test_forwarded_is_read_where_it_is_believed(world: World) -> None:
    told = (
        b'Forwarded: for=1.1.1.1, For="[2001:db8::9]:4711";proto=https;host="shop.example"',
        b"X-Forwarded-For: 6.6.6.6",
    )
    assert world.ask("rfc", b"", *told).status == 200
    assert world.sees(b"x-forwarded-for") == [b"2001:db8::9, 127.0.0.1"]
    assert world.sees(b"x-forwarded-proto") == [b"https"]
    expected = b'for="[2001:db8::9]:4711";proto=https;host="shop.example", for=127.0.0.1'
    assert world.sees(b"forwarded") == [expected]
    assert world.logged()["client"] == "[2001:db8::9]:4711"


@pytest.mark.parametrize("protocol", ["h1", "h2", "h3"])
def test_hops_are_believed_over_every_protocol(world: World, protocol: str) -> None:
    port = world.edge.ports["every"]
    told: Pairs = [(b"x-forwarded-for", b"1.1.1.1, 198.51.100.9"), (b"x-real-ip", b"6.6.6.6")]
    for _ in range(3):  # repeated heads take a shorter way through the codecs
        if protocol == "h1":
            lines = [b"%b: %b" % pair for pair in told]
            with RawClient(port, (world.authority.client("http/1.1"), HOSTS[0])) as h1:
                assert [h1.exchange(request(b"/", *lines)).status for _ in range(3)] == [200] * 3
        else:
            tls = (world.authority.client("h2"), HOSTS[0])
            with H2Client(port, tls) if protocol == "h2" else H3Client(port, HOSTS[0]) as client:
                for _ in range(3):
                    assert reply_of(client, client.request(fields("/", *told))).status == 200
        assert world.sees(b"x-forwarded-for") == [b"198.51.100.9, 127.0.0.1"]
        assert _claims(world) == {b"x-forwarded-for", b"x-forwarded-proto"}
    assert world.logged()["client"] == "198.51.100.9:0"


# ---- redirects to https


@pytest.mark.parametrize(("listener", "port"), [("redirect", b""), ("redirect-8443", b":8443")])
def test_a_listener_sends_everything_to_https(world: World, listener: str, port: bytes) -> None:
    with RawClient(world.edge.ports[listener]) as client:
        answer = client.exchange(request(b"/cart?id=1", b"content-length: 2", method=b"POST", body=b"ab"))
    assert answer.status == 308
    assert answer.values(b"location") == [b"https://shop.example" + port + b"/cart?id=1"]


# ---- time, last because the client has waited meanwhile


def test_a_header_that_does_not_end_is_waited_for_ten_seconds(hesitant: RawClient) -> None:
    hesitant.socket.settimeout(10 * proxy_door.HEADER_TIMEOUT_S)
    assert hesitant.rest() == b""

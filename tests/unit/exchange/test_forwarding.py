"""Walking back along trusted hops, and what upstream is told of it."""

from __future__ import annotations

import pytest

from edge import model
from edge.exchange.forwarding import Hops, read_address
from edge.exchange.networks import Networks
from edge.head import Fields, RequestHead
from tests.unit.exchange.fakes import FakeConnection

PEER = FakeConnection.peer[0]


def look(told: Fields, peer: str = PEER, **trust: object) -> tuple[dict[bytes, bytes], str, bytes]:
    """Fields that were added, the client's address, and `client` as logs show it."""
    connection = FakeConnection()
    connection.peer = (peer, 4242)
    head = RequestHead(b"GET", b"http", b"shop.example", b"/", [])
    seen = Hops(model.Forwarded(**trust)).look(connection, head, told)  # type: ignore[arg-type]
    assert (seen.id, seen.local, seen.sni) == (connection.id, connection.local, connection.sni)
    return dict(head.fields), seen.peer[0], seen.client


def xff(*values: bytes) -> Fields:
    return [(b"x-forwarded-for", value) for value in values]


def test_an_untrusted_peer_is_the_client_whatever_it_says() -> None:
    fields, client, _ = look(xff(b"1.1.1.1"), trusted=["10.0.0.0/8"])
    assert fields == {b"x-forwarded-for": PEER.encode(), b"x-forwarded-proto": b"http"}
    assert client == PEER


def test_a_trusted_peer_that_says_nothing_is_the_client() -> None:
    fields, client, logged = look([], trusted=["192.0.2.0/24"])
    assert fields[b"x-forwarded-for"] == PEER.encode()
    assert (client, logged) == (PEER, FakeConnection.client)


def test_only_a_trusted_hop_tells_of_a_certificate() -> None:
    told = [(b"client-cert", b":YQ==:"), (b"x-forwarded-client-cert", b"Hash=1"), (b"proxy", b"http://x")]
    assert set(told[:2]) == set(look(told, trusted=["192.0.2.0/24"])[0].items()) & set(told)
    assert not set(look(told, trusted=["10.0.0.0/8"])[0].items()) & set(told)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((b"1.1.1.1, 2.2.2.2",), "2.2.2.2"),
        ((b"1.1.1.1", b"2.2.2.2"), "2.2.2.2"),
        ((b"1.1.1.1, 192.0.2.7",), "1.1.1.1"),
        ((b"1.1.1.1 ,\t192.0.2.7 , 192.0.2.8",), "1.1.1.1"),
        ((b"192.0.2.9, 192.0.2.7",), "192.0.2.9"),
        ((b"1.1.1.1, , 192.0.2.7",), "192.0.2.7"),
        ((b"1.1.1.1, _hidden, 192.0.2.7",), "192.0.2.7"),
        ((b"nonsense",), PEER),
        ((b"::ffff:192.0.2.7",), "192.0.2.7"),
        ((b"1.1.1.1, ::ffff:192.0.2.7",), "1.1.1.1"),
    ],
)
def test_the_first_that_is_not_trusted_is_the_client(values: tuple[bytes, ...], expected: str) -> None:
    assert look(xff(*values), trusted=["192.0.2.0/24"])[1] == expected


@pytest.mark.parametrize(
    ("hops", "expected"), [(1, "3.3.3.3"), (2, "2.2.2.2"), (3, "1.1.1.1"), (9, "1.1.1.1")]
)
def test_so_many_hops_are_trusted_whatever_their_addresses(hops: int, expected: str) -> None:
    assert look(xff(b"1.1.1.1, 2.2.2.2, 3.3.3.3"), hops=hops)[1] == expected


def test_hops_and_addresses_may_be_mixed() -> None:
    assert look(xff(b"1.1.1.1, 10.0.0.1, 3.3.3.3"), hops=2, trusted=["10.0.0.0/8"])[1] == "1.1.1.1"


def test_what_stands_left_of_the_client_is_dropped() -> None:
    fields, _, logged = look(xff(b"6.6.6.6, 1.1.1.1:5000, 192.0.2.7"), trusted=["192.0.2.0/24"])
    assert fields[b"x-forwarded-for"] == b"1.1.1.1, 192.0.2.7, 192.0.2.1"
    assert logged == b"1.1.1.1:5000"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        (b"proto", b"https", b"https"),
        (b"proto", b"HTTPS", b"https"),
        (b"proto", b"http, https", b"https"),
        (b"proto", b"gopher", b"http"),
        (b"proto", b"", b"http"),
        (b"host", b"Other.Example:8443", b"other.example:8443"),
        (b"host", b"a/b", None),
        (b"host", b"a.example, b.example", b"b.example"),
        (b"port", b"8443", b"8443"),
        (b"port", b"0", None),
        (b"port", b"70000", None),
        (b"port", b"8443; rm", None),
        (b"port", b"\xb2", None),
    ],
)
def test_a_trusted_hop_tells_how_the_client_asked(name: bytes, value: bytes, expected: bytes | None) -> None:
    told = [*xff(b"1.1.1.1"), (b"x-forwarded-" + name, value)]
    assert look(told, hops=1)[0].get(b"x-forwarded-" + name) == expected


RFC7239 = {
    b"for=1.1.1.1": "1.1.1.1",
    b'For="1.1.1.1:80"': "1.1.1.1",
    b"for=6.6.6.6, for=1.1.1.1;by=203.0.113.43": "1.1.1.1",
    b'for="[2001:DB8::1]:4711"; proto=https': "2001:db8::1",
    b'for="\\1.1.1.1"': "1.1.1.1",
    b"for=6.6.6.6, for=unknown": PEER,
    b"for=6.6.6.6, for=_gazonk": PEER,
    b"for=2001:db8::1": PEER,
    b"for=1.1.1.1;for=2.2.2.2": PEER,
    b"for=1.1.1.1;": PEER,
    b'for="1.1.1.1': PEER,
    b"for=1.1.1.1 for=2.2.2.2": PEER,
    b"for": PEER,
    b"proto=https": PEER,
    b'by="a,b";for=1.1.1.1': "1.1.1.1",
}


@pytest.mark.parametrize("value", RFC7239)
def test_forwarded_is_read_as_rfc_7239_says(value: bytes) -> None:
    told = [(b"forwarded", value), *xff(b"6.6.6.6")]
    fields, client, _ = look(told, hops=1, rfc7239=True)
    assert client == RFC7239[value]
    assert fields[b"forwarded"].endswith(b"for=192.0.2.1" if client == PEER else b", for=192.0.2.1") or (
        client == PEER and fields[b"forwarded"] == b"for=192.0.2.1;proto=http"
    )


def test_our_forwarded_has_quotes_where_they_are_needed() -> None:
    told = [(b"forwarded", b'for="[2001:db8::1]:4711";proto=https;host="a.example:8443"')]
    fields, _, _ = look(told, hops=1, rfc7239=True)
    expected = b'for="[2001:db8::1]:4711";proto=https;host="a.example:8443", for=192.0.2.1'
    assert fields[b"forwarded"] == expected
    assert fields[b"x-forwarded-host"] == b"a.example:8443"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"1.2.3.4", ("1.2.3.4", 0)),
        (b"1.2.3.4:80", ("1.2.3.4", 80)),
        (b"::1", ("::1", 0)),
        (b"[::1]", ("::1", 0)),
        (b"[::1]:80", ("::1", 80)),
        (b"1.2.3.4:", ("1.2.3.4", 0)),
        (b"1.2.3.4:65536", None),
        (b"1.2.3.4:x", None),
        (b"[::1", None),
        (b"[::1]x", None),
        (b"1.2.3", None),
        (b"01.2.3.4", None),
        (b"\xff", None),
        (b"", None),
        ("1.2.3.4:\u00b2".encode("latin-1"), None),
    ],
)
def test_addresses_are_read_strictly(text: bytes, expected: object) -> None:
    assert read_address(text) == expected


def test_networks_remember_a_bounded_number_of_addresses() -> None:
    networks = Networks(["10.0.0.0/8"])
    for number in range(3000):
        assert networks.hold(f"10.0.{number >> 8}.{number & 255}")
    assert len(networks._known) <= 1024
    assert not networks.hold("")
    assert networks.hold("::ffff:10.1.1.1")

"""What upstream and filters are told of a client's certificate."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from edge.exchange import properties
from edge.exchange.identity import ClientIdentity, Unnameable, distinguished_name, quoted
from tests.unit.exchange.fakes import FakeConnection, World

DER = b"certificate"
DIGEST = sha256(DER).hexdigest().encode()


def identity(*names: tuple[str, str], subject: Any = ((("commonName", "alice"),),)) -> ClientIdentity:
    made = ClientIdentity(b"policy")
    made.read({"subject": subject, "subjectAltName": names}, DER)
    return made


def test_the_header_has_envoys_syntax() -> None:
    made = identity(
        ("URI", "spiffe://a/b"), ("DNS", "a.example"), ("DNS", "b.example"), ("IP Address", "::1")
    )
    expected = b'Hash=%b;Subject="CN=alice";URI=spiffe://a/b;DNS=a.example;DNS=b.example' % DIGEST
    assert made.forwarded == expected


def test_no_name_adds_an_element_to_the_header() -> None:
    made = identity(("URI", 'x",Hash=00;By="'), ("DNS", "a;b=c"), subject=((("commonName", 'a";Hash=1,"'),),))
    assert made.forwarded == (
        b'Hash=%b;Subject="CN=a\\\\\\"\\\\;Hash\\\\=1\\\\,\\\\\\"";URI="x\\",Hash=00;By=\\"";DNS="a;b=c"'
        % DIGEST
    )


@pytest.mark.parametrize("name", ["a\0b", "a\r\nx: y", "\x7f"])
def test_control_bytes_in_a_name_are_refused(name: str) -> None:
    with pytest.raises(Unnameable):
        identity(("DNS", name))


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        (((("countryName", "DE"),), (("commonName", "a"),)), "CN=a,C=DE"),
        (((("commonName", "a"), ("userId", "1")),), "CN=a+UID=1"),
        (((("commonName", " a,b+c\\d "),),), "CN=\\ a\\,b\\+c\\\\d\\ "),
        (((("commonName", "#1"),),), "CN=\\#1"),
        (((("commonName", "a\nb\0"),),), "CN=a\\0Ab\\00"),
        (((("emailAddress", "a@b"),),), "emailAddress=a@b"),
        ((), ""),
    ],
)
def test_subjects_are_written_as_rfc_4514_says(subject: Any, expected: str) -> None:
    assert distinguished_name(subject) == expected


def test_values_are_quoted_where_they_must() -> None:
    assert quoted(b"a.example") == b"a.example"
    assert quoted(b"") == b'""'
    assert quoted(b"a b") == b'"a b"'
    assert quoted("ä".encode()) == '"ä"'.encode()


PROPERTIES = ("subject_peer_certificate", "dns_san_peer_certificate", "uri_san_peer_certificate")


def _read(made: ClientIdentity | None, name: str) -> bytes | None:
    class Connection(FakeConnection):
        identity = made

    exchange = World().request()
    exchange.connection = Connection()
    return properties.read(exchange, b"connection\0" + name.encode())


def test_filters_read_who_the_client_is() -> None:
    made = identity(("DNS", "a.example"), ("DNS", "b.example"), ("URI", "spiffe://a"))
    assert _read(made, "mtls") == b"\1"
    assert [_read(made, name) for name in PROPERTIES] == [b"CN=alice", b"a.example", b"spiffe://a"]
    assert _read(made, "sha256_peer_certificate_digest") == DIGEST


@pytest.mark.parametrize("made", [None, ClientIdentity(b"policy")], ids=["not-asked", "showed-none"])
def test_filters_read_nothing_of_a_client_without_a_certificate(made: ClientIdentity | None) -> None:
    assert _read(made, "mtls") == b"\0"
    assert [_read(made, name) for name in PROPERTIES] == [None] * 3

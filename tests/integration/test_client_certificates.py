"""Client certificates: who is let in, what filters' neighbours upstream are told, what nobody can forge.

Hosts of one listener ask for different things: `open.example` for nothing, `maybe.example` for a
certificate if there is one, `closed.example` for one, `other.example` for one of somebody else.
"""

from __future__ import annotations

import datetime
import hashlib
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.integration.h2_client import H2Client
from tests.integration.protocol_site import reply_of
from tests.integration.raw_client import RawClient
from tests.integration.running_edge import EdgeProcess, configuration, rule, running_edge
from tests.integration.scripted_upstream import Upstream, answering

OPEN, MAYBE, CLOSED, OTHER = "open.example", "maybe.example", "closed.example", "other.example"
HOSTS = (OPEN, MAYBE, CLOSED, OTHER)
_NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
_YEARS = datetime.timedelta(days=3650)


class Partners:
    """Signs client certificates, good ones and others."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(subject, subject, self._key).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self._certificate = builder.sign(self._key, hashes.SHA256())
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def _builder(
        self, subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, expired: bool = False
    ) -> x509.CertificateBuilder:
        start = _NOW - _YEARS
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(_NOW - datetime.timedelta(days=1) if expired else _NOW + _YEARS)
        )

    def client(
        self,
        *names: x509.GeneralName,
        subject: str = "alice",
        usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.CLIENT_AUTH,
        expired: bool = False,
    ) -> Path:
        """A PEM file with certificate and key."""
        key = ec.generate_private_key(ec.SECP256R1())
        named = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, 'Shops, "Inc"'),
                x509.NameAttribute(NameOID.COMMON_NAME, subject),
            ]
        )
        builder = self._builder(named, self._certificate.subject, key, expired).add_extension(
            x509.ExtendedKeyUsage([usage]), critical=False
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        made = builder.sign(self._key, hashes.SHA256())
        file = self._folder / f"{self._name}-{made.serial_number}.pem"
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(*form))
        return file


def fingerprint(file: Path) -> str:
    der = x509.load_pem_x509_certificate(file.read_bytes()).public_bytes(serialization.Encoding.DER)
    return hashlib.sha256(der).hexdigest()


@dataclass
class World:
    edge: EdgeProcess
    upstream: Upstream
    servers: trustme.CA
    partners: Partners
    strangers: Partners

    def client(self, alpn: str, certificate: Path | None = None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.servers.configure_trust(context)
        context.set_alpn_protocols([alpn])
        if certificate is not None:
            context.load_cert_chain(certificate)
        return context

    def ask(
        self, sni: str, certificate: Path | None = None, host: str = "", lines: tuple[bytes, ...] = ()
    ) -> int:
        """The status of a request over HTTP/1.1."""
        tls = (self.client("http/1.1", certificate), sni)
        head = (b"GET / HTTP/1.1", b"host: " + (host or sni).encode(), *lines, b"", b"")
        with RawClient(self.edge.ports["secure"], tls) as client:
            return client.exchange(b"\r\n".join(head)).status

    def sees(self, name: bytes) -> list[bytes]:
        return self.upstream.requests[-1].values(name)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, edge_state: Path) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("partners")
    servers, partners, strangers = trustme.CA(), Partners(folder, "partners"), Partners(folder, "strangers")
    asked: dict[str, dict[str, Any]] = {
        OPEN: {"mode": "None"},
        MAYBE: {"mode": "Optional", "caFile": str(partners.file)},
        OTHER: {"mode": "Required", "caFile": str(strangers.file)},
    }
    certificates = []
    for host in HOSTS:
        leaf = servers.issue_cert(host)
        leaf.private_key_and_cert_chain_pem.write_to_path(str(folder / host))
        entry: dict[str, Any] = {"certFile": str(folder / host), "keyFile": str(folder / host)}
        certificates.append(
            {**entry, "hostnames": [host], **({"clientAuth": asked[host]} if host in asked else {})}
        )
    with answering() as upstream:
        config = configuration({"up": [upstream.port]}, [rule("up")])
        config["listeners"].append(
            {
                "name": "secure",
                "address": "127.0.0.1:0",
                "protocols": ["h1", "h2"],
                "tls": {
                    "certificates": certificates,
                    "clientAuth": {"mode": "Required", "caFile": str(partners.file)},
                },
            }
        )
        config["routes"][0]["parentRefs"].append({"name": "secure"})
        with running_edge(folder / "edge", config, edge_state) as edge:
            yield World(edge, upstream, servers, partners, strangers)


def test_a_certificate_lets_its_client_in_and_is_told_upstream(world: World) -> None:
    names = (x509.DNSName("alice.example"), x509.UniformResourceIdentifier("spiffe://shop/alice"))
    shown = world.partners.client(*names)
    assert world.ask(CLOSED, shown) == 200
    subject = 'Subject="CN=alice,O=Shops\\\\, \\\\\\"Inc\\\\\\""'
    expected = f"Hash={fingerprint(shown)};{subject};URI=spiffe://shop/alice;DNS=alice.example"
    assert world.sees(b"x-forwarded-client-cert") == [expected.encode()]


def test_no_client_forges_who_it_is(world: World) -> None:
    lies = (b"X-Forwarded-Client-Cert: Hash=00", b"x_forwarded_client_cert: Hash=00")
    assert world.ask(OPEN, None, lines=lies) == 200
    assert world.sees(b"x-forwarded-client-cert") == []
    assert world.ask(MAYBE, None, lines=lies) == 200
    assert world.sees(b"x-forwarded-client-cert") == []
    shown = world.partners.client()
    assert world.ask(MAYBE, shown, lines=lies) == 200
    (told,) = world.sees(b"x-forwarded-client-cert")
    assert told.startswith(b"Hash=" + fingerprint(shown).encode())
    assert {name for name, _ in world.upstream.requests[-1].fields if b"client" in name} == {
        b"x-forwarded-client-cert"
    }


def test_a_host_that_asks_for_none_takes_who_shows_one_and_tells_nobody(world: World) -> None:
    assert world.ask(OPEN, world.partners.client()) == 200
    assert world.sees(b"x-forwarded-client-cert") == []


CASES = [
    ("none", "CERTIFICATE_REQUIRED"),
    ("expired", "CERTIFICATE_EXPIRED"),
    ("unknown-authority", "UNKNOWN_CA"),
    ("of-a-server", "UNSUPPORTED_CERTIFICATE"),
    ("nul-in-a-name", ""),
]


def _first_octet(world: World, context: ssl.SSLContext, host: str) -> None:
    """Of an answer. In TLS 1.3 a client learns only then that the server does not want it."""
    with RawClient(world.edge.ports["secure"], (context, host)) as client:
        client.send(b"GET / HTTP/1.1\r\nhost: " + host.encode() + b"\r\n\r\n")
        if not client.socket.recv(1):
            raise EOFError


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
@pytest.mark.parametrize("host", [CLOSED, MAYBE])
@pytest.mark.parametrize(("case", "alert"), CASES, ids=[name for name, _ in CASES])
def test_case_99_a_bad_certificate_never_reaches_a_filter(
    world: World, case: str, alert: str, host: str, version: ssl.TLSVersion
) -> None:
    shown = {
        "none": lambda: None,
        "expired": lambda: world.partners.client(expired=True),
        "unknown-authority": world.strangers.client,
        "of-a-server": lambda: world.partners.client(usage=ExtendedKeyUsageOID.SERVER_AUTH),
        "nul-in-a-name": lambda: world.partners.client(x509.DNSName("alice.example\0.evil")),
    }[case]()
    before = len(world.upstream.requests)
    context = world.client("http/1.1", shown)
    context.minimum_version = context.maximum_version = version
    if case == "none" and host == MAYBE:
        assert world.ask(host) == 200
        return
    if case == "none" and version is ssl.TLSVersion.TLSv1_2:
        alert = "HANDSHAKE_FAILURE"  # TLS 1.2 has no word for it
    with pytest.raises((ssl.SSLError, ConnectionError, EOFError)) as caught:
        _first_octet(world, context, host)
    if alert:
        assert alert in str(caught.value).upper().replace(" ", "_")
    assert len(world.upstream.requests) == before


def test_case_52_a_host_with_other_rules_is_misdirected(world: World) -> None:
    shown = world.partners.client()
    assert world.ask(OPEN, None, host=CLOSED) == 421
    assert world.ask(OPEN, shown, host=CLOSED) == 421
    assert world.ask(MAYBE, shown, host=CLOSED) == 421
    assert world.ask(CLOSED, shown, host=OTHER) == 421
    assert world.ask(OTHER, world.strangers.client(), host=CLOSED) == 421
    assert world.ask(CLOSED, shown, host=CLOSED + ":443") == 200
    assert world.ask(CLOSED, shown, host="nobody.example") == 421


def test_case_52_streams_of_one_connection_are_judged_one_by_one(world: World) -> None:
    with H2Client(
        world.edge.ports["secure"], (world.client("h2", world.partners.client()), CLOSED)
    ) as client:
        for host, status in ((CLOSED, 200), (OPEN, 421), (OTHER, 421), (MAYBE, 421), (CLOSED, 200)):
            head = [
                (b":method", b"GET"),
                (b":scheme", b"https"),
                (b":path", b"/"),
                (b":authority", host.encode()),
            ]
            assert reply_of(client, client.request(head)).status == status


def _resume(
    world: World, context: ssl.SSLContext, host: str, session: ssl.SSLSession | None
) -> tuple[Any, bool]:
    """The session of a connection with one request, and whether an earlier one was resumed."""
    raw = socket.create_connection(("127.0.0.1", world.edge.ports["secure"]), 20)
    context.check_hostname = False  # a session knows the host it was made with
    with context.wrap_socket(raw, server_hostname=host, session=session) as made:
        made.sendall(b"GET / HTTP/1.1\r\nhost: " + host.encode() + b"\r\n\r\n")
        assert made.recv(1 << 16).startswith(b"HTTP/1.1 200")
        return made.session, bool(made.session_reused)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_a_session_is_resumed_where_the_same_rules_hold_and_nowhere_else(
    world: World, version: ssl.TLSVersion
) -> None:
    shown = world.partners.client()
    for _ in range(3):
        context = world.client("http/1.1", shown)
        context.minimum_version = context.maximum_version = version
        session, _ = _resume(world, context, CLOSED, None)
        assert _resume(world, context, CLOSED, session)[1]
        assert world.sees(b"x-forwarded-client-cert")[0].startswith(b"Hash=" + fingerprint(shown).encode())
        session, _ = _resume(world, context, MAYBE, None)
        assert not _resume(world, context, CLOSED, session)[1]
        session, _ = _resume(world, context, OPEN, None)
        assert not _resume(world, context, MAYBE, session)[1]


def test_a_session_without_a_certificate_does_not_open_a_closed_host(world: World) -> None:
    """What CVE-2025-23419 was elsewhere: a ticket of an open host, shown to a closed one."""
    context = world.client("http/1.1")
    session, _ = _resume(world, context, OPEN, None)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        _resume(world, context, CLOSED, session)

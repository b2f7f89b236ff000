"""TLS to endpoints on real sockets: names, a certificate of our own, versions."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from edge import model
from edge.exchange.deadlines import Deadlines
from edge.head import RequestHead
from edge.upstream import Cluster, TcpDialer
from edge.upstream.portions import CAREFUL_BYTES, PORTION_BYTES
from tests.integration.upstream_exchange import Exchange, run, until

SPIFFE = "spiffe://cluster.example/shop"


class Origin:
    """Answers one request with the common name of the certificate it was shown."""

    def __init__(self) -> None:
        self.authority = trustme.CA()
        leaf = self.authority.issue_cert("shop.internal", "*.wild.internal")
        uri = _with_uri(self.authority)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        leaf.configure_cert(self.context)
        self.by_uri = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        uri.configure_cert(self.by_uri)
        self.client = self.authority.issue_cert("edge.internal", common_name="edge")
        self.seen: list[str] = []
        self.body = b"ok"

    def ask_for_certificates(self) -> None:
        self.authority.configure_trust(self.context)
        self.context.verify_mode = ssl.CERT_REQUIRED

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            shown = writer.get_extra_info("peercert") or {}
            subject = {key: value for entry in shown.get("subject", ()) for key, value in entry}
            self.seen.append(subject.get("commonName", ""))
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(self.body) + self.body)
            await writer.drain()
            await reader.read(1)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.close()


def _with_uri(authority: trustme.CA) -> trustme.LeafCert:
    """trustme issues DNS names only; a spiffe name is put in by cryptography."""
    signer = load_pem_private_key(authority.private_key_pem.bytes(), None)
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(SPIFFE)]), True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
            ),
            False,
        )
        .sign(signer, hashes.SHA256())  # type: ignore[arg-type]
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return trustme.LeafCert(private, made.public_bytes(Encoding.PEM), [])


async def ask(origin: Origin, context: ssl.SSLContext, **tls: Any) -> Exchange:
    """One request to the origin by a cluster with these settings; all is closed behind it."""
    loop = asyncio.get_running_loop()
    before = asyncio.all_tasks()
    server = await asyncio.start_server(origin.serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    cluster = Cluster(
        model.Cluster(
            name="shop",
            endpoints=[model.Endpoint(host="127.0.0.1", port=port)],
            connect_timeout_s=10.0,
            tls=model.UpstreamTls(ca_pem=origin.authority.cert_pem.bytes(), **tls),
        ),
        TcpDialer(loop),
        Deadlines(loop.time, loop.call_later),
        loop.time,
        model.Limits(),
    )
    exchange = Exchange()
    try:
        cluster.dispatch(exchange, RequestHead(b"GET", b"http", b"shop.example", b"/", []), True, 10.0)
        await exchange.end()
        return exchange
    finally:
        cluster.close()
        server.close()
        await until(lambda: asyncio.all_tasks() <= before)


@pytest.mark.parametrize(
    ("tls", "well"),
    [
        ({"sni": "shop.internal"}, True),
        ({"sni": "other.internal"}, False),
        ({"sni": "other.internal", "names": ["Shop.internal"]}, True),
        ({"sni": "shop.internal", "names": ["none.internal", "a.wild.internal"]}, True),
        ({"sni": "shop.internal", "names": ["a.b.wild.internal", "wild.internal"]}, False),
        ({"sni": "shop.internal", "names": ["none.internal", SPIFFE]}, False),
    ],
)
def test_the_certificate_is_for_the_name_asked_or_for_one_of_a_list(tls: dict[str, Any], well: bool) -> None:
    async def case() -> None:
        origin = Origin()
        exchange = await ask(origin, origin.context, **tls)
        assert (exchange.status == 200) is well
        if not well:
            assert exchange.error is not None
            assert exchange.error.status == 502

    run(case)


@pytest.mark.parametrize("size", [PORTION_BYTES + 1, CAREFUL_BYTES, 5 * CAREFUL_BYTES])
def test_a_long_answer_comes_whole_however_it_is_read(size: int) -> None:
    async def case() -> None:
        origin = Origin()
        origin.body = b"".join(number.to_bytes(4) for number in range(size // 4 + 1))[:size]
        exchange = await ask(origin, origin.context, sni="shop.internal")
        assert exchange.error is None
        assert exchange.body == origin.body

    run(case)


@pytest.mark.parametrize(("names", "status"), [([SPIFFE], 200), (["spiffe://cluster.example/other"], 0)])
def test_a_certificate_may_be_for_a_uri(names: list[str], status: int) -> None:
    async def case() -> None:
        origin = Origin()
        assert (await ask(origin, origin.by_uri, sni="shop.internal", names=names)).status == status

    run(case)


def test_a_chain_that_nobody_signed_is_refused_whatever_names_are_listed() -> None:
    async def case() -> None:
        origin = Origin()
        stranger = Origin()
        exchange = await ask(origin, stranger.context, sni="shop.internal", names=["shop.internal"])
        assert exchange.status == 0
        assert stranger.seen == []

    run(case)


def test_the_endpoint_is_shown_our_certificate() -> None:
    async def case() -> None:
        origin = Origin()
        origin.ask_for_certificates()
        shown = {
            "chain_pem": b"".join(pem.bytes() for pem in origin.client.cert_chain_pems),
            "key_pem": origin.client.private_key_pem.bytes(),
        }
        exchange = await ask(origin, origin.context, sni="shop.internal", **shown)
        assert exchange.status == 200
        assert origin.seen == ["edge"]
        assert (await ask(origin, origin.context, sni="shop.internal")).status == 0
        assert origin.seen == ["edge"]

    run(case)


def test_a_version_below_the_least_is_refused() -> None:
    async def case() -> None:
        origin = Origin()
        origin.context.maximum_version = ssl.TLSVersion.TLSv1_2
        assert (await ask(origin, origin.context, sni="shop.internal", min_version="1.2")).status == 200
        assert (await ask(origin, origin.context, sni="shop.internal", min_version="1.3")).status == 0

    run(case)

"""The native calls on TLS contexts do what they say, here."""

from __future__ import annotations

import ssl

import pytest
import trustme

from edge import model
from edge.listen import context, openssl, tls
from edge.listen.session import Session

AUTHORITY = trustme.CA()


def server(alpn: list[str]) -> ssl.SSLContext:
    made = AUTHORITY.issue_cert("edge.example")
    chain = b"".join(pem.bytes() for pem in made.cert_chain_pems)
    certificate = model.Certificate(
        hostnames=["edge.example"], chain_pem=chain, key_pem=made.private_key_pem.bytes()
    )
    return tls.server_context([certificate], alpn)


def client(alpn: list[str]) -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


def handshake(ours: ssl.SSLContext, theirs: ssl.SSLContext) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """In memory; raises the client's error."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    server_side = ours.wrap_bio(up, down, server_side=True)
    client_side = theirs.wrap_bio(down, up, server_hostname="edge.example")
    for side in (client_side, server_side) * 3:
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLError:
            if side is client_side:
                raise
    return server_side, client_side


def native() -> openssl.Native:
    assert openssl.NATIVE is not None
    return openssl.NATIVE


def test_the_self_test_passes_on_this_openssl() -> None:
    assert openssl.NATIVE is not None


def test_a_context_prefers_the_cheaper_suite_and_keeps_no_sessions() -> None:
    context = server(["http/1.1"])
    names = [suite["name"] for suite in context.get_ciphers() if suite["protocol"] == "TLSv1.3"]
    assert names == model.TlsProfile().suites_13
    assert native().cache_off(openssl.context_pointer(context)) == 0


def test_the_server_chooses_its_first_protocol_that_the_client_offers() -> None:
    _, side = handshake(server(["h2", "http/1.1"]), client(["http/1.1", "h2"]))
    assert side.selected_alpn_protocol() == "h2"
    _, side = handshake(server(["h2", "http/1.1"]), client(["http/1.1"]))
    assert side.selected_alpn_protocol() == "http/1.1"


def test_a_client_without_alpn_is_served() -> None:
    ours, _ = handshake(server(["http/1.1"]), client([]))
    assert ours.selected_alpn_protocol() is None


def test_no_protocol_in_common_fails_the_handshake() -> None:
    with pytest.raises(ssl.SSLError, match="no application protocol"):
        handshake(server(["http/1.1"]), client(["spdy/3"]))


def test_a_group_outside_the_profile_is_refused() -> None:
    theirs = client([])
    theirs.set_ecdh_curve("secp521r1")
    with pytest.raises(ssl.SSLError):
        handshake(server(["http/1.1"]), theirs)


def connect(ours: ssl.SSLContext, theirs: ssl.SSLContext, session: ssl.SSLSession | None) -> ssl.SSLObject:
    """The client's side after a handshake in memory, its ticket read."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    server_side = ours.wrap_bio(up, down, server_side=True)
    client_side = theirs.wrap_bio(down, up, server_hostname="edge.example", session=session)
    for side in (client_side, server_side) * 3:
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    server_side.write(b"x")
    assert client_side.read(1) == b"x"
    return client_side


KEYS = [bytes([number]) * openssl.TICKET_KEY_BYTES for number in (1, 2, 3)]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_ticket_is_good_wherever_its_key_is_known(version: ssl.TLSVersion) -> None:
    made = AUTHORITY.issue_cert("edge.example")
    chain = b"".join(pem.bytes() for pem in made.cert_chain_pems)
    certificate = model.Certificate(
        hostnames=["edge.example"], chain_pem=chain, key_pem=made.private_key_pem.bytes()
    )
    one, two = (tls.server_context([certificate], ["http/1.1"], scope="web") for _ in range(2))
    elsewhere = tls.server_context([certificate], ["http/1.1"], scope="other")
    theirs = client([])
    theirs.minimum_version = theirs.maximum_version = version

    def resumed(server: ssl.SSLContext, session: ssl.SSLSession | None) -> bool:
        return bool(connect(server, theirs, session).session_reused)

    context.set_ticket_keys([KEYS[0]])
    old = connect(one, theirs, None).session
    assert resumed(one, old)
    assert resumed(two, old), "the keys are the same"
    assert not resumed(elsewhere, old), "another listener"
    context.set_ticket_keys([KEYS[1], KEYS[0]])
    assert resumed(two, old), "the key before is still taken"
    new = connect(one, theirs, None).session
    assert resumed(two, new)
    late = tls.server_context([certificate], ["http/1.1"], scope="web")
    assert resumed(late, new), "a context that was made later"
    context.set_ticket_keys([KEYS[1]])
    assert resumed(one, new)
    assert not resumed(one, old), "the first key is gone"
    context.set_ticket_keys([KEYS[2]])
    assert not resumed(two, new)


def test_a_profile_decides_versions_suites_and_groups() -> None:
    made = AUTHORITY.issue_cert("edge.example")
    chain = b"".join(pem.bytes() for pem in made.cert_chain_pems)
    certificate = model.Certificate(
        hostnames=["edge.example"], chain_pem=chain, key_pem=made.private_key_pem.bytes()
    )
    profile = model.TlsProfile(
        maximum="1.2",
        suites=["ECDHE-ECDSA-AES256-GCM-SHA384"],
        groups=["P-521"],
        suites_13=["TLS_AES_256_GCM_SHA384"],
    )
    ours = tls.server_context([certificate], ["http/1.1"], profile)
    _, side = handshake(ours, client([]))
    assert side.version() == "TLSv1.2"
    assert side.cipher() == ("ECDHE-ECDSA-AES256-GCM-SHA384", "TLSv1.2", 256)
    theirs = client([])
    theirs.set_ecdh_curve("prime256v1")
    with pytest.raises(ssl.SSLError):
        handshake(ours, theirs)


def test_a_name_that_openssl_does_not_know_is_said() -> None:
    made = AUTHORITY.issue_cert("edge.example")
    chain = b"".join(pem.bytes() for pem in made.cert_chain_pems)
    certificate = model.Certificate(hostnames=[], chain_pem=chain, key_pem=made.private_key_pem.bytes())
    for profile in (model.TlsProfile(groups=["P-1"]), model.TlsProfile(suites_13=["TLS_NONE"])):
        with pytest.raises(tls.CannotListen):
            tls.server_context([certificate], ["http/1.1"], profile)
    _, side = handshake(tls.server_context([certificate], ["http/1.1"]), client([]))
    assert side.version() == "TLSv1.3", "no error is left behind"


def test_the_last_bytes_and_the_goodbye_are_one_piece_for_the_client() -> None:
    ours, theirs = server(["http/1.1"]), client([])
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    server_side = ours.wrap_bio(up, down, server_side=True)
    client_side = theirs.wrap_bio(down, up, server_hostname="edge.example")
    for side in (client_side, server_side) * 2:
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert isinstance(server_side, Session)
    server_side.write_last(b"bye")
    assert client_side.read(100) == b"bye"
    assert client_side.read(100) == b"", "the end, not a break"
    before = down.pending
    server_side.unwrap()
    assert down.pending == before, "said once"

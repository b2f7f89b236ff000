"""Certificates by SNI over QUIC, and their replacement under way."""

from __future__ import annotations

from typing import Any

import pytest
from aioquic.tls import Alert, Group

from edge import model
from edge.codec.h3.certificates import Certificates
from edge.codec.h3.server_name import asked_for
from tests.hostile.cases_sni import NAMES, Asked, Asking
from tests.hostile.cases_tls import extension, hello, sni
from tests.unit.codec.h3.world import Client, World, certificate, settings

GROUPS = {"P-384": Group.SECP384R1, "X25519": Group.X25519}


def _names(client: Client) -> str:
    return str(client.quic.tls._peer_certificate.extensions)


def test_the_name_asked_for_chooses_the_certificate() -> None:
    world = World(
        transport=settings(certificate("a.example"), certificate("b.example"), certificate("*.c.example"))
    )
    for asked, given in (
        ("a.example", "a.example"),
        ("B.example", "b.example"),
        ("x.c.example", "*.c.example"),
        ("x.y.c.example", "a.example"),
        ("other.example", "a.example"),
        (None, "a.example"),
    ):
        assert f"'{given}'" in _names(world.client(server_name=asked)), asked


@pytest.mark.parametrize("asked", NAMES, ids=lambda asked: asked.name)
def test_a_name_that_tcp_refuses_is_refused_over_quic(asked: Asked) -> None:
    """Case 96: a name that is merely not known gets the default, what is no name at all gets an alert."""
    world = World(transport=settings(certificate("shop.example"), certificate("docs.example")))
    client = Client(world, quic=lambda configuration: Asking(configuration, asked.contents))
    client.connect()
    world.settle()
    if isinstance(asked.over_quic, str):
        assert f"'{asked.over_quic}'" in _names(client)
    else:
        assert client.closed is not None and client.closed.error_code == asked.over_quic
    assert (client.established, world.unhandled) == (isinstance(asked.over_quic, str), [])
    assert world.client().get() == (200, b"ok")


def test_the_name_is_found_wherever_it_stands_and_a_hello_cut_short_is_an_alert() -> None:
    name = sni(b"Shop.example")
    others = extension(0xFAFA, b""), extension(43, b"\x02\x03\x04")
    for place in ((name, *others), (*others, name)):
        whole = hello(*place)
        assert asked_for(whole) == "shop.example"
        for size in range(4, len(whole)):
            with pytest.raises(Alert):
                asked_for(whole[:size])
    assert asked_for(hello(*others)) == ""
    with pytest.raises(Alert):
        asked_for(hello(*others, name, extension(0xFAFA, b"")))


def test_new_certificates_are_served_from_the_next_handshake_on() -> None:
    world = World(transport=settings(certificate("a.example")))
    client = world.client()
    world.door.settings.certificates = Certificates([certificate("new.example")])
    assert client.get() == (200, b"ok")
    assert "'new.example'" in _names(world.client())


def test_a_key_of_another_certificate_is_refused() -> None:
    mixed = model.Certificate(
        hostnames=["a"], chain_pem=certificate("a").chain_pem, key_pem=certificate("b").key_pem
    )
    with pytest.raises(ValueError, match="does not belong"):
        Certificates([mixed])


def test_quic_needs_a_certificate() -> None:
    with pytest.raises(ValueError, match="needs"):
        Certificates([])


def test_the_profile_decides_suites_and_groups() -> None:
    world = World(transport=settings(certificate("a.example")))
    for suite, group in (("CHACHA20_POLY1305_SHA256", "P-384"), ("AES_256_GCM_SHA384", "X25519")):
        profile = model.TlsProfile(suites_13=[f"TLS_{suite}"], groups=[group])
        world.door.settings.certificates = Certificates([certificate("a.example")], profile)
        client = world.client()
        assert client.get() == (200, b"ok")
        assert client.quic.tls.key_schedule.cipher_suite.name == suite  # type: ignore[union-attr]
        server: Any = world.connections[-1]
        assert server.transport.tls._supported_groups == [GROUPS[group]]

"""Certificates by SNI over QUIC, and their replacement under way."""

from __future__ import annotations

from typing import Any

import pytest
from aioquic.tls import Group

from edge import model
from edge.codec.h3.certificates import Certificates
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

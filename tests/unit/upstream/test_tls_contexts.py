"""Contexts of TLS towards upstreams: shared by who is alike, gone with the last of them."""

from __future__ import annotations

import pytest
import trustme

from edge import model
from edge.control.discovery import probe
from edge.upstream import tls as module
from edge.upstream.tls import ClientTls, client_tls


@pytest.fixture(scope="module")
def authority() -> bytes:
    return trustme.CA(key_type=trustme.KeyType.ECDSA).cert_pem.bytes()


def _made(settings: model.UpstreamTls, protocol: str = "h1") -> ClientTls:
    made = client_tls(model.Cluster(name="a", endpoints=[], protocol=protocol, tls=settings))
    assert made is not None
    return made


def test_who_is_alike_shares_a_context(authority: bytes) -> None:
    one = _made(model.UpstreamTls(ca_pem=authority, sni="one"))
    other = _made(model.UpstreamTls(ca_pem=authority, sni="other"))
    assert one.context is other.context
    assert _made(model.UpstreamTls(ca_pem=authority), "h2").context is not one.context
    assert _made(model.UpstreamTls(ca_pem=authority, names=["a"])).context is not one.context


@pytest.mark.usefixtures("no_collector")
def test_a_context_that_nobody_uses_is_gone(authority: bytes) -> None:
    """Certificates may be renewed every hour: those of before are kept by nobody."""
    before = set(module._contexts.keys())
    for number in range(5):
        used = _made(model.UpstreamTls(ca_pem=authority, names=[f"{number}.example"]))
        assert len(set(module._contexts.keys()) - before) == 1
    del used
    assert set(module._contexts.keys()) <= before


def test_probes_keep_the_contexts_they_used_lately(authority: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_kept", {})
    monkeypatch.setattr(probe, "KEPT_TLS", 2)
    settings = [model.UpstreamTls(ca_pem=authority, names=[name]) for name in ("a", "b", "c")]
    first = probe._tls(settings[0], "h1")
    assert probe._tls(settings[1], "h1") is not first
    assert probe._tls(settings[0], "h1") is first
    probe._tls(settings[2], "h1")
    assert len(probe._kept) == 2
    assert probe._tls(settings[0], "h1") is first

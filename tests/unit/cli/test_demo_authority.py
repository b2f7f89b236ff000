"""The demo's certificates: made once, kept, made again when they end."""

from __future__ import annotations

import ssl
from datetime import timedelta
from pathlib import Path

import pytest

from edge.cli.demo import authority


def test_the_certificate_verifies_for_this_machine_by_the_authority(tmp_path: Path) -> None:
    made = authority.local_certificate(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(made.certificate, made.key)
    for name in (*authority.NAMES, *authority.ADDRESSES):
        client = ssl.create_default_context(cafile=str(made.ca))
        client.verify_flags |= ssl.VERIFY_X509_STRICT
        assert handshake(client, server, name), name
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(ssl.create_default_context(cafile=str(made.ca)), server, "other.example")


def handshake(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> bool:
    """In memory, both ends in turn."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(down, up, server_hostname=name), server.wrap_bio(up, down, server_side=True)]
    for _ in range(10):
        for end in list(ends):
            try:
                end.do_handshake()
                ends.remove(end)
            except ssl.SSLWantReadError:
                continue
        if not ends:
            return True
    return False


def test_the_key_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    assert authority.local_certificate(tmp_path).key.stat().st_mode & 0o777 == 0o600


def test_what_is_there_is_used_again_until_it_ends_or_breaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = authority.local_certificate(tmp_path).certificate.read_bytes()
    assert authority.local_certificate(tmp_path).certificate.read_bytes() == first
    monkeypatch.setattr(authority, "RENEW_BEFORE", authority.LIFE + timedelta(days=1))
    second = authority.local_certificate(tmp_path).certificate.read_bytes()
    assert second != first
    monkeypatch.undo()
    (tmp_path / "localhost.pem").write_text("broken")
    assert authority.local_certificate(tmp_path).certificate.read_bytes() not in (first, second, b"broken")

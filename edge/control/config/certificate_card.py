"""What admin shows of a certificate. Keys are never part of it."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from edge.control.config.load import Loaded
from edge.control.draft import Card


def cards(loaded: Loaded) -> list[Card]:
    """Of all listeners, in the order of the file."""
    made = []
    for path, pair in loaded.certificates.items():
        if path[0] == "listeners":
            listener = loaded.root.listeners[int(path[1])]
            entry = listener.tls.certificates[int(path[4])] if listener.tls is not None else None
            hostnames = list(entry.hostnames) if entry is not None and entry.hostnames else list(pair.names)
            made.append(_card(listener.name, hostnames, list(pair.names), pair.chain_pem))
    return made


def _card(listener: str, hostnames: list[str], names: list[str], chain_pem: bytes) -> Card:
    leaf = x509.load_pem_x509_certificates(chain_pem)[0]
    return Card(
        listener=listener,
        hostnames=hostnames,
        names=names,
        subject=leaf.subject.rfc4514_string(),
        issuer=leaf.issuer.rfc4514_string(),
        serial=f"{leaf.serial_number:x}",
        sha256=leaf.fingerprint(SHA256()).hex(),
        begins=leaf.not_valid_before_utc.timestamp(),
        ends=leaf.not_valid_after_utc.timestamp(),
    )

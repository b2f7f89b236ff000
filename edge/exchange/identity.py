"""Who a client is by the certificate it showed, as filters and upstreams are told."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any, Final

_SHORT: Final = {
    "commonName": "CN",
    "countryName": "C",
    "domainComponent": "DC",
    "localityName": "L",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "stateOrProvinceName": "ST",
    "streetAddress": "STREET",
    "userId": "UID",
}
"""Attribute types with a short name. Spec: RFC 4514 §3."""
_special: Final = re.compile(r'[,+"\\<>;=]|^[ #]| $|[\x00-\x1f\x7f]')
_plain: Final = re.compile(rb'[^,;="\\\x00-\x20\x7f-\xff]+').fullmatch


class Unnameable(ValueError):
    """A name in the certificate holds what no name may: control bytes."""


class ClientIdentity:
    """How a connection was authenticated: `policy` says by which rules, empty fields mean no certificate.

    `policy` is equal for equal `model.ClientAuth`. `digest` is SHA-256 of the certificate, hex.
    `forwarded` is the value of `x-forwarded-client-cert`, in Envoy's syntax.
    """

    __slots__ = ("digest", "dns", "forwarded", "policy", "subject", "uri")

    def __init__(self, policy: bytes) -> None:
        self.policy = policy
        self.digest = b""
        self.subject = b""
        self.dns: tuple[bytes, ...] = ()
        self.uri: tuple[bytes, ...] = ()
        self.forwarded = b""

    @property
    def presented(self) -> bool:
        """Whether there was a certificate; it was verified then."""
        return bool(self.digest)

    def read(self, certificate: dict[str, Any], der: bytes) -> None:
        """Take over `certificate` in the form of `ssl.SSLSocket.getpeercert`.

        Raises Unnameable when one of its alternative names holds a control byte.
        """
        listed = certificate.get("subjectAltName", ())
        names = [(kind, value.encode("utf-8", "replace")) for kind, value in listed]
        if any(byte < 0x20 or byte == 0x7F for _, value in names for byte in value):
            raise Unnameable("a control byte in a name of the client's certificate")
        self.digest = sha256(der).hexdigest().encode()
        self.subject = distinguished_name(certificate.get("subject", ())).encode("utf-8", "replace")
        self.dns = tuple(value for kind, value in names if kind == "DNS")
        self.uri = tuple(value for kind, value in names if kind == "URI")
        parts = [b"Hash=" + self.digest, b"Subject=" + quoted(self.subject, always=True)]
        parts += [b"URI=" + quoted(uri) for uri in self.uri]
        parts += [b"DNS=" + quoted(name) for name in self.dns]
        self.forwarded = b";".join(parts)


def distinguished_name(subject: Any) -> str:
    """`CN=…,O=…`, the most specific part first. Spec: RFC 4514 §2."""
    parts = []
    for relative in reversed(subject):
        parts.append("+".join(f"{_SHORT.get(name, name)}={_escaped(value)}" for name, value in relative))
    return ",".join(parts)


def _escaped(value: str) -> str:
    return _special.sub(lambda found: _escape(found[0]), value)


def _escape(character: str) -> str:
    return f"\\{ord(character):02X}" if ord(character) < 0x20 or character == "\x7f" else f"\\{character}"


def quoted(value: bytes, always: bool = False) -> bytes:
    """As a value inside `x-forwarded-client-cert`: in quotes when it holds what separates."""
    if not always and _plain(value):
        return value
    return b'"' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'

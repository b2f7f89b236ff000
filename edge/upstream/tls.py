"""TLS towards upstreams. The certificate is always verified, against the name asked for or a list."""

from __future__ import annotations

import os
import ssl
from typing import Any, Final
from weakref import WeakValueDictionary

from edge import model

_ALPN: Final = {"h1": "http/1.1", "h2": "h2"}
_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class ClientTls:
    """A context, and the name it is used with: `sni`, or the endpoint's host."""

    __slots__ = ("_sni", "context")

    def __init__(self, context: ssl.SSLContext, sni: str) -> None:
        self.context = context
        self._sni = sni

    def at(self, endpoint: model.Endpoint) -> ClientTls:
        """For one endpoint: an address that a name was looked up for proves to be that name."""
        return ClientTls(self.context, endpoint.name) if endpoint.name and not self._sni else self

    def name(self, host: str) -> str:
        """What is asked for, and what the endpoint `host` must prove to be unless there is a list."""
        return self._sni or host


def client_tls(cluster: model.Cluster) -> ClientTls | None:
    """None for plain clusters. Raises ssl.SSLError (an OSError) for authorities or keys that are none."""
    tls = cluster.tls
    return ClientTls(_context(tls_key(tls), cluster.protocol), tls.sni) if tls is not None else None


Key = tuple[bytes, bytes, bytes, str, tuple[str, ...]]


def tls_key(tls: model.UpstreamTls) -> Key:
    """All that a context depends on."""
    return tls.ca_pem, tls.chain_pem, tls.key_pem, tls.min_version, tuple(tls.names)


_contexts: Final[WeakValueDictionary[tuple[Key, str], ssl.SSLContext]] = WeakValueDictionary()
"""Those in use. A context with the system's authorities takes 20 ms and a megabyte, so they are shared; where
certificates are renewed every hour those of before must not stay."""


def _context(key: Key, protocol: str) -> ssl.SSLContext:
    found = _contexts.get((key, protocol))
    if found is None:
        found = _contexts[key, protocol] = _made(key, protocol)
    return found


def _made(key: Key, protocol: str) -> ssl.SSLContext:
    ca_pem, chain_pem, key_pem, min_version, names = key
    # Bundles hold comments in other encodings; what is between the markers is ASCII.
    context = ssl.create_default_context(cadata=ca_pem.decode("ascii", "ignore") if ca_pem else None)
    context.minimum_version = _VERSIONS[min_version]
    context.set_alpn_protocols([_ALPN[protocol]])
    if chain_pem:
        _show(context, chain_pem, key_pem)
    if names:
        context.check_hostname = False
        context.sslobject_class = _verifier(
            frozenset(name if "://" in name else name.lower() for name in names)
        )
    return context


def _show(context: ssl.SSLContext, chain_pem: bytes, key_pem: bytes) -> None:
    """Python's ssl loads from paths only: this one is on no disk."""
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(chain_pem + b"\n" + key_pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _verifier(names: frozenset[str]) -> type[ssl.SSLObject]:
    """Objects whose handshake fails unless the certificate is for one of `names`.

    OpenSSL has verified its chain by then.
    """

    class Verified(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            found = self.getpeercert() or {}
            if not any(is_for(kind, value, names) for kind, value in _alt_names(found)):
                raise ssl.SSLCertVerificationError("the certificate is for none of subjectAltNames")

    return Verified


def _alt_names(certificate: Any) -> list[tuple[str, str]]:
    return list(certificate.get("subjectAltName", ()))


def is_for(kind: str, value: str, names: frozenset[str]) -> bool:
    """Whether one name of a certificate is good for one of `names`. Spec: RFC 9525 §6.3."""
    if kind == "URI":
        return value in names
    if kind != "DNS":
        return False
    value = value.lower()
    if value in names:
        return True
    return value.startswith("*.") and any(name.partition(".")[2] == value[2:] for name in names)

"""TLS towards upstreams. The certificate is always verified, against the name asked for."""

from __future__ import annotations

import ssl
from functools import lru_cache
from typing import Final

from edge import model

_ALPN: Final = {"h1": "http/1.1", "h2": "h2"}


class ClientTls:
    """A context, and the name it is used with: `sni`, or the endpoint's host."""

    __slots__ = ("_sni", "context")

    def __init__(self, context: ssl.SSLContext, sni: str) -> None:
        self.context = context
        self._sni = sni

    def name(self, host: str) -> str:
        """What the endpoint `host` must prove to be."""
        return self._sni or host


def client_tls(cluster: model.Cluster) -> ClientTls | None:
    """None for plain clusters. Raises ssl.SSLError (an OSError) for authorities that are none."""
    tls = cluster.tls
    return ClientTls(_context(tls.ca_pem, cluster.protocol), tls.sni) if tls is not None else None


@lru_cache(maxsize=256)
def _context(ca_pem: bytes, protocol: str) -> ssl.SSLContext:
    """Reading the system's authorities takes some 20 ms, so contexts are shared."""
    # Bundles hold comments in other encodings; what is between the markers is ASCII.
    context = ssl.create_default_context(cadata=ca_pem.decode("ascii", "ignore") if ca_pem else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([_ALPN[protocol]])
    return context

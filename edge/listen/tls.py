"""Server TLS contexts: one per certificate, chosen by SNI in the handshake.

A context lives as long as any connection that uses it; new certificates make new contexts.
Keys reach OpenSSL through a memfd, because Python's ssl loads from paths only, and are on no disk.
"""

from __future__ import annotations

import os
import ssl
from typing import Final

from edge import model
from edge.listen import openssl

CIPHERS: Final = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
"""TLS 1.2 suites with forward secrecy and AEAD; TLS 1.3 brings its own."""

SNI_ATTRIBUTE: Final = "edge_sni"
"""Set on the SSLObject of a connection whose client named a host."""


def server_context(certificates: list[model.Certificate], alpn: list[str]) -> openssl.ServerContext:
    """The context to listen with: the first certificate, and the others by SNI.

    Raises ssl.SSLError when a chain and its key do not belong together.
    """
    contexts = [_context(certificate, alpn) for certificate in certificates]
    exact: dict[str, ssl.SSLContext] = {}
    wildcard: dict[str, ssl.SSLContext] = {}
    for certificate, context in zip(certificates, contexts, strict=True):
        for hostname in certificate.hostnames:
            name = hostname.lower()
            if name.startswith("*."):
                wildcard.setdefault(name[1:], context)
            else:
                exact.setdefault(name, context)

    def choose(connection: ssl.SSLObject, name: str | None, default: ssl.SSLContext) -> None:
        if name is None:
            return
        name = name.lower()
        setattr(connection, SNI_ATTRIBUTE, name)
        chosen = exact.get(name)
        if chosen is None:
            chosen = wildcard.get(name[name.find(".") :]) if "." in name else None
        if chosen is not None and chosen is not default:
            connection.context = chosen

    for context in contexts:
        context.sni_callback = choose
    return contexts[0]


def _context(certificate: model.Certificate, alpn: list[str]) -> openssl.ServerContext:
    context = openssl.ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.num_tickets = 1
    openssl.tune(context, alpn)
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, certificate.chain_pem + b"\n" + certificate.key_pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    return context

"""Server TLS contexts: one per certificate, chosen by SNI in the handshake.

A context lives as long as any connection that uses it; new certificates make new contexts.
Keys reach OpenSSL through a memfd, because Python's ssl loads from paths only, and are on no disk.
"""

from __future__ import annotations

import os
import ssl
from hashlib import sha256
from typing import Final

from edge import model
from edge.exchange.arrival import policy_of
from edge.listen import openssl
from edge.listen.context import Hosts, ServerContext, share_tickets
from edge.listen.openssl import NATIVE

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class CannotListen(ValueError):
    """The OpenSSL of this machine cannot do what the configuration asks for."""


def server_context(
    certificates: list[model.Certificate],
    alpn: list[str],
    profile: model.TlsProfile | None = None,
    scope: str = "",
) -> ServerContext:
    """The context to listen with: the first certificate, and the others by SNI.

    Tickets are good for the same `scope` and the same rules for client certificates only.
    Raises ssl.SSLError when a chain and its key do not belong together, CannotListen.
    """
    profile = profile or model.TlsProfile()
    contexts = [_context(certificate, alpn, profile, scope) for certificate in certificates]
    first = contexts[0]
    hosts = Hosts(first)
    for certificate, context in zip(certificates, contexts, strict=True):
        context.listening = first
        for hostname in certificate.hostnames:
            hosts.add(hostname, context)
    hosts.watch()
    # A context that is switched to is referred to by the first one's callback, so it lives as long.
    share_tickets(first)
    return first


def _context(
    certificate: model.Certificate, alpn: list[str], profile: model.TlsProfile, scope: str
) -> ServerContext:
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[profile.minimum]
    context.maximum_version = _VERSIONS[profile.maximum]
    context.set_ciphers(":".join(profile.suites))
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.num_tickets = 1
    _tune(context, alpn, profile)
    _load(context, certificate)
    _authenticate(context, certificate.client_auth, scope)
    return context


def _tune(context: ServerContext, alpn: list[str], profile: model.TlsProfile) -> None:
    """Our groups and suites, no server-side session cache, strict ALPN; where OpenSSL can."""
    if NATIVE is None:
        if profile != model.TlsProfile(
            minimum=profile.minimum, maximum=profile.maximum, suites=profile.suites
        ):
            raise CannotListen(f"{ssl.OPENSSL_VERSION} takes no groups and TLS 1.3 suites of ours")
        context.set_alpn_protocols(alpn)
        return
    pointer = openssl.context_pointer(context)
    NATIVE.cache_off(pointer)
    if not NATIVE.set_groups(pointer, profile.groups):
        raise CannotListen(
            f"{ssl.OPENSSL_VERSION} does not know all of the groups {', '.join(profile.groups)}"
        )
    if not NATIVE.set_suites(pointer, profile.suites_13):
        raise CannotListen(f"{ssl.OPENSSL_VERSION} does not know all of {', '.join(profile.suites_13)}")
    context.callbacks = (NATIVE.choose_alpn(pointer, alpn),)


def _load(context: ServerContext, certificate: model.Certificate) -> None:
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, certificate.chain_pem + b"\n" + certificate.key_pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _authenticate(context: ServerContext, auth: model.ClientAuth | None, scope: str) -> None:
    """Ask clients for certificates as `auth` says; sessions of other rules are not resumed here."""
    policy = policy_of(auth)
    if auth is not None:
        if NATIVE is None:
            raise CannotListen(f"{ssl.OPENSSL_VERSION} cannot check client certificates by host")
        context.policy = policy
        context.verify = openssl.VERIFY_REQUIRED if auth.required else openssl.VERIFY_SHOWN
        context.verify_mode = ssl.CERT_REQUIRED if auth.required else ssl.CERT_OPTIONAL
        context.load_verify_locations(cadata=auth.ca_pem.decode("ascii", "replace"))
    if NATIVE is not None:
        NATIVE.set_scope(openssl.context_pointer(context), sha256(scope.encode() + b"\0" + policy).digest())

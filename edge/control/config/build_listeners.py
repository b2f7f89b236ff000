"""A listener of a loaded configuration as workers get it."""

from __future__ import annotations

from typing import Final

from edge import model
from edge.control.config.load import Loaded
from edge.control.config.problem import Path
from edge.control.config.schema import listeners as schema
from edge.control.config.schema.tls import SUITES, SUITES_13, ClientAuth, Tls

_PERMANENT: Final = 308
"""With its method and body. Spec: RFC 9110 §15.4.9."""


def listener_model(loaded: Loaded, index: int, listener: schema.Listener, port: int) -> model.Listener:
    """`index` is its place in the file, `port` the bound one."""
    return model.Listener(
        name=listener.name,
        host=listener.address.host,
        port=port,
        hostnames=list(listener.hostnames),
        certificates=_certificates(loaded, index, listener.tls) if listener.tls else [],
        protocols=list(listener.protocols),
        advertised_port=listener.advertised_port or 0,
        tls=_profile(listener.tls) if listener.tls else model.TlsProfile(),
        proxy_protocol=_proxy_protocol(listener.proxy_protocol),
        forwarded=_forwarded(listener.forwarded),
    )


def redirects(listeners: list[schema.Listener]) -> list[model.Route]:
    """Routes of listeners that send everything to https."""
    return [
        model.Route(
            name=f"{listener.name}:https",
            listeners=[listener.name],
            hostnames=[],
            rules=[model.Rule(name=f"{listener.name}:https", matches=[model.Match()], redirect=_to(port))],
        )
        for listener in listeners
        if (port := listener.redirect_to_https)
    ]


def _to(port: bool | int) -> model.Redirect:
    """A port that is not named is that of the scheme."""
    return model.Redirect(scheme=b"https", port=None if port is True else port, status=_PERMANENT)


def _certificates(loaded: Loaded, index: int, tls: Tls) -> list[model.Certificate]:
    place: Path = ("listeners", index, "tls")
    asked = _client_auth(loaded, place, tls.client_auth)
    made = []
    for position, certificate in enumerate(tls.certificates):
        path = (*place, "certificates", position)
        pair = loaded.certificates[path]
        own = certificate.client_auth
        made.append(
            model.Certificate(
                hostnames=certificate.hostnames or list(pair.names),
                chain_pem=pair.chain_pem,
                key_pem=pair.key_pem,
                client_auth=asked if own is None else _client_auth(loaded, path, own),
            )
        )
    return made


def _client_auth(loaded: Loaded, path: Path, auth: ClientAuth | None) -> model.ClientAuth | None:
    if auth is None or auth.mode == "None":
        return None
    ca_pem = loaded.authorities[(*path, "clientAuth", "caFile")]
    return model.ClientAuth(required=auth.mode == "Required", ca_pem=ca_pem)


def _profile(tls: Tls) -> model.TlsProfile:
    """What the file leaves open is as the model has it."""
    default = model.TlsProfile()
    named = tls.cipher_suites or []
    return model.TlsProfile(
        minimum=tls.min_version,
        maximum=tls.max_version,
        suites=[suite for suite in named if suite in SUITES] or default.suites,
        suites_13=[suite for suite in named if suite in SUITES_13] or default.suites_13,
        groups=list(tls.groups or default.groups),
    )


def _proxy_protocol(asked: schema.ProxyProtocol | None) -> model.ProxyProtocol | None:
    return model.ProxyProtocol(trusted=list(asked.from_), required=asked.required) if asked else None


def _forwarded(asked: schema.Forwarded | None) -> model.Forwarded | None:
    if asked is None:
        return None
    rfc7239 = asked.header == "Forwarded"
    return model.Forwarded(hops=asked.trusted_hops, trusted=list(asked.trusted), rfc7239=rfc7239)

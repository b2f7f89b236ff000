"""Who a request comes from, where a listener has more to say about it than the peer's address.

That is so where hops in front are trusted (`Forwarded`), and where clients show certificates. A
listener with neither has no `Arrivals`, and pays nothing.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from edge import model
from edge.errors import EdgeError, Misdirected
from edge.exchange.forwarding import Hops
from edge.exchange.seams import Connection
from edge.head import Fields, RequestHead
from edge.syntax import is_forwarding

CERTIFICATE_FIELD: Final = b"x-forwarded-client-cert"


def policy_of(auth: model.ClientAuth | None) -> bytes:
    """Equal for equal rules about client certificates, empty where none are asked for."""
    if auth is None:
        return b""
    return sha256(b"%d" % auth.required + auth.ca_pem).digest()


class Policies:
    """Which rules for client certificates hold for a host, as the handshake chooses them for a name."""

    def __init__(self, certificates: list[model.Certificate]) -> None:
        self._exact: dict[bytes, bytes] = {}
        self._wildcard: dict[bytes, bytes] = {}
        self._default = policy_of(certificates[0].client_auth)
        for certificate in certificates:
            policy = policy_of(certificate.client_auth)
            for hostname in certificate.hostnames:
                name = hostname.lower().encode()
                if name.startswith(b"*."):
                    self._wildcard.setdefault(name[1:], policy)
                else:
                    self._exact.setdefault(name, policy)

    def of(self, authority: bytes) -> bytes:
        """For a canonical authority."""
        host, colon, port = authority.rpartition(b":")
        if not colon or not port.isdigit():
            host = authority
        found = self._exact.get(host)
        if found is None:
            found = self._wildcard.get(host[host.find(b".") :]) if b"." in host else None
        return self._default if found is None else found


class Arrivals:
    """Of one listener. `hops` None = nobody in front is believed."""

    __slots__ = ("_hops", "_policies")

    def __init__(self, hops: Hops | None, policies: Policies | None) -> None:
        self._hops = hops
        self._policies = policies

    def enter(self, connection: Connection, head: RequestHead) -> tuple[Connection, EdgeError | None]:
        """Put into `head` who the client is; the connection to show for it, and why it is refused."""
        seen = connection
        if self._hops is not None:
            told, head.fields = _parted(head.fields)
            seen = self._hops.look(connection, head, told)
        else:
            # The codec has dropped what the client claimed.
            peer = connection.peer[0].encode()
            head.fields += [(b"x-forwarded-for", peer), (b"x-forwarded-proto", head.scheme)]
        refusal: EdgeError | None = None
        if self._policies is not None:
            identity = connection.identity
            if identity is not None and identity.forwarded:
                head.fields.append((CERTIFICATE_FIELD, identity.forwarded))
            if (identity.policy if identity is not None else b"") != self._policies.of(head.authority):
                refusal = Misdirected(f"{head.authority!r} has other rules for client certificates")
        return seen, refusal


def _parted(fields: Fields) -> tuple[Fields, Fields]:
    """What tells of hops, and the rest."""
    told: Fields = []
    kept: Fields = []
    for field in fields:
        (told if is_forwarding(field[0]) else kept).append(field)
    return told, kept


def arrivals_of(listener: model.Listener) -> Arrivals | None:
    """None for a listener that believes nobody and asks for no certificate."""
    policies = None
    if any(certificate.client_auth is not None for certificate in listener.certificates):
        policies = Policies(listener.certificates)
    hops = Hops(listener.forwarded) if listener.forwarded is not None else None
    return Arrivals(hops, policies) if hops is not None or policies is not None else None

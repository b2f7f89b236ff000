"""The listeners' sockets: bound once by the supervisor, inherited by every worker it starts.

They live on when a worker dies, so that connections wait in the backlog for the next one.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from edge.control.config.quantity import HostPort

BACKLOG = 4096


@dataclass(frozen=True, slots=True)
class Bound:
    """`port` is never 0."""

    name: str
    socket: socket.socket
    address: HostPort


class CannotBind(Exception):
    """The text says which listener (or admin), which address, why, and what to do."""


def bind_all(listeners: Iterable[tuple[str, HostPort]], kind: str = "listener ") -> list[Bound]:
    """All or none. Raises CannotBind; `kind` stands before the name in its text."""
    bound: list[Bound] = []
    for name, address in listeners:
        try:
            made = bind(address)
        except OSError as error:
            for each in bound:
                each.socket.close()
            raise CannotBind(f"{kind}{name}: cannot bind {address}: {_reason(error, address.port)}") from None
        port: int = made.getsockname()[1]
        bound.append(Bound(name, made, HostPort(address.host, port)))
    return bound


def bind_udp(beside: Iterable[Bound]) -> list[Bound]:
    """For each TCP socket a UDP socket of the same address, named `NAME/udp`. Raises CannotBind."""
    bound: list[Bound] = []
    for tcp in beside:
        family = tcp.socket.family
        made = socket.socket(family, socket.SOCK_DGRAM)
        try:
            if family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.bind((tcp.address.host, tcp.address.port))
        except OSError as error:
            for each in bound:
                each.socket.close()
            made.close()
            reason = _reason(error, tcp.address.port)
            raise CannotBind(f"listener {tcp.name}: cannot bind UDP {tcp.address} for h3: {reason}") from None
        made.setblocking(False)
        bound.append(Bound(f"{tcp.name}/udp", made, tcp.address))
    return bound


def bind(address: HostPort) -> socket.socket:
    """A listening TCP socket with SO_REUSEPORT. Raises OSError when another process listens there."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    if address.port:
        # With SO_REUSEPORT alone two edges would share a port without a word; this bind fails then.
        with socket.socket(family) as probe:
            _prepare(probe, family)
            probe.bind((address.host, address.port))
    made = socket.socket(family)
    try:
        _prepare(made, family)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind((address.host, address.port))
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    return made


def _reason(error: OSError, port: int) -> str:
    said = (error.strerror or str(error)).lower()
    if error.errno == errno.EADDRINUSE:
        return f"{said}; stop what listens there (`ss -lpn sport = :{port}` names it) or choose another port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{said}; no interface of this machine has it (0.0.0.0 and [::] stand for all of them)"
    if error.errno == errno.EACCES:
        return f"{said}; ports below 1024 need CAP_NET_BIND_SERVICE, or choose a higher one"
    return said


def _prepare(made: socket.socket, family: socket.AddressFamily) -> None:
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)

"""The listeners' sockets: bound once by the supervisor, one for each worker.

They live on when a worker dies, so that its connections wait in the backlog for the next one.
SO_REUSEPORT spreads new connections over the workers' sockets.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from edge.control.config.quantity import HostPort
from edge.control.steering import steer
from edge.room import narrow

BACKLOG = 4096


@dataclass(frozen=True, slots=True)
class Bound:
    """An address with a socket for each worker, in order of their numbers. `port` is never 0."""

    name: str
    sockets: tuple[socket.socket, ...]
    address: HostPort

    @property
    def socket(self) -> socket.socket:
        """The first one: where there is only one."""
        return self.sockets[0]

    def close(self) -> None:
        for each in self.sockets:
            each.close()


class CannotBind(Exception):
    """The text says which listener (or admin), which address, why, and what to do."""


def bind_all(
    listeners: Iterable[tuple[str, HostPort]],
    kind: str = "listener ",
    workers: int = 1,
    alone: bool = True,
) -> list[Bound]:
    """All or none. Raises CannotBind; `kind` stands before the name in its text.

    `alone` False = sockets of our own may be on the port already.
    """
    bound: list[Bound] = []
    for name, address in listeners:
        try:
            made = bind(address, workers, alone)
        except OSError as error:
            for each in bound:
                each.close()
            raise CannotBind(f"{kind}{name}: cannot bind {address}: {_reason(error, address.port)}") from None
        port: int = made[0].getsockname()[1]
        bound.append(Bound(name, made, HostPort(address.host, port)))
    return bound


def bind_udp(beside: Iterable[Bound]) -> list[Bound]:
    """For each TCP address as many UDP sockets, named `NAME/udp`. Raises CannotBind.

    The order of the sockets is what steering counts by, so a socket keeps its place for life.
    """
    bound: list[Bound] = []
    for tcp in beside:
        try:
            made = _bound(tcp.address, socket.SOCK_DGRAM, len(tcp.sockets))
        except OSError as error:
            for each in bound:
                each.close()
            reason = _reason(error, tcp.address.port)
            raise CannotBind(f"listener {tcp.name}: cannot bind UDP {tcp.address} for h3: {reason}") from None
        for each_socket in made:
            each_socket.setblocking(False)
        if len(made) > 1:
            steer(made)
        bound.append(Bound(f"{tcp.name}/udp", made, tcp.address))
    return bound


def bind(address: HostPort, workers: int = 1, alone: bool = True) -> tuple[socket.socket, ...]:
    """Listening TCP sockets with SO_REUSEPORT. Raises OSError when another process listens there."""
    made = _bound(address, socket.SOCK_STREAM, workers, alone)
    try:
        for each in made:
            narrow(each)
            each.listen(BACKLOG)
    except OSError:
        for each in made:
            each.close()
        raise
    return made


def _bound(
    address: HostPort, kind: socket.SocketKind, count: int, alone: bool = True
) -> tuple[socket.socket, ...]:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    port = address.port
    if port and alone:
        # With SO_REUSEPORT alone two edges would share a port without a word; this bind fails then.
        with socket.socket(family, kind) as probe:
            _prepare(probe)
            probe.bind((address.host, port))
    made: list[socket.socket] = []
    try:
        for _ in range(count):
            each = socket.socket(family, kind)
            made.append(each)
            _prepare(each)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            each.bind((address.host, port))
            port = each.getsockname()[1]
    except OSError:
        for each in made:
            each.close()
        raise
    return tuple(made)


def _reason(error: OSError, port: int) -> str:
    said = (error.strerror or str(error)).lower()
    if error.errno == errno.EADDRINUSE:
        return f"{said}; stop what listens there (`ss -lpn sport = :{port}` names it) or choose another port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{said}; no interface of this machine has it (0.0.0.0 and [::] stand for all of them)"
    if error.errno == errno.EACCES:
        return f"{said}; ports below 1024 need CAP_NET_BIND_SERVICE, or choose a higher one"
    return said


def _prepare(made: socket.socket) -> None:
    if made.type == socket.SOCK_STREAM:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if made.family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)

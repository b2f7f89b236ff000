"""A listener as the next revision wants it, and one as it stands."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from edge import listen, model
from edge.codec.context import ListenerContext
from edge.exchange.arrival import arrivals_of
from edge.pipeline import Pipeline

if TYPE_CHECKING:
    from edge.codec.h3.certificates import Certificates
    from edge.listen.quic import QuicListener

UDP: Final = "/udp"
"""Behind a listener's name: its socket for HTTP/3."""


class Inode:
    """Tells whether two descriptors are of one socket."""

    __slots__ = ("_number",)

    def __init__(self, sock: socket.socket) -> None:
        self._number = os.fstat(sock.fileno()).st_ino

    def is_same(self, sock: socket.socket) -> bool:
        return os.fstat(sock.fileno()).st_ino == self._number


class Standing:
    """A listener that serves."""

    __slots__ = ("context", "model", "pipeline", "quic", "quic_socket", "tcp", "tcp_socket")

    def __init__(
        self,
        listener: model.Listener,
        context: ListenerContext,
        pipeline: Pipeline,
        tcp: listen.Listener,
        sock: socket.socket,
    ) -> None:
        self.model = listener
        self.context = context
        self.pipeline = pipeline
        self.tcp = tcp
        self.tcp_socket = Inode(sock)
        self.quic: QuicListener | None = None
        self.quic_socket: Inode | None = None

    def know_clients(self) -> None:
        """What the listener believes about who its clients are, from the next request and connection on."""
        listener = self.model
        self.pipeline.arrivals = arrivals_of(listener)
        self.context.keep_forwarding = listener.forwarded is not None
        self.tcp.door = listen.door_of(listener, self.context.refused)
        if self.tcp.context is not None:
            self.tcp.context.refused = self.context.refused


class Planned:
    """Everything made that could fail; contexts of unchanged handshakes are those that serve."""

    __slots__ = ("certificates", "context", "model")

    def __init__(self, listener: model.Listener, before: Standing | None) -> None:
        self.model = listener
        self.certificates: Certificates | None = None
        same = before is not None and _handshakes(before.model) == _handshakes(listener)
        self.context = before.tcp.context if before is not None and same else listen.context_for(listener)
        if "h3" in listener.protocols:
            from edge.codec.h3.certificates import Certificates

            self.certificates = Certificates(listener.certificates, listener.tls)


def _handshakes(listener: model.Listener) -> model.Listener:
    """What decides about handshakes: everything but where the listener is."""
    return msgspec.structs.replace(listener, name="", host="", port=0, advertised_port=0)


class Plan:
    """What `Listening.apply` will do. Owns the sockets that came with the revision until they are taken."""

    def __init__(self, limits: model.Limits, sockets: Mapping[str, socket.socket]) -> None:
        self.planned: dict[str, Planned] = {}
        self.limits = limits
        self.sockets = dict(sockets)

    def take(self, name: str) -> socket.socket:
        """The socket is the caller's from now on."""
        return self.sockets.pop(name)

    def close(self) -> None:
        """What was not taken is not needed."""
        for sock in self.sockets.values():
            sock.close()
        self.sockets.clear()

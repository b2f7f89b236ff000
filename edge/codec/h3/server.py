"""One downstream HTTP/3 connection: datagrams in, exchanges out, datagrams out. Sans-io."""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Any, Final, Protocol

import pylsqpack
from aioquic.quic.events import (
    ConnectionTerminated,
    HandshakeCompleted,
    ProtocolNegotiated,
    StopSendingReceived,
    StreamDataReceived,
    StreamReset,
)

from edge.codec.context import ListenerContext
from edge.codec.h3.accounts import Accounts
from edge.codec.h3.session import ALL_STREAMS, Session
from edge.codec.h3.stream import H3Stream
from edge.codec.h3.transport import Transport
from edge.codec.h3.unread import Unread
from edge.codec.h3.wire import Code, ConnectionFault
from edge.errors import BadRequest, DownstreamClosed, Flooded
from edge.exchange.identity import ClientIdentity

Address = tuple[str, int]
Datagram = tuple[bytes, Any]

GOAWAY_S: Final = 0.5
"""Between the GOAWAY that warns and the one that counts: requests under way must have arrived."""
LINGER_S: Final = 2.0
"""For acknowledgements of the last answer: a close on its heels would cut it off."""
HANDSHAKE_S: Final = 10.0
"""A client that has not finished its handshake by then is forgotten."""
BEGUN_PER_TURN: Final = 16
"""Requests of one connection in one turn of the loop; what came behind them waits for the next, unread."""


class Host(Protocol):
    """Where datagrams come from and go to."""

    def wake(self, server: H3Server) -> None:
        """`server` has something to send, or to do, at the end of this turn of the loop."""

    def cids_changed(self, server: H3Server) -> None:
        """`server.transport.cids()` is not what it was."""

    def established(self, server: H3Server) -> None:
        """The handshake is complete."""


class H3Server(Accounts):
    """Implements `Connection`; its streams implement `Downstream`.

    The host calls `receive`, `fired` and, at the end of a turn, `turn` and `transmit`. Whatever goes
    wrong in here ends this connection and no other.
    """

    __slots__ = (
        "_begun",
        "_came_from",
        "_closing",
        "_dead",
        "_established",
        "_going",
        "_host",
        "_next",
        "_path",
        "_session",
        "_streams",
        "_unread",
        "deadline",
        "decoder",
        "filed",
        "id",
        "identity",
        "local",
        "peer",
        "sni",
        "terminated",
        "tls_version",
    )

    decoder: pylsqpack.Decoder

    def __init__(
        self, context: ListenerContext, transport: Transport, host: Host, peer: Address, local: Address
    ) -> None:
        super().__init__(context, transport)
        self._host = host
        self.id = context.next_id()
        self.local = local
        self._path: Any = peer
        self._came_from = peer[0]
        """The address that was counted; a client may move."""
        self._locate(peer)
        self.tls_version = "TLSv1.3"
        self.sni = ""
        self.identity: ClientIdentity | None = None
        self.filed = inf
        self.deadline = context.clock() + HANDSHAKE_S
        self.terminated = False
        self._session: Session | None = None
        self._streams: dict[int, H3Stream] = {}
        self._dead: set[int] = set()
        self._next = 0
        self._begun = 0
        """Requests in this turn."""
        self._going: int | None = None
        self._unread: Unread | None = None
        self._closing = False
        self._established = False
        context.deadlines.watch(self)

    def _locate(self, peer: Address) -> None:
        host, port = peer[0], peer[1]
        self.peer = (host, port)
        self.client = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}").encode()

    # ---- what the host calls

    def receive(self, data: bytes, addr: Any, now: float) -> None:
        """A datagram that is for this connection."""
        transport = self.transport
        try:
            transport.receive_datagram(data, addr, now)
            self._pump()
            if transport._close_event is not None and not self._closing:
                self._end()
            if len(transport._network_paths) > 1:
                self._migrated()
            if self._going is not None:
                self._close_if_idle()
            if self.slow:
                for stream in list(self.slow):
                    stream.acknowledged()
        except ConnectionFault as fault:
            self._broken(fault)
        except Exception as error:
            self.crashed(error)
        if self.urgent or transport.must_send(now):
            self.wake()

    def fired(self, now: float) -> None:
        """The time `next_timer` gave has come."""
        try:
            self.transport.handle_timer(now)
            self._pump()
        except Exception as error:
            self.crashed(error)
        self.wake()

    def turn(self) -> None:
        """What was left for the end of the loop's turn."""
        self.awake = False
        while self._later:
            later, self._later = self._later, []
            for callback in later:
                try:
                    callback()
                except Exception as error:
                    self.crashed(error)
        if self._begun:
            self._begun = 0
            if self.transport._events:
                self._go_on()

    def _go_on(self) -> None:
        """With what came when enough was begun."""
        try:
            self._pump()
            if self._going is not None:
                self._close_if_idle()
        except ConnectionFault as fault:
            self._broken(fault)
        except Exception as error:
            self.crashed(error)

    def transmit(self, now: float) -> list[Datagram]:
        """Datagrams to send now, with where to."""
        try:
            datagrams = self.transport.send_now(now)
            if self.transport._events:
                self._pump()
        except Exception as error:
            self.crashed(error)
            return []
        self.urgent = not self._established
        return datagrams

    def next_timer(self) -> float | None:
        """When `fired` wants to be called next."""
        return self.transport.get_timer()

    def ends_at(self) -> float | None:
        """When `fired` ends a connection that hears nothing more. Spec: RFC 9000 §10.1."""
        return self.transport._close_at

    def wake(self) -> None:
        """Have `turn` and `transmit` called."""
        if not self.awake:
            self.awake = True
            self._host.wake(self)

    # ---- events of QUIC

    def _pump(self) -> None:
        events: deque[Any] = self.transport._events
        while events and self._begun < BEGUN_PER_TURN:
            event = events.popleft()
            kind = type(event)
            if kind is StreamDataReceived:
                self._stream_data(event)
            elif kind is StreamReset:
                self._stream_reset(event.stream_id)
            elif kind is StopSendingReceived:
                self._stop_sending(event)
            elif kind is ProtocolNegotiated:
                self._session = Session(self.transport, self.context.limits.head_bytes)
                self.decoder = self._session.decoder
            elif kind is HandshakeCompleted:
                self._greeted()
            elif kind is ConnectionTerminated:
                self._terminated()
        if self.transport.cid_retired:
            # Now, whatever waits: the id in its place is announced with the next packet.
            self.transport.cid_retired = False
            self._host.cids_changed(self)
        if events:
            self.wake()

    def _stream_data(self, event: StreamDataReceived) -> None:
        stream_id, data, end = event.stream_id, event.data, event.end_stream
        if self._closing:
            return
        if stream_id & 3:
            self._uni_data(event)
            return
        if not end:
            end = self._ends_at_once(stream_id)
        stream = self._streams.get(stream_id)
        if stream is None:
            stream = self._new_stream(stream_id, end)
        elif end:
            stream.told_all = True
        if stream is not None:
            stream.receive(data, end)
        elif end:
            self._dead.discard(stream_id)
        if data and self.transport.consumed(len(data)):
            self.urgent = True

    def _ends_at_once(self, stream_id: int) -> bool:
        """Some clients send the end in a frame of its own: a request without a body must not get one."""
        events = self.transport._events
        if events:
            event = events[0]
            if type(event) is StreamDataReceived and event.stream_id == stream_id and not event.data:
                events.popleft()
                return event.end_stream
        return False

    def _new_stream(self, stream_id: int, end: bool) -> H3Stream | None:
        """A stream for a request that begins; None when nobody wants what comes on it."""
        if stream_id in self._dead:
            return None
        quic = self.transport._streams.get(stream_id)
        if quic is None:
            # It was cancelled, and let go, while it waited for its turn.
            self._next = max(self._next, stream_id + 4)
            if not end:
                self._dead.add(stream_id)
            self.cancelled()
            return None
        stream = H3Stream(self, stream_id, quic)
        stream.told_all = end
        self._streams[stream_id] = stream
        if self._going is not None and stream_id >= self._going:
            # Not processed at all: the client may send it again elsewhere. RFC 9114 §5.2.
            stream.abort(Code.REQUEST_REJECTED)
            return None
        if quic.sender._reset_error_code is not None:
            # STOP_SENDING came first: nobody waits for an answer.
            self.cancelled()
            stream.abort(Code.REQUEST_CANCELLED)
            return None
        self._next = max(self._next, stream_id + 4)
        self._begun += 1
        return stream

    def _uni_data(self, event: StreamDataReceived) -> None:
        if self._session is None or event.stream_id & 3 != 2:
            raise ConnectionFault(Code.INTERNAL_ERROR, "a stream nobody opened")
        self._session.receive(event, self._served, self.context.clock())
        stream = self.transport._streams.get(event.stream_id)
        grown = stream is not None and self.transport.grant_uni(stream)
        if self.transport.consumed(len(event.data)) or grown:
            self.urgent = True

    def _stream_reset(self, stream_id: int) -> None:
        if self._closing:
            return
        if stream_id & 3:
            if self._session is not None:
                self._session.reset(stream_id, self._served, self.context.clock())
            return
        stream = self._streams.get(stream_id)
        if stream is not None:
            stream.told_all = True
            stream.client_gone()
        elif stream_id in self._dead:
            self._dead.discard(stream_id)
        else:
            # Reset before a byte of it came; let go as well, perhaps, while it waited for its turn.
            quic = self.transport._streams.get(stream_id)
            if quic is not None:
                quic.sender.reset(Code.REQUEST_INCOMPLETE)
            self.cancelled()
        self.urgent = True

    def _stop_sending(self, event: StopSendingReceived) -> None:
        if event.stream_id & 3:
            if self._session is not None:
                self._session.handle_event(event)
            return
        stream = self._streams.get(event.stream_id)
        if stream is not None:
            stream.client_gone()
        self.urgent = True

    def _greeted(self) -> None:
        """The handshake is complete."""
        self._established = True
        self.deadline = inf
        self.context.deadlines.forget(self)
        self.sni = self.transport.sni
        self.transport.established()
        self._came_from = self.peer[0]
        if not self.context.takes(self, self.client, self._came_from):
            self.close(Code.EXCESSIVE_LOAD, "")
            return
        self._host.cids_changed(self)
        self._host.established(self)
        self.urgent = True
        if self.context.draining:
            self.shutdown()

    def _migrated(self) -> None:
        """The client may have another address now."""
        path = self.transport._network_paths[0]
        self.urgent = True
        if path.is_validated and path.addr != self._path:
            self._path = path.addr
            self._locate(path.addr)

    # ---- what streams call

    def forget(self, stream: H3Stream) -> None:
        """`stream` is over; what may still come on it is dropped."""
        self._streams.pop(stream.id, None)
        self.slow.discard(stream)
        if not stream.told_all:
            self._dead.add(stream.id)
        if stream.filed != inf:
            self.context.deadlines.forget(stream)
        if self._going is not None and not self._streams and not self._closing:
            self.soon(self._close_if_idle)

    def left_unread(self) -> None:
        """An answer is written whole, much of it not acknowledged: see that it will be."""
        if self._unread is None:
            self._unread = Unread(self)
        self._unread.watch()

    # ---- endings

    def shutdown(self) -> None:
        """Warn with a GOAWAY, count with a second one, close when the last request is answered."""
        if self._session is None or not self._established or self._closing or self.deadline != inf:
            return
        self._session.go_away(ALL_STREAMS)
        self.deadline = self.context.clock() + GOAWAY_S
        self.context.deadlines.watch(self)
        self.wrote(0)

    def expired(self) -> None:
        """The handshake took too long, the second GOAWAY is due, or nobody acknowledges the last answer."""
        if self._closing:
            return
        if self._session is None or not self._established:
            self._terminated()
            self.wake()
            return
        if self._going is None:
            self._going = self._next
            self._session.go_away(self._next)
            self.wrote(0)
            self._close_if_idle()
        elif not self._streams:
            self.close(Code.NO_ERROR, "")

    def _close_if_idle(self) -> None:
        """Close when the last answer and the GOAWAY have arrived, or LINGER_S after they were written."""
        if self._streams or self._closing or self.transport._events:
            return
        if self.transport.unacknowledged():
            if self.deadline <= self.context.clock():
                self.deadline = self.context.clock() + LINGER_S
                self.context.deadlines.watch(self)
        else:
            self.close(Code.NO_ERROR, "")

    def _broken(self, fault: ConnectionFault) -> None:
        """By the client."""
        flood = fault.code == Code.EXCESSIVE_LOAD
        self.refused(Flooded(fault.reason) if flood else BadRequest(fault.reason))
        self.close(fault.code, fault.reason)

    def close(self, code: Code, reason: str) -> None:
        """End the connection with `code`; its exchanges are told that the client is gone."""
        self.transport.close(error_code=code, reason_phrase=reason)
        self.urgent = True
        self._end()
        self.wake()

    def _end(self) -> None:
        self._closing = True
        self._later.clear()
        self.context.lost(self, self._came_from)
        self.context.deadlines.forget(self)
        unread, self._unread = self._unread, None
        if unread is not None:
            self.context.deadlines.forget(unread)
        while self._streams:
            _, stream = self._streams.popitem()
            exchange, stream._exchange = stream._exchange, None
            self.context.deadlines.forget(stream)
            stream.lose()
            if exchange is not None:
                try:
                    exchange.downstream_failed(DownstreamClosed("the connection ended"))
                except Exception as unexpected:
                    self.context.unhandled(unexpected)

    def discard(self) -> None:
        """Forget a connection that never was one."""
        self._terminated()

    def _terminated(self) -> None:
        self.terminated = True
        self._end()
        self.transport.release()

    def crashed(self, error: Exception) -> None:
        """Something of ours failed: this connection ends, and no other."""
        self.context.unhandled(error)
        try:
            self.close(Code.INTERNAL_ERROR, "")
        except Exception as unexpected:
            self.context.unhandled(unexpected)
            self.terminated = True

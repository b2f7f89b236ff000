"""One UDP socket and the QUIC connections on it: which datagram is whose, timers, one flush a turn."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

from aioquic._buffer import Buffer
from aioquic.quic.packet import pull_quic_header

from edge.codec.context import ListenerContext
from edge.codec.h3.arriving import CID_BYTES
from edge.codec.h3.server import H3Server
from edge.codec.h3.transport import Transport
from edge.codec.h3.wire import Code
from edge.listen.quic_door import Door, may_be_first
from edge.listen.segments import Outlet
from edge.listen.sieve import Sieve, begin, thin

LEAST_TIMER_S: Final = 0.001
"""aioquic's pacer asks for a timer per packet; nothing here needs a finer one."""
SOCKET_BYTES: Final = 1 << 20
STRANGERS_PER_TURN: Final = 1
"""First packets looked at in one turn of the loop: each may begin a handshake, or is owed a Retry.

One costs as much as reading the thirty others that a turn can find on the socket under a flood."""
STRANGERS: Final = 256
"""That wait for their turn. Of a flood of more the rest is dropped; an honest client sends its own again."""

REVIVED_PER_TURN: Final = 16
"""Connections that look, in one turn, what they can send now that there is a transport again."""


class _Seat(H3Server):
    """A connection with what the host must know of it."""

    __slots__ = ("first_cid", "half_open", "known_as", "timer", "timer_at")

    def __init__(
        self, context: ListenerContext, transport: Transport, host: QuicHost, peer: Any, first_cid: bytes
    ) -> None:
        super().__init__(context, transport, host, peer, host.local)
        self.first_cid = first_cid
        self.known_as: set[bytes] = set()
        self.timer: asyncio.TimerHandle | None = None
        self.timer_at = 0.0
        self.half_open = True


class QuicHost(asyncio.DatagramProtocol):
    """Implements `edge.codec.h3.server.Host` on an asyncio datagram transport.

    A datagram never raises out of here: what goes wrong ends the connection it belongs to.
    """

    def __init__(
        self, context: ListenerContext, door: Door, loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        self.context = context
        self.door = door
        self.accepting = True
        self.half_open = 0
        self._loop = loop or asyncio.get_running_loop()
        self._by_cid: dict[bytes, _Seat] = {}
        self._awake: list[_Seat] = []
        self._scheduled = False
        self._waiting: deque[_Seat] = deque()
        """They may have something to send since there was no transport."""
        self._strangers: deque[tuple[bytes, Any]] = deque()
        self._looked_at = 0
        """Strangers in this turn."""
        self.local: tuple[str, int] = ("", 0)
        self.changed: Callable[[], None] | None = None
        """Called when `is_up` may have changed but by `accepting`."""
        self.fault: Exception | None = None
        """Why the transport was lost, or could not be used, if anybody knows."""
        self._transport: asyncio.DatagramTransport | None = None
        self._outlet: Outlet | None = None
        self._sieve: Sieve | None = None

    # ---- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        made = cast(asyncio.DatagramTransport, transport)
        self.fault = None
        try:
            self._take(made)
        except Exception as error:
            self.fault = error
            self._loop.call_soon(made.abort)
        else:
            self._transport = made
            self._waiting = deque(dict.fromkeys(self._by_cid.values()))
            self._revive()
            if self.changed is not None:
                self.changed()

    def _take(self, made: asyncio.DatagramTransport) -> None:
        name = made.get_extra_info("sockname")
        self.local = (name[0], name[1])
        raw = made.get_extra_info("socket")
        if raw is not None:
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                raw.setsockopt(socket.SOL_SOCKET, option, SOCKET_BYTES)
            begin(raw)
            self._sieve = Sieve(partial(thin, raw, id_bytes=CID_BYTES), self._loop.call_later)
        self._outlet = Outlet(made)

    def connection_lost(self, exc: Exception | None) -> None:
        """Connections stand, and go on when there is another transport; until then they send nothing."""
        self._transport = None
        self.fault = exc or self.fault
        if self._outlet is not None:
            self._outlet.close()
            self._outlet = None
        if self._sieve is not None:
            self._sieve.close()
            self._sieve = None
        if self.changed is not None:
            self.changed()

    def _revive(self) -> None:
        """Wake some, and the others in the next turns: what they were woken for could not leave."""
        waiting = self._waiting
        for _ in range(min(len(waiting), REVIVED_PER_TURN)):
            waiting.popleft().wake()
        if waiting:
            self._loop.call_soon(self._revive)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """One datagram; its first bytes say whose."""
        try:
            if not data:
                return
            now = self._loop.time()
            if data[0] & 0x80:
                if self._is_strange(data) and not self._may_be_looked_at(data, addr):
                    return
                seat = self._by_long_header(data, addr, now)
            else:
                seat = self._by_cid.get(data[1 : 1 + CID_BYTES])
                if seat is None:
                    self._send(self.door.stray(data, now), addr)
            if seat is None:
                return
            seat.receive(data, addr, now)
            if not seat.awake:
                self._arm(seat, seat.transport.ack_at(), now)
        except Exception as error:
            self.context.unhandled(error)

    def _is_strange(self, data: bytes) -> bool:
        """Whether a long header names no connection there is. Spec: RFC 8999 §5.1."""
        return len(data) < 6 or data[6 : 6 + data[5]] not in self._by_cid

    def _may_be_looked_at(self, data: bytes, addr: Any) -> bool:
        """Whether a stranger's turn is now; it waits for the next one, or is nobody's for good, if not."""
        if not may_be_first(data):
            return False
        if self._looked_at < STRANGERS_PER_TURN:
            return True
        if len(self._strangers) < STRANGERS:
            self._strangers.append((data, addr))
        elif self._sieve is not None:
            self._sieve.came()
        return False

    def _next_turn(self) -> None:
        """Those that wait are looked at before any that come."""
        self._looked_at = 0
        strangers = self._strangers
        while strangers and self._looked_at < STRANGERS_PER_TURN:
            self.datagram_received(*strangers.popleft())

    def _by_long_header(self, data: bytes, addr: Any, now: float) -> _Seat | None:
        try:
            header = pull_quic_header(Buffer(data=data), host_cid_length=CID_BYTES)
        except ValueError:
            return None
        seat = self._by_cid.get(header.destination_cid)
        if seat is not None:
            return seat
        context = self.context
        if not self.accepting or context.admission.refusal(addr[0], context.limits) is not None:
            return None
        self._looked_at += 1
        if self._looked_at == 1:
            self._loop.call_soon(self._next_turn)
        if self._sieve is not None:
            self._sieve.came()
        made = self.door.first(header, len(data), addr, self.half_open, now)
        if not isinstance(made, Transport):
            self._send(made, addr)
            return None
        self.half_open += 1
        seat = _Seat(context, made, self, addr, header.destination_cid)
        self.cids_changed(seat)
        seat.receive(data, addr, now)
        if made.unheard():
            seat.discard()
            self._remove(seat)
        return None

    def _send(self, data: bytes | None, addr: Any) -> None:
        if data is not None and self._transport is not None:
            self._transport.sendto(data, addr)

    # ---- what connections ask for

    def wake(self, server: H3Server) -> None:
        """Flush `server` at the end of this turn of the loop."""
        self._awake.append(cast(_Seat, server))
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def cids_changed(self, server: H3Server) -> None:
        """Know `server` by its present ids, and by the one its client chose: first packets come late too."""
        seat = cast(_Seat, server)
        present = {seat.first_cid, *seat.transport.cids()}
        for cid in seat.known_as - present:
            self._by_cid.pop(cid, None)
        for cid in present - seat.known_as:
            self._by_cid[cid] = seat
        seat.known_as = present

    def established(self, server: H3Server) -> None:
        seat = cast(_Seat, server)
        if seat.half_open:
            seat.half_open = False
            self.half_open -= 1
        if not self.accepting:
            seat.shutdown()  # its handshake was under way when the others were told

    # ---- turns and timers

    def _flush(self) -> None:
        self._scheduled = False
        awake, self._awake = self._awake, []
        now = self._loop.time()
        outlet = self._outlet
        for seat in awake:
            try:
                seat.turn()
                if not seat.terminated and outlet is not None:
                    outlet.send(seat.transmit(now))
                if seat.terminated:
                    self._remove(seat)
                else:
                    # Nothing but its end can come of a timer while nothing can be sent.
                    self._arm(seat, seat.ends_at() if outlet is None else seat.next_timer(), now)
            except Exception as error:
                self.context.unhandled(error)
                self._remove(seat)

    def _arm(self, seat: _Seat, at: float | None, now: float) -> None:
        """Have the timer run at `at` or before; one that is early looks again, so most calls do nothing."""
        if at is None:
            return
        at = max(at, now + LEAST_TIMER_S)
        if seat.timer is not None:
            if seat.timer_at <= at:
                return
            seat.timer.cancel()
        seat.timer_at = at
        seat.timer = self._loop.call_at(at, self._fire, seat)

    def _fire(self, seat: _Seat) -> None:
        seat.timer = None
        if seat.terminated:
            return
        now = self._loop.time()
        try:
            at = seat.next_timer()
            if at is not None and at > now + LEAST_TIMER_S:
                self._arm(seat, at, now)
            else:
                seat.fired(now)
        except Exception as error:
            self.context.unhandled(error)
            self._remove(seat)

    def _remove(self, seat: _Seat) -> None:
        for cid in seat.known_as:
            self._by_cid.pop(cid, None)
        seat.known_as = set()
        if seat.half_open:
            seat.half_open = False
            self.half_open -= 1
        if seat.timer is not None:
            seat.timer.cancel()
            seat.timer = None
        seat.terminated = True

    # ---- endings

    @property
    def is_up(self) -> bool:
        """Whether new connections are taken."""
        return self.accepting and self._transport is not None

    def seats(self) -> int:
        """Connections there are, half-open and closing ones included."""
        return len(set(self._by_cid.values()))

    def let_go(self) -> None:
        """Give up the transport that serves, if there is one; `changed` follows."""
        if self._transport is not None:
            self._transport.abort()

    def drain(self) -> None:
        """GOAWAY to every connection. Spec: RFC 9114 §5.2."""
        for seat in set(self._by_cid.values()):
            seat.shutdown()

    def close(self) -> None:
        """Close every connection with H3_NO_ERROR, and the socket."""
        self._strangers.clear()
        self._waiting.clear()
        for seat in set(self._by_cid.values()):
            seat.close(Code.NO_ERROR, "")
            if self._outlet is None and not seat.terminated:
                seat.discard()  # its client cannot be told
        self._flush()
        if self._outlet is not None:
            # A duplicate left open would go on taking datagrams.
            self._outlet.close()
        if self._transport is not None:
            self._transport.close()

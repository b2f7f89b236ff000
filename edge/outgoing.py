"""What connections write during a turn of the loop leaves together at its end.

A write wakes whoever waits for it. Written one by one, between the work on one request and the next,
most find their reader asleep again, and to wake it costs more than to send. Written in a row, one wake-up
serves many. And what one connection writes in several pieces leaves in one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from fcntl import ioctl
from functools import lru_cache
from sys import byteorder
from termios import TIOCOUTQ
from typing import Any, Final, cast

import uvloop

SMALL_BYTES: Final = 16 << 10
"""Larger pieces leave at once, with what waits before them: they are not held in memory."""
PIECES: Final = 16
"""Of one connection that wait at most."""
TOGETHER: Final = 32
"""Connections whose bytes wait at most: in a long turn nobody waits for all of it."""


class Outgoing(asyncio.Transport):
    """Stands for the transport it was made of; the order of all it is asked for is kept."""

    __slots__ = ("_first", "_made", "_more", "_together", "at_end", "in_turn")

    def __init__(self, made: asyncio.Transport, together: _Together) -> None:
        self._made = made
        self._together = together
        self.at_end = together.at_end
        """Have a flush called when the turn ends, before what waits leaves: what it writes leaves too."""
        self.in_turn = together.in_turn
        """Have a portion called after what others wrote has left: one a turn, in the order of asking."""
        self._first: bytes | None = None
        """The only piece that waits, mostly."""
        self._more: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """`data` must not change afterwards."""
        if self._first is not None or len(data) > SMALL_BYTES:
            self._add(data)
            return
        self._first = data  # type: ignore[assignment]
        together = self._together
        waiting = together.waiting
        if together.due and len(waiting) < together.limit:
            waiting.append(self)
        else:
            together.add(self)

    def _add(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Behind what waits, or large."""
        if self._first is None:
            self._first = data  # type: ignore[assignment]
        else:
            self._more.append(data)  # type: ignore[arg-type]
        if len(data) > SMALL_BYTES or len(self._more) >= PIECES:
            self.leave()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview[Any]]) -> None:
        for data in list_of_data:
            self.write(data)

    def leave(self) -> None:
        """Write now what waits. A connection that is lost takes it along."""
        first, made = self._first, self._made
        if first is None:
            return
        self._first = None
        if self._more:
            self._leave_joined(first)
        elif not made.is_closing():
            made.write(first)

    def _leave_joined(self, first: bytes) -> None:
        pieces = [first, *self._more]
        self._more.clear()
        if self._made.is_closing():
            return
        if len(pieces[-1]) > SMALL_BYTES:
            self._made.writelines(pieces)
        else:
            self._made.write(b"".join(pieces))

    def take_back(self, first: bytes) -> bool:
        """Forget what waits, if it begins with this very piece: none of it has left then."""
        if self._first is not first:
            return False
        self._forget()
        return True

    def is_light(self) -> bool:
        """Whether what waits leaves without its writer being told to pause."""
        return self._made.get_write_buffer_size() == 0

    def write_eof(self) -> None:
        self.leave()
        self._made.write_eof()

    def close(self) -> None:
        made, first = self._made, self._first
        if first is not None and not made.is_closing():
            # The last bytes of a TLS connection and its goodbye leave in one piece.
            write_last = getattr(made.get_extra_info("ssl_object"), "write_last", None)
            if write_last is not None:
                last = b"".join((first, *self._more))
                self._forget()
                write_last(last)
        self.leave()
        made.close()

    def abort(self) -> None:
        self._forget()
        self._made.abort()

    def _forget(self) -> None:
        self._first = None
        self._more.clear()

    # ---- what is asked of the transport itself

    def can_write_eof(self) -> bool:
        return self._made.can_write_eof()

    def is_closing(self) -> bool:
        return self._made.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._made.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._made.set_protocol(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._made.get_protocol()

    def is_reading(self) -> bool:
        return self._made.is_reading()

    def pause_reading(self) -> None:
        self._made.pause_reading()

    def resume_reading(self) -> None:
        self._made.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._made.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        waiting = 0 if self._first is None else len(self._first) + sum(map(len, self._more))
        return self._made.get_write_buffer_size() + waiting

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._made.get_write_buffer_limits()


class _Together:
    """Of one loop: the connections that have something to write in this turn."""

    __slots__ = ("_flushes", "_portions", "due", "limit", "loop", "waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.limit = TOGETHER
        self.waiting: list[Outgoing] = []
        self._flushes: list[Callable[[], None]] = []
        self._portions: deque[Callable[[], None]] = deque()
        self.due = False
        """The end of the turn is called, or under way."""

    def add(self, outgoing: Outgoing) -> None:
        if not self.due:
            self._call_turn()
        elif len(self.waiting) >= self.limit:
            self._make_room(self.waiting)
        self.waiting.append(outgoing)

    def at_end(self, flush: Callable[[], None]) -> None:
        self._flushes.append(flush)
        if not self.due:
            self._call_turn()

    def in_turn(self, portion: Callable[[], None]) -> None:
        self._portions.append(portion)
        if not self.due:
            self._call_turn()

    def _call_turn(self) -> None:
        self.due = True
        self.loop.call_soon(self._turn)

    def _make_room(self, waiting: list[Outgoing]) -> None:
        """Inside some connection's callback, so no other may be called back from here."""
        light: list[Outgoing] = []
        self.waiting = []
        for each in waiting:
            (light if each.is_light() else self.waiting).append(each)
        self.limit = len(self.waiting) + TOGETHER
        self._leave(light)

    def _turn(self) -> None:
        if self._flushes:
            self._flush()
        self._leave_all()
        if self._portions:
            self._portion()
        if (self._flushes or self._portions) and not self.due:
            # Asked for by one that was flushed, or not its turn yet: theirs is the next turn.
            self._call_turn()

    def _leave_all(self, called: bool = False) -> None:
        """`called` = the next turn is called already, and who writes meanwhile calls no other."""
        waiting, self.waiting = self.waiting, []
        self.limit = TOGETHER
        self.due = called
        self._leave(waiting)

    def _portion(self) -> None:
        called, self.due = self.due, True
        try:
            self._portions.popleft()()
        except Exception as error:
            self._failed("a portion failed", error)
        self._leave_all(called)

    def _flush(self) -> None:
        flushes, self._flushes = self._flushes, []
        for flush in flushes:
            try:
                flush()
            except Exception as error:
                self._failed("a flush failed", error)

    def _leave(self, waiting: list[Outgoing]) -> None:
        for outgoing in waiting:
            try:
                outgoing.leave()
            except Exception as error:
                self._failed("a write failed", error)

    def _failed(self, what: str, error: Exception) -> None:
        self.loop.call_exception_handler({"message": what, "exception": error})


_together: Final = lru_cache(maxsize=1)(_Together)
"""A process has one loop; in tests one after the other."""


def unsent(transport: asyncio.Transport) -> int:
    """Bytes written that the peer has not acknowledged, what the kernel holds among them."""
    waiting = transport.get_write_buffer_size()
    sock = transport.get_extra_info("socket")
    if sock is None:
        return waiting
    try:
        return waiting + int.from_bytes(ioctl(sock.fileno(), TIOCOUTQ, bytes(4)), byteorder)
    except OSError:
        return waiting  # it was closed meanwhile


def end_of_turn(transport: asyncio.Transport) -> Callable[[Callable[[], None]], object]:
    """What to give a callback to that writes to `transport` at the end of this turn of the loop."""
    if isinstance(transport, Outgoing):
        return transport.at_end
    return asyncio.get_running_loop().call_soon


def in_turn(transport: asyncio.Transport) -> Callable[[Callable[[], None]], object]:
    """What to give a portion of much work to, which is done when it is this connection's turn."""
    if isinstance(transport, Outgoing):
        return transport.in_turn
    return asyncio.get_running_loop().call_soon


def outgoing(transport: asyncio.BaseTransport) -> asyncio.Transport:
    """`transport` with its writes at the end of the turn; as it is where it is none of uvloop's."""
    made = cast(asyncio.Transport, transport)
    if type(made).__module__ != uvloop.loop.__name__:
        return made
    return Outgoing(made, _together(asyncio.get_running_loop()))

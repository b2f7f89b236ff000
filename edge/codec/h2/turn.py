"""What streams send leaves at the end of the loop's turn, in one write; who sends too much is held back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf
from typing import Final

from edge.codec.context import ListenerContext
from edge.codec.h2.codes import Code
from edge.codec.h2.engine import MakeEngine
from edge.codec.h2.intake import Intake
from edge.codec.h2.stream import Form, Stream
from edge.codec.pace import Pace, ReadingPace
from edge.errors import DownstreamClosed

QUEUED_HIGH_BYTES: Final = 32 << 10
"""A stream with more than this waiting for the client's window holds back its upstream."""
QUEUED_LOW_BYTES: Final = 16 << 10
PILE_BYTES: Final = 256 << 10
"""Of one stream in one turn, where the client has a window for it."""
CROWD: Final = 8
"""Where so many streams are open, each holds back its upstream over the low mark already."""

_GONE: Final = Form.GONE


class Turn(Intake):
    """Adds what streams ask for; `edge.codec.h2.server.H2Server` adds the transport's side."""

    __slots__ = (
        "_call_soon",
        "_finished",
        "_write",
        "_write_paused",
    )

    def __init__(self, context: ListenerContext, make_engine: MakeEngine) -> None:
        super().__init__(context, make_engine)
        self._call_soon: Callable[[Callable[[], None]], object] | None = context.call_soon
        self._write_paused = False
        self._finished = False
        """Closed, or said goodbye: nothing more is sent."""
        self._write: Callable[[bytes], None] = _nowhere

    def wake(self) -> None:
        """Whatever waits leaves at the end of this turn of the loop, in one write."""
        if not self._woken:
            self._woken = True
            assert self._call_soon is not None
            self._call_soon(self._flush)

    def piled(self, stream: Stream) -> None:
        """One turn may read megabytes of an upstream. What leaves at its end lets the stream go on."""
        if not stream.blocked:
            queued = self.engine.queued(stream.id)
            if queued > QUEUED_HIGH_BYTES + min(self.engine.window(stream.id), PILE_BYTES):
                self._pause(stream, queued)

    # ---- the end of a turn

    def _flush(self) -> None:
        self._woken = False
        if self._finished:
            return
        try:
            if self._opened:
                self._arm_opened()
            if self._abandoned or self._resumed:
                self._settle_requests()
            while self._send():
                pass
        except Exception as error:
            self._crashed(error)
            return
        if self.engine.over is not None and not self._write_paused:
            self._connection_over()

    def _arm_opened(self) -> None:
        opened, self._opened = self._opened, []
        for stream in opened:
            if stream.request_open and stream.id in self._streams:
                self._arm_stream(stream)
                if stream.exchange is not None and not stream.tunnel:
                    progress = stream.exchange.body_progress
                    stream.sending = Pace(self._context, progress, partial(self.stream_slow, stream))

    def _settle_requests(self) -> None:
        while self._abandoned:
            self._fail(self._abandoned.pop(), DownstreamClosed("the answer could not be sent"))
        if self._resumed:
            resumed, self._resumed = self._resumed, []
            for stream in resumed:
                held = stream.held
                while held and not stream.held_back and stream.id in self._streams:
                    part = held.pop(0)
                    if isinstance(part, tuple):
                        self._deliver(stream, *part)
                    else:
                        self._deliver_trailers(stream, part)

    def _send(self) -> bool:
        """Write what may leave now; True = settling it made more."""
        if self._write_paused:
            self._hold_back()
            return False
        data = self.engine.take()
        if data:
            self._write(data)
        again = False
        streams = self._streams
        if not streams:
            self._answered.clear()
        elif self._answered or self._blocked:
            answered, self._answered = self._answered, []
            for stream in answered:
                # Most were closed by what has just left.
                if stream.id in streams and not stream.blocked:
                    again |= self._settle(stream)
            if self._blocked:
                for stream in list(self._blocked):
                    again |= self._settle(stream)
        return again and not self._write_paused

    def _hold_back(self) -> None:
        """Nothing leaves now, so no stream may queue more than its share."""
        for stream in self._answered:
            if not stream.blocked and stream.form is not _GONE and stream.id in self._streams:
                queued = self.engine.queued(stream.id)
                if queued > QUEUED_HIGH_BYTES:
                    self._pause(stream, queued)

    def _settle(self, stream: Stream) -> bool:
        """After a write: hold back, release or end the stream by what it still has queued."""
        queued = self.engine.queued(stream.id)
        if stream.form is _GONE or stream.form is Form.DROP:
            if not queued:
                self._blocked.discard(stream)
                if stream.request_open and stream.form is _GONE:
                    # The answer is out before the request was: the rest is not wanted. RFC 9113 §8.1.
                    self._drop(stream, Code.NO_ERROR)
                    return True
                return False
            self._block(stream, queued)
        elif stream.blocked:
            if queued <= QUEUED_LOW_BYTES:
                self._unblock(stream)
            elif queued < stream.backlog:
                self._block(stream, queued)
        elif queued > (QUEUED_HIGH_BYTES if len(self._streams) < CROWD else QUEUED_LOW_BYTES):
            self._pause(stream, queued)
        return False

    def _pause(self, stream: Stream, queued: int) -> None:
        self._block(stream, queued)
        if stream.exchange is not None:
            try:
                stream.exchange.pause_response()
            except Exception as error:
                self._stream_crashed(stream, error)

    def _block(self, stream: Stream, queued: int) -> None:
        """The clock of the stream runs anew with every byte the client takes."""
        if not stream.blocked or queued < stream.backlog:
            self._arm_stream(stream)
        if not stream.blocked:
            taken, slow = partial(self._taken_of, stream), partial(self.stream_unread, stream)
            stream.reading = ReadingPace(self._context, taken, slow, -queued)
        stream.blocked = True
        stream.backlog = queued
        self._blocked.add(stream)

    def _taken_of(self, stream: Stream) -> int | None:
        return None if stream.tunnel or self._write_paused else -self.engine.queued(stream.id)

    def _unblock(self, stream: Stream) -> None:
        stream.blocked = False
        if stream.reading is not None:
            stream.reading.over()
            stream.reading = None
        self._blocked.discard(stream)
        if stream.request_open:
            self._arm_stream(stream)
        else:
            stream.deadline = inf
        if stream.exchange is not None:
            try:
                stream.exchange.resume_response()
            except Exception as error:
                self._stream_crashed(stream, error)

    # ---- what the server adds

    def _connection_over(self) -> None:
        """The engine has said its last, and it is written."""
        raise NotImplementedError

    def _crashed(self, error: Exception) -> None:
        """Something of ours failed beyond one stream: this connection ends, and no other."""
        raise NotImplementedError


def _nowhere(data: bytes) -> None:
    """Until there is a transport."""

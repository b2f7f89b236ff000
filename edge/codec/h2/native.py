"""The engine on libnghttp2 (`ngh2`): one call into C for each receive and each send."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

import ngh2
from ngh2 import (
    ConnectionClosed,
    DataReceived,
    Event,
    PingAcknowledged,
    RequestReceived,
    StreamClosed,
    StreamReset,
    TrailersReceived,
)

from edge.codec.h2.codes import (
    CONNECTION_WINDOW_BYTES,
    DECODED_FIELDS,
    DECODED_MARGIN_BYTES,
    MAX_WINDOW,
    Code,
    Setting,
    goaway_frame,
    own_settings,
    settings_frame,
    too_large_frame,
)
from edge.codec.h2.engine import EngineSink, Nobody
from edge.codec.h2.tap import CONTINUATIONS, Tap
from edge.head import Field
from edge.model import Limits

_HARD_MAX_STREAMS: Final = 1000
"""What libnghttp2 believes we allow. Beyond what we do allow it would end the connection."""
_PING: Final = b"edgedrns"
_OWN_RESETS: Final = 1024
_JOINED_BYTES: Final = 4096
"""DATA of so many bytes waits for more of its body in the same input: each piece costs a write upstream."""


class NativeEngine:
    """Implements `Engine`. Every limit that ngh2 has only as an exception is a GOAWAY here."""

    __slots__ = (
        "_accepted",
        "_clock",
        "_connection",
        "_ended",
        "_leaving",
        "_live",
        "_most_streams",
        "_own",
        "_parts",
        "_peers",
        "_sink",
        "_tap",
        "_words",
        "_worn",
        "over",
        "receiving_head",
    )

    def __init__(self, sink: EngineSink, limits: Limits, clock: Callable[[], float]) -> None:
        decoded = limits.head_bytes + DECODED_MARGIN_BYTES
        self._sink = sink
        self._most_streams = limits.max_streams
        self._clock = clock
        self._tap = Tap(decoded)
        self.receiving_head = self._tap.receiving_head
        self._connection = connection = ngh2.Connection(
            ngh2.Role.SERVER,
            ngh2.Configuration(
                auto_window_update=False,
                max_continuations=CONTINUATIONS,
                max_inbound_header_list_size=decoded,
                max_inbound_header_count=DECODED_FIELDS,
            ),
        )
        settings = own_settings(limits)
        connection.initiate_connection({**settings, Setting.MAX_CONCURRENT_STREAMS: _HARD_MAX_STREAMS})
        connection.data_to_send()
        self._words = settings_frame(settings)
        connection.set_local_window_size(CONNECTION_WINDOW_BYTES)
        self._accepted = 0
        self._ended = False
        """Our last words are said, or wait in `_words`: ngh2 is not asked for more."""
        self._leaving = False
        self._worn = False
        """The window dries up: ngh2 never gives back a frame with which a body ends short. Before nothing is
        left the client shall open another connection."""
        self._live: set[int] = set()
        self._own: set[int] = set()
        self._parts: dict[int, list[bytes]] = {}
        self._peers: set[int] = set()
        self.over: int | None = None

    # ---- in

    def receive(self, data: bytes) -> None:
        tap = self._tap
        if len(data) > tap.large:
            data = tap.portion(data)
            if tap.waits:
                self._sink.on_rest()
        now = self._clock()
        while self.over is None:
            piece = tap.scan(data, now)
            if piece:
                self._feed(piece)
            fault = tap.fault
            if fault is None or self.over is not None:
                return
            tap.fault = None
            stream_id, word = fault
            if not stream_id:
                self._end(word, word == Code.ENHANCE_YOUR_CALM and self._owes_answer())
                return
            self._widen(stream_id, word, tap.rest[:13])
            data = tap.rest[13:]

    def _widen(self, stream_id: int, increment: int, frame: bytes) -> None:
        """A huge WINDOW_UPDATE: libnghttp2 would end the connection where the stream should."""
        try:
            left = self._connection.stream_remote_window_size(stream_id)
        except ngh2.NGH2Error:
            left = 0
        if left + increment > MAX_WINDOW:
            self.refuse(stream_id, Code.FLOW_CONTROL_ERROR)
            self._sink.on_closed(stream_id, Code.FLOW_CONTROL_ERROR, False)
        else:
            self._feed(frame)

    def _feed(self, data: bytes) -> None:
        try:
            self._connection.receive_data(data)
        except ngh2.DenialOfServiceError:
            told = sum(type(event) is RequestReceived for event in self._connection.events())
            self._end(Code.ENHANCE_YOUR_CALM, self._owes_answer(told))
            return
        except ngh2.NGH2Error:
            self._end(Code.PROTOCOL_ERROR)
            return
        events = self._connection.events()
        if self._tap.saw_reset:
            self._tap.saw_reset = False
            self._peers.update(event.stream_id for event in events if isinstance(event, StreamReset))
            self._tell(events)
            # What is left are resets of streams that were over: nothing will be told of those.
            self._peers.clear()
        else:
            self._tell(events)
        if self._parts:
            self._tell_all_parts()
        tap = self._tap
        if tap.opened > self._accepted:
            self._count_refused()

    def _count_refused(self) -> None:
        """Streams that were opened and never told of: malformed, or more than we allow at once."""
        tap = self._tap
        if not tap.receiving_head():
            refused = tap.opened - self._accepted
            self._accepted = tap.opened
            if not self._leaving:  # or they came after the last one we said we would serve
                self._sink.on_refused(refused, Code.PROTOCOL_ERROR)
            self._charge(refused)

    def _charge(self, count: int) -> None:
        if self._tap.charge(count) and self.over is None:
            self._end(Code.ENHANCE_YOUR_CALM)

    def _tell(self, events: list[Event]) -> None:
        sink = self._sink
        peers = self._peers
        parts = self._parts
        live = self._live
        for event in events:
            if parts and type(event) is not DataReceived:
                self._tell_all_parts()
            if type(event) is RequestReceived:
                self._accepted += 1
                stream_id = event.stream_id
                if self.over is not None:
                    # A flood ended the connection earlier in this piece.
                    return
                if len(live) >= self._most_streams:
                    self.refuse(stream_id, Code.REFUSED_STREAM)
                    sink.on_refused(1, Code.REFUSED_STREAM)
                    continue
                live.add(stream_id)
                if not peers or stream_id not in peers:
                    sink.on_request(stream_id, event.headers, event.end_stream)
            elif type(event) is StreamClosed:
                stream_id = event.stream_id
                if event.error_code or peers or self._own:
                    self._closed(stream_id, event.error_code)
                else:
                    live.discard(stream_id)
                    if self._tap.resets:
                        self._tap.served()
                    sink.on_closed(stream_id, 0, False)
            elif type(event) is DataReceived:
                data = event.data
                stream_id = event.stream_id
                if len(data) < _JOINED_BYTES and stream_id not in parts:
                    sink.on_data(stream_id, data, len(data), event.end_stream)
                else:
                    self._join(stream_id, data, event.end_stream)
            elif type(event) is TrailersReceived:
                sink.on_trailers(event.stream_id, event.headers)
            elif type(event) is PingAcknowledged and event.opaque_data == _PING:
                sink.on_ping_answered()
            elif type(event) is ConnectionClosed and self.over is None:
                self.over = event.error_code

    def _join(self, stream_id: int, data: bytes, end: bool) -> None:
        self._parts.setdefault(stream_id, []).append(data)
        if end:
            self._tell_parts(stream_id, True)

    def _tell_all_parts(self) -> None:
        for stream_id in tuple(self._parts):
            self._tell_parts(stream_id, False)

    def _tell_parts(self, stream_id: int, end: bool) -> None:
        parts = self._parts.pop(stream_id)
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        self._sink.on_data(stream_id, data, len(data), end)

    def _closed(self, stream_id: int, code: int) -> None:
        told = stream_id in self._live
        self._live.discard(stream_id)
        by_peer = stream_id in self._peers
        if by_peer:
            self._peers.discard(stream_id)
        elif stream_id in self._own:
            self._own.discard(stream_id)
            return
        elif code:
            self._tap.abandon(stream_id)
            if told:  # else it was charged when its head was not
                self._charge(1)
                self._worn |= self._connection.local_window_size < CONNECTION_WINDOW_BYTES // 2
        else:
            self._tap.served()
        self._sink.on_closed(stream_id, code, by_peer)

    def _owes_answer(self, told: int = 0) -> bool:
        """Whether it was the last stream's head that was too much: the others are known, `told` now."""
        return not self._tap.trailed and self._tap.opened - self._accepted - told == 1

    def _end(self, code: int, too_large: bool = False) -> None:
        """The connection is over by a rule of ours, or by one that ngh2 does not say goodbye for."""
        with suppress(ngh2.NGH2Error):
            self._words += self._connection.data_to_send()
        if too_large:
            self._words += too_large_frame(self._tap.last)
        self._words += goaway_frame(max(self._tap.last, 0), code)
        self.over = code
        self._ended = True
        self._tap.forget()

    # ---- out

    def stirred(self) -> bool:
        connection = self._connection
        return (  # a connection that is over cannot be asked any more
            self.over is not None or bool(self._words) or connection.want_write or not connection.want_read
        )

    def take(self) -> bytes:
        words = b""
        if self._words:
            words, self._words = self._words, b""
        if self._ended:
            return words
        connection = self._connection
        try:
            data = connection.data_to_send()
            events = connection.events()
            if events:
                self._tell(events)
                if self._worn and not self._leaving:
                    self.goaway(Code.NO_ERROR)
                    data += connection.data_to_send()
                    self._tell(connection.events())
        except ngh2.NGH2Error:
            return words
        tap = self._tap
        if tap.updates:
            tap.sent(len(data))
        if self._words:
            data += self._words
            self._words = b""
        return words + data if words else data

    def send_informational(self, stream_id: int, fields: Iterable[Field]) -> None:
        with suppress(ngh2.NGH2Error):
            self._connection.send_informational_response(stream_id, fields)

    def send_head(self, stream_id: int, fields: Iterable[Field], end: bool) -> None:
        try:
            self._connection.send_response(stream_id, fields, end_stream=end)
        except ngh2.NGH2Error:
            return

    def send_whole(
        self, stream_id: int, fields: Iterable[Field], body: bytes, trailers: Iterable[Field] | None
    ) -> None:
        tap = self._tap
        if tap.controls or tap.updates:
            tap.answering()
        connection = self._connection
        try:
            connection.send_response(stream_id, fields, end_stream=False)
            connection.send_data(stream_id, body, end_stream=trailers is None)
            if trailers is not None:
                connection.send_trailers(stream_id, trailers)
        except ngh2.NGH2Error:
            return

    def send_data(self, stream_id: int, data: bytes, end: bool) -> None:
        tap = self._tap
        if tap.controls or tap.updates:
            tap.answering()
        try:
            self._connection.send_data(stream_id, data, end_stream=end)
        except ngh2.NGH2Error:
            return

    def send_trailers(self, stream_id: int, fields: Iterable[Field]) -> None:
        try:
            self._connection.send_trailers(stream_id, fields)
        except ngh2.NGH2Error:
            return

    def window(self, stream_id: int) -> int:
        connection = self._connection
        try:
            return max(0, min(connection.stream_remote_window_size(stream_id), connection.remote_window_size))
        except ngh2.NGH2Error:
            return 0

    def queued(self, stream_id: int) -> int:
        try:
            return self._connection.queued_body_size(stream_id)
        except ngh2.NGH2Error:
            return 0

    def credit(self, stream_id: int, size: int) -> None:
        try:
            self._connection.acknowledge_received_data(size, stream_id)
        except (ngh2.NGH2Error, ValueError):
            # ngh2 granted what a stream still held when that stream closed.
            return

    def reset(self, stream_id: int, code: int) -> None:
        self._tap.abandon(stream_id)
        with suppress(ngh2.NGH2Error):
            self._connection.reset_stream(stream_id, code)
            if len(self._own) >= _OWN_RESETS:
                self._own.clear()
            self._own.add(stream_id)

    def refuse(self, stream_id: int, code: int) -> None:
        self.reset(stream_id, code)
        self._charge(1)

    def notice(self) -> None:
        with suppress(ngh2.NGH2Error):
            self._connection.send_shutdown_notice()

    def ping(self) -> None:
        with suppress(ngh2.NGH2Error):
            self._connection.ping(_PING)

    def goaway(self, code: int) -> None:
        self._leaving = True
        with suppress(ngh2.NGH2Error):
            self._connection.send_goaway(code)

    def close(self) -> None:
        if self.over is None:
            self.over = Code.NO_ERROR
        self._sink = Nobody()

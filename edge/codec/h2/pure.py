"""The engine on `h2`, in plain Python: where ngh2 cannot be had, and the oracle of the other one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final, cast

from h2 import events
from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection
from h2.exceptions import DenialOfServiceError, H2Error
from h2.settings import SettingCodes, Settings
from hpack import HPACKError

from edge.codec.h2.codes import (
    CONNECTION_WINDOW_BYTES,
    DECODED_FIELDS,
    DECODED_MARGIN_BYTES,
    MAX_WINDOW,
    Code,
    goaway_frame,
    own_settings,
    too_large_frame,
)
from edge.codec.h2.engine import EngineSink, Nobody
from edge.codec.h2.tap import PREFACE_BYTES, Tap
from edge.head import Field
from edge.model import Limits

_FIRST_WINDOW: Final = 65535
_PING: Final = b"edgedrns"
_KIND_AT: Final = PREFACE_BYTES + 3
_FIRST_BYTES: Final = _KIND_AT + 1
_SETTINGS: Final = b"\x04"


class _Outgoing:
    """What a stream still has to send: body bytes, then maybe trailers; and whether the client has ended."""

    __slots__ = ("body", "end", "request_ended", "sent", "trailers")

    def __init__(self, request_ended: bool) -> None:
        self.body = bytearray()
        self.end = False
        self.trailers: list[Field] | None = None
        self.request_ended = request_ended
        self.sent = False
        """The answer has left to its end."""


class _Connection(H2Connection):
    @property
    def open_inbound_streams(self) -> int:
        """None, so that h2 does not end the connection of a client that opens too many."""
        self._open_streams(1)  # forgets those that are closed, as no other call of it does
        return 0


class PureEngine:
    """Implements `Engine`; header lists are left to the server to judge."""

    __slots__ = (
        "_clock", "_connection", "_draining", "_first", "_last_served", "_last_words",
        "_most_streams", "_out", "_sink", "_tap", "over",
    )  # fmt: skip

    def __init__(self, sink: EngineSink, limits: Limits, clock: Callable[[], float]) -> None:
        decoded = limits.head_bytes + DECODED_MARGIN_BYTES
        self._sink = sink
        self._most_streams = limits.max_streams
        self._clock = clock
        self._tap = Tap(decoded)
        self._connection = connection = _Connection(
            H2Configuration(client_side=False, header_encoding=None, validate_inbound_headers=False)
        )
        connection.local_settings = Settings(
            client=False,
            # h2 has no name for every setting we send.
            initial_values=cast(dict[SettingCodes, int], own_settings(limits)),
        )
        connection.decoder.max_header_list_size = decoded
        connection.initiate_connection()
        connection.increment_flow_control_window(CONNECTION_WINDOW_BYTES - _FIRST_WINDOW)
        self._out: dict[int, _Outgoing] = {}
        self._last_words = b""
        self._first = b""
        self._draining = False
        self._last_served = MAX_WINDOW
        """What our GOAWAY named; before it, the greatest number there is."""
        self.over: int | None = None

    # ---- in

    def receive(self, data: bytes) -> None:
        tap = self._tap
        now = self._clock()
        if len(self._first) < _FIRST_BYTES:
            self._first += data[: _FIRST_BYTES - len(self._first)]
            if self._first[_KIND_AT:] not in (b"", _SETTINGS):
                # h2 takes any frame for the first one. Spec: RFC 9113 §3.4.
                self._end(Code.PROTOCOL_ERROR)
                return
        if len(data) > tap.large:
            data = tap.portion(data)
            if tap.waits:
                self._sink.on_rest()
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
        stream = self._connection.streams.get(stream_id)
        if stream is not None and stream.outbound_flow_control_window + increment > MAX_WINDOW:
            self.refuse(stream_id, Code.FLOW_CONTROL_ERROR)
            self._sink.on_closed(stream_id, Code.FLOW_CONTROL_ERROR, False)
        else:
            self._feed(frame)

    def _feed(self, data: bytes) -> None:
        try:
            told = self._connection.receive_data(data)
        except H2Error as error:
            if isinstance(error.__cause__, HPACKError) and not isinstance(error, DenialOfServiceError):
                # h2 says PROTOCOL_ERROR here.
                self._connection.clear_outbound_data_buffer()
                self._end(Code.COMPRESSION_ERROR)
                return
            if isinstance(error, DenialOfServiceError) and self._owes_answer():
                # h2 has said GOAWAY already, before the answer.
                self._connection.clear_outbound_data_buffer()
                self._end(Code.ENHANCE_YOUR_CALM, True)
                return
            code = int(getattr(error, "error_code", Code.PROTOCOL_ERROR))
            if self._connection.state_machine.state is ConnectionState.CLOSED:
                self.over = code
            else:
                # A preface that is none: h2 says nothing about it.
                self._end(code)
            return
        except Exception:
            # h2 has let foreign exceptions out before; whatever they are, the input was at fault.
            self._end(Code.PROTOCOL_ERROR)
            return
        reset = {event.stream_id for event in told if isinstance(event, events.StreamReset)}
        for event in told:
            self._tell(event, reset)

    def _tell(self, event: events.Event, reset: set[int]) -> None:
        sink = self._sink
        if isinstance(event, events.RequestReceived):
            if event.stream_id not in reset:
                self._request(event)
        elif isinstance(event, events.DataReceived):
            end = event.stream_ended is not None
            self._request_over(event.stream_id, end)
            sink.on_data(event.stream_id, event.data, event.flow_controlled_length, end)
            if end:
                self._over(event.stream_id)
        elif isinstance(event, events.TrailersReceived):
            self._request_over(event.stream_id, True)
            sink.on_trailers(event.stream_id, tuple(event.headers))
            self._over(event.stream_id)
        elif isinstance(event, events.StreamReset):
            if self._out.pop(event.stream_id, None) is not None:
                if not event.remote_reset:
                    self._charge()
                sink.on_closed(event.stream_id, int(event.error_code), event.remote_reset)
        elif isinstance(event, events.PingAckReceived):
            if event.ping_data == _PING:
                sink.on_ping_answered()
        elif isinstance(event, events.ConnectionTerminated):
            # h2 takes this for the end of everything; the streams that are open are still served.
            self._connection.state_machine.state = ConnectionState.SERVER_OPEN
            self._draining = True

    def _request(self, event: events.RequestReceived) -> None:
        stream_id = event.stream_id
        if len(event.headers) > DECODED_FIELDS:
            self._end(Code.ENHANCE_YOUR_CALM, stream_id == self._tap.last)
        elif stream_id > self._last_served:
            self.reset(stream_id, Code.REFUSED_STREAM)
        elif len(self._out) >= self._most_streams:
            self.refuse(stream_id, Code.REFUSED_STREAM)
            self._sink.on_refused(1, Code.REFUSED_STREAM)
        else:
            end = event.stream_ended is not None
            self._out[stream_id] = _Outgoing(end)
            self._sink.on_request(stream_id, tuple(event.headers), end)

    def _request_over(self, stream_id: int, end: bool) -> None:
        out = self._out.get(stream_id)
        if out is not None and end:
            out.request_ended = True

    def _charge(self) -> None:
        if self._tap.charge() and self.over is None:
            self._end(Code.ENHANCE_YOUR_CALM)

    def _owes_answer(self) -> bool:
        """Whether it was the head of the last stream, and of that alone, that was too much."""
        return not self._tap.trailed and 0 < self._tap.last - self._connection.highest_inbound_stream_id <= 2

    def _end(self, code: int, too_large: bool = False) -> None:
        answer = too_large_frame(self._tap.last) if too_large else b""
        self._last_words = answer + goaway_frame(max(self._tap.last, 0), code)
        self.over = code
        self._tap.forget()

    # ---- out

    def stirred(self) -> bool:
        return True

    def take(self) -> bytes:
        connection = self._connection
        if self.over is None:
            for stream_id, out in list(self._out.items()):
                self._pump(stream_id, out)
            if self._draining and not self._out:
                self.over = Code.NO_ERROR
        data = connection.data_to_send() + self._last_words
        self._last_words = b""
        self._tap.sent(len(data))
        return data

    def _pump(self, stream_id: int, out: _Outgoing) -> None:
        """Send what the windows take; the stream is over when both sides have ended."""
        connection = self._connection
        try:
            while out.body:
                size = min(
                    connection.local_flow_control_window(stream_id),
                    connection.max_outbound_frame_size,
                    len(out.body),
                )
                if size <= 0:
                    return
                last = out.end and out.trailers is None and size == len(out.body)
                connection.send_data(stream_id, bytes(out.body[:size]), end_stream=last)
                del out.body[:size]
                if last:
                    self._sent(stream_id, out)
                    return
            if out.trailers is not None:
                connection.send_headers(stream_id, out.trailers, end_stream=True)
                self._sent(stream_id, out)
            elif out.end:
                connection.end_stream(stream_id)
                self._sent(stream_id, out)
        except H2Error:
            self._out.pop(stream_id, None)

    def _sent(self, stream_id: int, out: _Outgoing) -> None:
        out.end = False
        out.trailers = None
        out.sent = True
        self._over(stream_id)

    def _over(self, stream_id: int) -> None:
        """When both sides have ended."""
        out = self._out.get(stream_id)
        if out is not None and out.sent and out.request_ended:
            del self._out[stream_id]
            self._tap.served()
            self._sink.on_closed(stream_id, Code.NO_ERROR, False)

    def send_informational(self, stream_id: int, fields: Iterable[Field]) -> None:
        self._head(stream_id, fields, False)

    def send_head(self, stream_id: int, fields: Iterable[Field], end: bool) -> None:
        self._head(stream_id, fields, end)

    def _head(self, stream_id: int, fields: Iterable[Field], end: bool) -> None:
        out = self._out.get(stream_id)
        if out is None or self.over is not None:
            return
        try:
            self._connection.send_headers(stream_id, list(fields), end_stream=end)
        except H2Error:
            return
        if end:
            self._sent(stream_id, out)

    def send_whole(
        self, stream_id: int, fields: Iterable[Field], body: bytes, trailers: Iterable[Field] | None
    ) -> None:
        self.send_head(stream_id, fields, False)
        self.send_data(stream_id, body, trailers is None)
        if trailers is not None:
            self.send_trailers(stream_id, trailers)

    def send_data(self, stream_id: int, data: bytes, end: bool) -> None:
        tap = self._tap
        if tap.controls or tap.updates:
            tap.answering()
        out = self._out.get(stream_id)
        if out is not None:
            out.body += data
            out.end = end

    def send_trailers(self, stream_id: int, fields: Iterable[Field]) -> None:
        out = self._out.get(stream_id)
        if out is not None:
            out.trailers = list(fields)

    def window(self, stream_id: int) -> int:
        try:
            return max(0, self._connection.local_flow_control_window(stream_id))
        except H2Error:
            return 0

    def queued(self, stream_id: int) -> int:
        out = self._out.get(stream_id)
        return len(out.body) if out is not None else 0

    def credit(self, stream_id: int, size: int) -> None:
        if self.over is None:
            with suppress(H2Error):
                self._connection.acknowledge_received_data(size, stream_id)

    def reset(self, stream_id: int, code: int) -> None:
        self._tap.abandon(stream_id)
        self._out.pop(stream_id, None)
        if self.over is None:
            with suppress(H2Error):
                self._connection.reset_stream(stream_id, code)

    def refuse(self, stream_id: int, code: int) -> None:
        self.reset(stream_id, code)
        self._charge()

    def notice(self) -> None:
        if self.over is None:
            self._last_words += goaway_frame(MAX_WINDOW, Code.NO_ERROR)

    def ping(self) -> None:
        if self.over is None:
            with suppress(H2Error):
                self._connection.ping(_PING)

    def goaway(self, code: int) -> None:
        # h2's own would forbid it to go on with the streams that are open.
        self._draining = True
        if self.over is None:
            self._last_served = max(self._tap.last, 0)
            self._last_words += goaway_frame(self._last_served, code)

    def receiving_head(self) -> bool:
        return self._tap.receiving_head()

    def close(self) -> None:
        if self.over is None:
            self.over = Code.NO_ERROR
        self._sink = Nobody()

"""The unidirectional streams of a connection: control, QPACK, and reserved ones. Spec: RFC 9114 §6.2."""

from __future__ import annotations

from typing import Final

import pylsqpack
from aioquic.h3.connection import H3Connection, Setting
from aioquic.quic.events import StreamDataReceived, StreamReset

from edge.codec.h3.transport import Transport
from edge.codec.h3.wire import Code, ConnectionFault, goaway_frame

HELD_BYTES: Final = 4 << 10
"""Of a unidirectional stream: SETTINGS is the longest frame anybody waits for."""
FREE_BYTES: Final = 16 << 10
BYTES_A_REQUEST: Final = 64
"""What a client may send beside its requests: floods of control frames cost us far more than it."""
BYTES_A_SECOND: Final = 64
"""Forgotten of that again: the little that clients say now and then must not add up over days."""
BYTES_A_STREAM: Final = 64
"""For each that ends, with nothing on it too: another may be opened in its place."""
ALL_STREAMS: Final = (1 << 62) - 4
"""A GOAWAY that announces another. Spec: RFC 9114 §5.2."""


class Session(H3Connection):
    """aioquic's HTTP/3 connection for all but request streams, which `stream.H3Stream` takes apart."""

    def __init__(self, transport: Transport, head_bytes: int) -> None:
        self._head_bytes = head_bytes
        self._spent = 0.0
        self._spent_at = 0.0
        super().__init__(transport)

    def _init_connection(self) -> None:
        # Before SETTINGS go out: no dynamic table, so no acknowledgements of it and no blocked streams.
        self._max_table_capacity = 0
        self._blocked_streams = 0
        self._decoder = pylsqpack.Decoder(0, 0)
        super()._init_connection()

    def _get_local_settings(self) -> dict[int, int]:
        settings = super()._get_local_settings()
        settings[Setting.MAX_FIELD_SECTION_SIZE] = self._head_bytes
        return settings

    @property
    def decoder(self) -> pylsqpack.Decoder:
        return self._decoder

    def receive(self, event: StreamDataReceived, requests: int, now: float) -> None:
        """Bytes of a unidirectional stream; aioquic closes the connection for what is wrong in them.

        Raises ConnectionFault for floods and for the end of a QPACK stream. `requests` = served so far.
        """
        stream_id = event.stream_id
        self._spend(len(event.data) + (BYTES_A_STREAM if event.end_stream else 0), requests, now)
        self.handle_event(event)
        stream = self._stream.get(stream_id)
        if stream is not None and len(stream.buffer) > HELD_BYTES:
            raise ConnectionFault(Code.EXCESSIVE_LOAD, "frame too long for a unidirectional stream")
        if event.end_stream and stream_id in (self._peer_encoder_stream_id, self._peer_decoder_stream_id):
            raise ConnectionFault(Code.CLOSED_CRITICAL_STREAM, "a QPACK stream was closed")

    def reset(self, stream_id: int, requests: int, now: float) -> None:
        """The client reset a unidirectional stream; as `receive`."""
        self._spend(BYTES_A_STREAM, requests, now)
        self.handle_event(StreamReset(error_code=0, stream_id=stream_id))

    def _spend(self, size: int, requests: int, now: float) -> None:
        self._spent = max(0.0, self._spent - (now - self._spent_at) * BYTES_A_SECOND) + size
        self._spent_at = now
        if self._spent > FREE_BYTES + BYTES_A_REQUEST * requests:
            raise ConnectionFault(Code.EXCESSIVE_LOAD, "flood on unidirectional streams")

    def go_away(self, stream_id: int) -> None:
        """Requests on `stream_id` and later ones are not taken."""
        assert self._local_control_stream_id is not None
        self._quic.send_stream_data(self._local_control_stream_id, goaway_frame(stream_id))

"""aioquic's stream of a request, which notes in a shared set that it has something to send or is over.

With that nobody has to look at all streams of a connection for each packet.
"""

from __future__ import annotations

from typing import Final

from aioquic.quic.packet import QuicErrorCode
from aioquic.quic.packet_builder import QuicDeliveryState
from aioquic.quic.rangeset import RangeSet
from aioquic.quic.stream import QuicStream, QuicStreamReceiver, QuicStreamSender

_ACKED: Final = QuicDeliveryState.ACKED

Touched = dict[int, None]
"""Ids of streams that are to be looked at before the next packet, in the order in which they came."""


class _Receiver(QuicStreamReceiver):
    """What a new one holds is in the class: most get one frame in their life."""

    highest_offset = 0
    is_finished = False
    stop_pending = False
    _buffer_start = 0
    _final_size: int | None = None
    _stop_error_code: int | None = None

    def __init__(self, stream_id: int, touched: Touched) -> None:
        self._stream_id = stream_id
        self._touched = touched
        self._buffer = bytearray()
        self._ranges = RangeSet()

    def stop(self, error_code: int = QuicErrorCode.NO_ERROR) -> None:
        super().stop(error_code)
        assert self._stream_id is not None
        self._touched[self._stream_id] = None


class _Sender(QuicStreamSender):
    buffer_is_empty = True
    highest_offset = 0
    is_finished = False
    reset_pending = False
    _acked_fin = False
    _buffer_fin: int | None = None
    _buffer_start = 0
    _buffer_stop = 0
    _pending_eof = False
    _reset_error_code: int | None = None

    def __init__(self, stream_id: int, touched: Touched) -> None:
        self._id = self._stream_id = stream_id
        self._touched = touched
        self._acked = RangeSet()
        self._buffer = bytearray()
        self._pending = RangeSet()

    def write(self, data: bytes, end_stream: bool = False) -> None:
        self._touched[self._id] = None
        super().write(data, end_stream)

    def reset(self, error_code: int) -> None:
        self._touched[self._id] = None
        super().reset(error_code)

    def on_data_delivery(self, delivery: QuicDeliveryState, start: int, stop: int, fin: bool) -> None:
        if delivery is not _ACKED or start != self._buffer_start or self._reset_error_code is not None:
            super().on_data_delivery(delivery, start, stop, fin)
        elif fin and stop == self._buffer_fin:
            # All that was left, as nearly always.
            self._buffer_start = stop
            self._buffer.clear()
            self._acked_fin = self.is_finished = True
        elif not fin and stop != self._buffer_fin and not len(self._acked):
            self._buffer_start = stop
            del self._buffer[: stop - start]
        else:
            super().on_data_delivery(delivery, start, stop, fin)
        self._touched[self._id] = None

    def on_reset_delivery(self, delivery: QuicDeliveryState) -> None:
        self._touched[self._id] = None
        super().on_reset_delivery(delivery)


class RequestStream(QuicStream):
    """A bidirectional stream that the client opened."""

    is_blocked = False

    def __init__(self, stream_id: int, credit: int, remote_credit: int, touched: Touched) -> None:
        self.max_stream_data_local = self.max_stream_data_local_sent = credit
        self.max_stream_data_remote = remote_credit
        self.receiver = _Receiver(stream_id, touched)
        self.sender = _Sender(stream_id, touched)
        self.stream_id = stream_id

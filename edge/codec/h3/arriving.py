"""Packets of a connection past its handshake, taken apart without aioquic's buffer, builder and log.

Nearly all packets hold an ACK and STREAM frames of requests, on the path and to the connection id
that everything uses. Those are judged here, by the rules aioquic has; whatever is different in a
datagram or in a frame goes to aioquic's own code, which keeps all state either way.
"""

from __future__ import annotations

from typing import Any, Final

from aioquic import tls
from aioquic._buffer import Buffer, BufferReadError
from aioquic._crypto import CryptoError
from aioquic.quic.connection import (
    QuicConnection,
    QuicConnectionError,
    QuicConnectionState,
    QuicReceiveContext,
)
from aioquic.quic.crypto import CryptoPair
from aioquic.quic.events import StreamDataReceived
from aioquic.quic.packet import (
    NON_ACK_ELICITING_FRAME_TYPES,
    QuicErrorCode,
    QuicFrameType,
    QuicStreamFrame,
    decode_packet_number,
)
from aioquic.quic.recovery import MAX_ACK_RANGES, QuicPacketSpace
from aioquic.quic.stream import FinalSizeError, QuicStream, StreamFinishedError

from edge.codec.h3.ack_frames import read_ack
from edge.codec.h3.acked import acknowledged
from edge.codec.h3.request_stream import RequestStream, Touched
from edge.codec.h3.wire import integer

CID_BYTES: Final = 8
FRAMES_A_PACKET: Final = 160
"""Frames cost us about 1.5 µs each and the client a byte, so a packet full of them is an attack."""
_NUMBER_AT: Final = 1 + CID_BYTES
_SAMPLE_AT: Final = _NUMBER_AT + 4
_LEAST_BYTES: Final = _SAMPLE_AT + 16
_CONNECTED: Final = QuicConnectionState.CONNECTED
_ACK: Final = 0x02
_FIRST_STREAM: Final = 0x08
_LAST_STREAM: Final = 0x0F


def too_many(frame_type: int) -> QuicConnectionError:
    """A packet of more than FRAMES_A_PACKET frames."""
    return QuicConnectionError(
        error_code=QuicErrorCode.PROTOCOL_VIOLATION,
        frame_type=frame_type,
        reason_phrase="Too many frames in a packet",
    )


class Arriving(QuicConnection):
    """The receiving half of a `Transport`."""

    _steady = False
    """The handshake is confirmed: one packet space and one pair of keys are left."""
    _one: QuicPacketSpace
    _pair: CryptoPair
    _acks: list[range]
    """What the queue of acknowledgements holds."""
    _news = False
    """A packet came out of order, which the client wants to know."""
    _probe_s = _idle_s = 0.0
    _look_at_all = True
    """Some stream may have something to send that is not noted in `_touched`."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        self._touched: Touched = {}

    def _confirm_handshake(self) -> None:
        super()._confirm_handshake()
        self._one = self._spaces[tls.Epoch.ONE_RTT]
        self._pair = self._cryptos[tls.Epoch.ONE_RTT]
        self._acks = self._one.ack_queue.__dict__["_RangeSet__ranges"]
        # Keys of 0-RTT, which is not offered, would have to be dropped first.
        self._steady = not self._cryptos[tls.Epoch.ZERO_RTT].recv.is_valid()

    def receive_datagram(self, data: bytes, addr: Any, now: float) -> None:
        if not self._steady or not self._receive_short(data, addr, now):
            self._look_at_all = True
            super().receive_datagram(data, addr, now)

    def _receive_short(self, data: bytes, addr: Any, now: float) -> bool:
        """Take a packet of the usual kind; False when nothing was done because it is another."""
        path = self._network_paths[0]
        recv: Any = self._pair.recv
        if (
            len(data) < _LEAST_BYTES
            or data[0] & 0xC0 != 0x40
            or data[1:_NUMBER_AT] != self.host_cid
            or path.addr != addr
            or not path.is_validated
            or self._state is not _CONNECTED
            or self._close_pending
        ):
            return False
        mask = recv.hp._mask(data[_SAMPLE_AT:_LEAST_BYTES])
        first = data[0] ^ (mask[0] & 0x1F)
        if (first >> 2) & 1 != recv.key_phase:
            return False
        count = (first & 3) + 1
        end = _NUMBER_AT + count
        short = int.from_bytes(data[_NUMBER_AT:end], "big") ^ int.from_bytes(mask[1 : 1 + count], "big")
        space = self._one
        number = decode_packet_number(short, count * 8, space.expected_packet_number)
        header = b"%c%b%b" % (first, self.host_cid, short.to_bytes(count, "big"))
        try:
            plain = recv.aead.decrypt(data[end:], header, number)
        except CryptoError:
            return True
        if number not in space.received_packets:
            self._packet(plain, first, number, now)
        return True

    def _packet(self, plain: bytes, first: int, number: int, now: float) -> None:
        """A packet that is the peer's and new. Spec: RFC 9000 §12.3, §13.2, §17.3.1."""
        space = self._one
        if first & 0x18:
            self.close(
                error_code=QuicErrorCode.PROTOCOL_VIOLATION,
                frame_type=QuicFrameType.PADDING,
                reason_phrase="Reserved bits must be zero",
            )
            return
        if number > space.expected_packet_number:
            space.expected_packet_number = number + 1
        if number > self._spin_highest_pn:
            self._spin_bit = first & 0x20 != 0
            self._spin_highest_pn = number
        try:
            eliciting = self._frames(plain, now)
        except QuicConnectionError as error:
            self.close(
                error_code=error.error_code, frame_type=error.frame_type, reason_phrase=error.reason_phrase
            )
            return
        if self._state is not _CONNECTED or self._close_pending:
            return
        self._close_at = now + self._idle_timeout()
        self._ack_eliciting_sent_since_receipt = False
        if number > space.largest_received_packet:
            space.largest_received_packet = number
            space.largest_received_time = now
        acks = self._acks
        if acks and acks[-1].stop == number:
            acks[-1] = range(acks[-1].start, number + 1)
        else:
            self._news = True
            space.ack_queue.add(number)
            if len(acks) > MAX_ACK_RANGES:
                space.ack_queue.shift()
        space.received_packets.add(number)
        if eliciting and space.ack_at is None:
            space.ack_at = now + self._ack_delay

    def _idle_timeout(self) -> float:
        """As aioquic's; keeps the result and the probe timeout, which change with what arrives alone."""
        timeout = self._configuration.idle_timeout
        remote = self._remote_max_idle_timeout
        if remote is not None and remote < timeout:
            timeout = remote
        self._probe_s = probe_s = self._loss.get_probe_timeout()
        self._idle_s = timeout = timeout if timeout > 3 * probe_s else 3 * probe_s
        return timeout

    # ---- frames

    def _frames(self, plain: bytes, now: float) -> bool:
        """Whether an acknowledgement is asked for. Raises QuicConnectionError."""
        at, end = 0, len(plain)
        if not end:
            raise QuicConnectionError(
                error_code=QuicErrorCode.PROTOCOL_VIOLATION,
                frame_type=QuicFrameType.PADDING,
                reason_phrase="Packet contains no frames",
            )
        eliciting = False
        left = FRAMES_A_PACKET
        while at < end:
            kind = plain[at]
            left -= 1
            if left < 0:
                raise too_many(kind)
            if _FIRST_STREAM <= kind <= _LAST_STREAM:
                after = self._stream(kind, plain, at + 1, end)
                if after:
                    eliciting = True
                    at = after
                    continue
            elif kind == _ACK:
                after = self._ack(plain, at + 1, end, now)
                if after:
                    at = after
                    continue
            at, asks = self._other(plain, at, now)
            eliciting |= asks
        return eliciting

    def _other(self, plain: bytes, at: int, now: float) -> tuple[int, bool]:
        """Leave the frame at `at` to aioquic: where it ends, whether it asks for an acknowledgement."""
        self._look_at_all = True
        buffer = Buffer(data=plain)
        buffer.seek(at)
        try:
            kind = buffer.pull_uint_var()
        except BufferReadError:
            raise _malformed(QuicFrameType.PADDING, "Malformed frame type") from None
        try:
            # Past `_CountedHandlers`: frames were counted already.
            handler, epochs = dict.__getitem__(self.__dict__["_QuicConnection__frame_handlers"], kind)
        except KeyError:
            raise _malformed(kind, "Unknown frame type") from None
        context = QuicReceiveContext(
            epoch=tls.Epoch.ONE_RTT,
            host_cid=self.host_cid,
            network_path=self._network_paths[0],
            quic_logger_frames=None,
            time=now,
            version=None,
        )
        if context.epoch not in epochs:
            raise QuicConnectionError(
                error_code=QuicErrorCode.PROTOCOL_VIOLATION,
                frame_type=kind,
                reason_phrase="Unexpected frame type",
            )
        try:
            handler(context, kind, buffer)
        except BufferReadError:
            raise _malformed(kind, "Failed to parse frame") from None
        except StreamFinishedError:
            # Nothing is known of that stream any more.
            pass
        return buffer.tell(), kind not in NON_ACK_ELICITING_FRAME_TYPES

    def _ack(self, plain: bytes, at: int, end: int, now: float) -> int:
        """Where an ACK frame ends; 0 when it is wrong."""
        ranges, delay, at = read_ack(plain, at, end)
        if not at or ranges[-1][1] >= self._packet_number or not self._loss.peer_completed_address_validation:
            return 0
        seconds = (delay << self._remote_ack_delay_exponent) / 1_000_000
        if acknowledged(self._loss, self._one, ranges, seconds, now):
            self._look_at_all = True
        return at

    def _stream(self, kind: int, plain: bytes, at: int, end: int) -> int:
        """Where a STREAM frame ends; 0 when it is none of a request, or is wrong."""
        stream_id, at = integer(plain, at, end)
        offset = 0
        if at and kind & 4:
            offset, at = integer(plain, at, end)
        if not at or stream_id & 3:
            return 0
        if kind & 2:
            size, at = integer(plain, at, end)
        else:
            size = end - at
        top = offset + size
        if not at or not size or at + size > end:
            return 0
        stream = self._streams.get(stream_id)
        if stream is None:
            stream = self._opened(stream_id)
            if stream is None:
                return 0
        receiver = stream.receiver
        credit = self._local_max_data
        ends = kind & 1 != 0
        if (
            offset != receiver._buffer_start
            or receiver._buffer
            or receiver.is_finished
            or receiver._final_size is not None
            or top > stream.max_stream_data_local
            or credit.used + size > credit.value
        ):
            taken = self._out_of_order(stream, QuicStreamFrame(plain[at : at + size], ends, offset), top)
            return at + size if taken else 0
        receiver.highest_offset = receiver._buffer_start = top
        credit.used += size
        if ends:
            receiver._final_size = top
            receiver.is_finished = True
            if stream.sender.is_finished:
                self._touched[stream_id] = None
        self._events.append(
            StreamDataReceived(data=plain[at : at + size], end_stream=ends, stream_id=stream_id)
        )
        return at + size

    def _out_of_order(self, stream: QuicStream, frame: QuicStreamFrame, top: int) -> bool:
        """Take a frame that ends at `top`, behind a gap or known in part; False when it is wrong."""
        receiver, credit = stream.receiver, self._local_max_data
        new = max(0, top - receiver.highest_offset)
        if top > stream.max_stream_data_local or credit.used + new > credit.value:
            return False
        try:
            event = receiver.handle_frame(frame)
        except FinalSizeError:
            return False
        credit.used += new
        if event is not None:
            self._events.append(event)
            if event.end_stream and stream.sender.is_finished:
                assert stream.stream_id is not None
                self._touched[stream.stream_id] = None
        return True

    def _opened(self, stream_id: int) -> QuicStream | None:
        """The stream when it is the next one that the peer may open."""
        limit = self._local_max_streams_bidi
        if stream_id != limit.used << 2 or limit.used >= limit.value:
            return None
        stream = self._streams[stream_id] = RequestStream(
            stream_id,
            self._local_max_stream_data_bidi_remote,
            self._remote_max_stream_data_bidi_local,
            self._touched,
        )
        self._streams_queue.append(stream)
        limit.used += 1
        return stream

    def _get_or_create_stream(self, frame_type: int, stream_id: int) -> QuicStream:
        limit = self._local_max_streams_bidi
        number = stream_id >> 2
        if not stream_id & 3 and number < limit.value:
            # Whichever frame opens it, and those below it: all are ours.
            while limit.used <= number:
                self._opened(limit.used << 2)
        return super()._get_or_create_stream(frame_type, stream_id)


def _malformed(kind: int, reason: str) -> QuicConnectionError:
    return QuicConnectionError(
        error_code=QuicErrorCode.FRAME_ENCODING_ERROR, frame_type=kind, reason_phrase=reason
    )

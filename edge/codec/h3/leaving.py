"""Packets to a connection past its handshake, written without aioquic's builder.

An ACK and what streams have to say is nearly all that is ever sent; those packets are
made here out of the state that aioquic keeps. Whatever else is due, and any doubt, is aioquic's.
"""

from __future__ import annotations

from math import inf
from typing import Any, Final

from aioquic import tls
from aioquic.quic.connection import QuicConnectionId, QuicConnectionState
from aioquic.quic.packet import QuicPacketType
from aioquic.quic.packet_builder import QuicDeliveryState
from aioquic.quic.recovery import QuicPacketPacer, QuicPacketSpace
from aioquic.quic.stream import QuicStream

from edge.codec.h3.ack_frames import ack_frame
from edge.codec.h3.acked import SentPacket
from edge.codec.h3.trains import HEADER_AND_TAG, LONGEST, SHARED, Datagrams, Trains
from edge.codec.h3.wire import varint

_CONNECTED: Final = QuicConnectionState.CONNECTED
_ACKED: Final = QuicDeliveryState.ACKED
_ONE_RTT: Final = QuicPacketType.ONE_RTT
_EPOCH: Final = tls.Epoch.ONE_RTT
_STREAM: Final = 0x0A
"""STREAM with a length, which takes two bytes. Spec: RFC 9000 §19.8."""
_LENGTH: Final = 0x4000
_PING: Final = b"\x01"
MOST_PACE_S: Final = 0.005
"""What is paced goes in portions; the next is never further away than this."""
ASK_EVERY: Final = 8
"""Of packets with nothing but an ACK of several ranges, this part asks for an acknowledgement itself."""
SILENT: Final = 64
"""Packets that ask for no acknowledgement, and so may never get one, that are kept until they have it."""
_JOIN: Final = b"".join
_allowed_at: Final = QuicPacketPacer.next_send_time


def _ack_delivered(
    delivery: QuicDeliveryState, space: QuicPacketSpace, acks: list[range], highest: int
) -> None:
    """The peer knows what we have up to `highest`, unless the packet that told it was lost."""
    if delivery is _ACKED:
        if len(acks) == 1 and acks[0].start <= highest < acks[0].stop - 1:
            acks[0] = range(highest + 1, acks[0].stop)
        else:
            space.ack_queue.subtract(0, highest + 1)


class Leaving(Trains):
    """The sending half of a `Transport`."""

    _unsent_cids = True
    """A connection id of ours may have to be announced."""
    _late_crypto: QuicStream

    def _confirm_handshake(self) -> None:
        super()._confirm_handshake()
        self._late_crypto = self._crypto_streams[_EPOCH]

    def _on_new_connection_id_delivery(
        self, delivery: QuicDeliveryState, connection_id: QuicConnectionId
    ) -> None:
        self._unsent_cids |= delivery is not _ACKED
        super()._on_new_connection_id_delivery(delivery, connection_id)

    # ---- when

    def get_timer(self) -> float | None:
        """As aioquic's, which also looks at packet spaces and paths that are no more."""
        if not self._steady or self._state is not _CONNECTED or not self._network_paths[0].is_validated:
            return super().get_timer()
        at: Any = self._close_at
        space, loss = self._one, self._loss
        lost = space.loss_time
        if lost is None and space.ack_eliciting_in_flight:
            lost = loss._time_of_last_sent_ack_eliciting_packet + self._probe_s * (1 << loss._pto_count)
        self._loss_at = lost
        if lost is not None and lost < at:
            at = lost
        due = space.ack_at
        if due is not None and due < at:
            at = due
        due = self._pacing_at
        if due is not None and due < at:
            at = due
        timer: float = at
        return timer

    def handle_timer(self, now: float) -> None:
        ends: Any = self._close_at
        lost, paths = self._loss_at, self._network_paths
        if (
            not self._steady
            or now >= ends
            or (lost is not None and now >= lost)
            or len(paths) != 1
            or not paths[0].is_validated
        ):
            # Else it was the pacer's, or that of an acknowledgement: what they wait for is known.
            self._look_at_all = True
            super().handle_timer(now)

    def held_back(self, now: float) -> bool:
        """Whether data waits for its pace, and a timer will tell."""
        at = self._pacing_at
        return at is not None and now < at < inf

    # ---- what

    def send_stream_data(self, stream_id: int, data: bytes, end_stream: bool = False) -> None:
        self._look_at_all = True
        super().send_stream_data(stream_id, data, end_stream)

    def _all_datagrams(self, now: float) -> Datagrams:
        """All that is due, by aioquic."""
        self._look_at_all = True
        self._touched.clear()
        made = self.datagrams_to_send(now)
        self._forget_silent(self._spaces[_EPOCH])
        self._unsent_cids = not all(known.was_sent for known in self._host_cids)
        return made

    def _forget_silent(self, space: QuicPacketSpace) -> None:
        """A client that only sends, or pings, need never acknowledge our ACKs. Spec: RFC 9000 §13.2.1."""
        sent = space.sent_packets
        if len(sent) > SILENT + space.ack_eliciting_in_flight:
            for number in [number for number, packet in sent.items() if not packet.in_flight]:
                del sent[number]

    def _is_plain(self) -> bool:
        """Whether nothing but acknowledgements and data of streams is due.

        What is looked at only with `_look_at_all` changes nowhere but in code that sets it.
        """
        space, credit = self._one, self._local_max_data
        if (
            self._close_pending
            or self._state is not _CONNECTED
            or credit.value != credit.sent
            or (space.ack_at is not None and not self._acks)
        ):
            return False
        return not self._look_at_all or not (
            self._probe_pending
            or self._unsent_cids
            or not self._network_paths[0].is_validated
            or any(path.remote_challenges for path in self._network_paths)
            or any(not (path.is_validated or path.local_challenge_sent) for path in self._network_paths)
            or self._handshake_done_pending
            or self._ping_pending
            or self._datagrams_pending
            or self._retire_connection_ids
            or self._streams_blocked_pending
            or self._pair._update_key_requested
            or not self._late_crypto.sender.buffer_is_empty
        )

    def has_data(self) -> bool:
        """Whether a stream has data to send; limits may hold it back."""
        if self._look_at_all:
            return any(not stream.sender.buffer_is_empty for stream in self._streams_queue)
        for stream_id in self._touched:
            stream = self._streams.get(stream_id)
            if stream is not None and not stream.sender.buffer_is_empty:
                return True
        return False

    def _ready(self) -> list[QuicStream] | None:
        """Streams with something to send; None when one has more to say than data."""
        if self._look_at_all:
            streams = self._streams_queue.copy()
        else:
            streams = [self._streams[each] for each in self._touched if each in self._streams]
        self._look_at_all = False
        self._touched.clear()
        ready: list[QuicStream] = []
        for stream in streams:
            sender, receiver = stream.sender, stream.receiver
            if receiver.is_finished and sender.is_finished:
                self._let_go(stream)
            elif (
                sender.reset_pending
                or receiver.stop_pending
                or stream.is_blocked
                or stream.max_stream_data_local != stream.max_stream_data_local_sent
            ):
                return None
            elif not sender.buffer_is_empty:
                ready.append(stream)
        bidi, uni = self._local_max_streams_bidi, self._local_max_streams_uni
        if bidi.value - bidi.sent > bidi.sent - bidi.used or uni.value - uni.sent > uni.sent - uni.used:
            return None
        return ready

    def _let_go(self, stream: QuicStream) -> None:
        """Forget a finished stream; the client may open another in its place. Spec: RFC 9000 §4.6."""
        stream_id = stream.stream_id
        assert stream_id is not None
        del self._streams[stream_id]
        self._streams_queue.remove(stream)
        if not stream_id & 1:
            self._stream_limit(stream_id).value += 1

    # ---- packets

    def _plain_datagrams(self, now: float) -> Datagrams | None:
        """All that is due; None when that is more than an ACK and data, and nothing was done."""
        ready = self._ready() if self._steady and self._is_plain() else None
        if ready is None:
            return None
        made: Datagrams = []
        path, space, pacer = self._network_paths[0], self._one, self._loss._pacer
        served: list[QuicStream] = []
        self._pacing_at = None
        while ready or (space.ack_at is not None and space.ack_at <= now):
            if space.ack_at is None or space.ack_at >= now:
                later: Any = _allowed_at(pacer, now)
                if later is not None:
                    # Not for each packet: what the pacer lets go at once comes in two halves.
                    self._pacing_at = max(later, now + min(pacer.bucket_max / 2, MOST_PACE_S))
                    break
                went = self._long_answer(ready, served, now, made) if space.ack_at is None else 0
                if went < 0 or (went and len(ready) == 1 and self._is_full()):
                    break
                if went:
                    continue
            data = self._datagram(ready, served, now)
            if not data:
                break
            path.bytes_sent += len(data)
            made.append((data, path.addr))
            pacer.update_after_send(now)
        if ready:
            # Who was served goes to the end.
            for stream in ready:
                assert stream.stream_id is not None
                self._touched[stream.stream_id] = None
            if len(ready) > 1:
                self._streams_queue = [each for each in self._streams_queue if each not in served] + served
        return made

    def _is_full(self) -> bool:
        """Whether no whole packet may leave before the client acknowledges some."""
        congestion = self._loss._cc
        return congestion.congestion_window - congestion.bytes_in_flight < self._max_datagram_size

    def _long_answer(
        self, ready: list[QuicStream], served: list[QuicStream], now: float, made: Datagrams
    ) -> int:
        """As `_train`, for the stream whose turn it is."""
        stream = ready[0]
        sender = stream.sender
        if sender._buffer_stop - sender._buffer_start < self._max_datagram_size:
            return 0
        went = self._train(stream, SHARED if len(ready) > 1 else LONGEST, now, made)
        if went > 0:
            del ready[0]
            if not sender.buffer_is_empty:
                ready.append(stream)
                if stream not in served:
                    served.append(stream)
        return went

    def _datagram(self, ready: list[QuicStream], served: list[QuicStream], now: float) -> bytes:
        """One packet. What has nothing more to send leaves `ready`, the others take turns."""
        pieces: list[bytes] = []
        handlers: list[Any] = []
        space, loss = self._one, self._loss
        if space.ack_at is not None and space.ack_at <= now:
            handlers.append((_ack_delivered, (space, self._acks, space.largest_received_packet)))
            pieces.append(self._ack_frame(now))
        room = min(self._max_datagram_size, loss.congestion_window - loss.bytes_in_flight)
        room -= HEADER_AND_TAG + len(self._peer_cid.cid) + (len(pieces[0]) if pieces else 0)
        asks = False
        while ready:
            stream = ready[0]
            frame = self._stream_frame(stream, room, handlers)
            if frame:
                pieces.append(frame)
                room -= len(frame)
                asks = True
            elif frame is None:
                break
            del ready[0]
            if not stream.sender.buffer_is_empty and frame:
                ready.append(stream)
                if stream not in served:
                    served.append(stream)
                break
        if not asks and room > 0 and len(self._acks) > 1 and handlers and not self._packet_number % ASK_EVERY:
            # What the client knows of the older ranges need not be said for ever.
            pieces.append(_PING)
            asks = True
        return self._sealed(_JOIN(pieces), asks, handlers, now) if pieces else b""

    def _ack_frame(self, now: float) -> bytes:
        """Spec: RFC 9000 §19.3."""
        space: Any = self._one
        space.ack_at = None
        delay = max(0, int((now - space.largest_received_time) * 1_000_000)) >> self._local_ack_delay_exponent
        acks = self._acks
        last = acks[-1].stop - 1
        if len(acks) > 1:
            return ack_frame(acks, delay)
        return b"\x02%b%b\x00%b" % (varint(last), varint(delay), varint(last - acks[0].start))

    def _stream_frame(self, stream: QuicStream, room: int, handlers: list[Any]) -> bytes | None:
        """What fits into `room`; None when nothing does, nothing when the client grants no more."""
        sender = stream.sender
        pending = sender._pending
        stream_id: Any = stream.stream_id
        start = sender.next_offset
        head = varint(stream_id) + (varint(start) if start else b"")
        room -= 3 + len(head)
        before = sender.highest_offset
        most = min(before + self._remote_max_data - self._remote_max_data_used, stream.max_stream_data_remote)
        stop = sender._buffer_stop
        if len(pending) == 1 and pending[0].stop == stop <= most and stop - start <= room:
            # All that is left, as nearly always.
            pending.shift()
            first = sender._buffer_start
            data = bytes(sender._buffer[start - first : stop - first])
            ends = sender._buffer_fin == stop
            if stop > before:
                sender.highest_offset = stop
            if ends:
                sender._pending_eof = False
        else:
            if room < 0 or (room == 0 and len(pending)):
                return None
            frame = sender.get_frame(room, most)
            if frame is None:
                return b""
            data, ends, stop = frame.data, frame.fin, frame.offset + len(frame.data)
        if not len(pending) and not sender._pending_eof:
            sender.buffer_is_empty = True
        self._remote_max_data_used += sender.highest_offset - before
        handlers.append((sender.on_data_delivery, (start, stop, ends)))
        size = (len(data) | _LENGTH).to_bytes(2, "big")
        return b"%c%b%b%b" % (_STREAM | (4 if start else 0) | ends, head, size, data)

    def _sealed(self, payload: bytes, asks: bool, handlers: list[Any], now: float) -> bytes:
        """The datagram, entered as sent. Spec: RFC 9000 §17.3.1, RFC 9001 §5.3, §5.4."""
        number = self._packet_number
        self._packet_number = number + 1
        send: Any = self._pair.send
        cid = self._peer_cid.cid
        high, low = (number >> 8) & 0xFF, number & 0xFF
        first = 0x41 | self._spin_bit << 5 | self._pair.recv.key_phase << 2
        body = send.aead.encrypt(payload, b"%c%b%c%c" % (first, cid, high, low), number)
        mask = send.hp._mask(body[2:18])
        data = b"%c%b%c%c%b" % (first ^ (mask[0] & 0x1F), cid, high ^ mask[1], low ^ mask[2], body)
        packet: Any = SentPacket(number, _EPOCH, _ONE_RTT, asks, now, len(data), handlers)
        space, loss = self._one, self._loss
        space.sent_packets[number] = packet
        if asks:
            space.ack_eliciting_in_flight += 1
            loss._time_of_last_sent_ack_eliciting_packet = now
            loss._cc.on_packet_sent(packet=packet)
            if not self._ack_eliciting_sent_since_receipt:
                self._ack_eliciting_sent_since_receipt = True
                self._close_at = now + self._idle_s
        else:
            self._forget_silent(space)
        return data

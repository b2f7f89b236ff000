"""Packets full of one stream's bytes, made many at a time: most of what a long answer is.

Spec: RFC 9000 §17.3.1, §19.8, RFC 9001 §5.3, §5.4.
"""

from __future__ import annotations

from typing import Any, Final

from aioquic.quic.stream import QuicStream

from edge.codec.h3.acked import SentData
from edge.codec.h3.arriving import Arriving
from edge.codec.h3.wire import varint

LONGEST: Final = 40
"""Packets of one train: what the kernel takes at once is 64 KiB."""
SHARED: Final = 10
"""The same while other streams wait for their turn."""
_STREAM: Final = 0x0C
"""STREAM with an offset, to the end of its packet."""
_NEAR: Final = 1 << 30
_NEAR_MARK: Final = 0x8000_0000
_FAR_MARK: Final = 0xC000_0000_0000_0000
HEADER_AND_TAG: Final = 1 + 2 + 16
"""Beside the connection id: first byte, packet number, authentication."""
_JOIN: Final = b"".join

Datagrams = list[tuple[bytes, Any]]


class Trains(Arriving):
    """Adds `_train` to a `Transport`."""

    def _train(self, stream: QuicStream, most: int, now: float, made: Datagrams) -> int:
        """Append up to `most` full packets of `stream` to `made`: how many; -1 = wait for the client.

        0 when what there is fills no packet. The end of a stream is left to others.
        """
        sender: Any = stream.sender
        ranges = sender._pending._RangeSet__ranges
        if not ranges:
            return 0
        start, stop = ranges[0].start, ranges[0].stop
        before = sender.highest_offset
        most_bytes = before + self._remote_max_data - self._remote_max_data_used
        limit = min(stop, stream.max_stream_data_remote, most_bytes)
        head = b"%c%b" % (_STREAM, varint(stream.stream_id or 0))
        wide = 4 if limit < _NEAR else 8
        size = self._max_datagram_size
        room = size - (HEADER_AND_TAG + len(self._peer_cid.cid) + len(head) + wide)
        count = (limit - start) // room
        if sender._buffer_fin == start + count * room:
            count -= 1
        if count < 1:
            return 0
        congestion = self._loss._cc
        free = (congestion.congestion_window - congestion.bytes_in_flight) // size
        if free < 1:
            # Less than a packet would be one byte here and three there for ever.
            return -1 if congestion.bytes_in_flight > 0 else 0
        count = self._paced(min(count, free, most))
        end = start + count * room
        self._seal(sender, head, wide, range(start, end, room), now, made)
        if end == stop:
            del ranges[0]
            if not ranges and not sender._pending_eof:
                sender.buffer_is_empty = True
        else:
            ranges[0] = range(end, stop)
        if end > before:
            sender.highest_offset = end
            self._remote_max_data_used += end - before
        return count

    def _paced(self, most: int) -> int:
        """How many of `most` packets may leave at once; they are entered with the pacer, which was asked."""
        pacer = self._loss._pacer
        each = pacer.packet_time
        if each is None:
            return most
        left, count = pacer.bucket_time, 0
        while left > 0 and count < most:
            left = left - each if left >= each else 0.0
            count += 1
        pacer.bucket_time = left
        return count

    def _seal(self, sender: Any, head: bytes, wide: int, offsets: range, now: float, made: Datagrams) -> None:
        """The packets of the bytes from each of `offsets`, entered as sent."""
        room, size, path = offsets.step, self._max_datagram_size, self._network_paths[0]
        send: Any = self._pair.send
        seal, iv = send.aead._aead.encrypt, send.aead._iv
        cid = self._peer_cid.cid
        first = 0x41 | self._spin_bit << 5 | self._pair.recv.key_phase << 2
        lead = b"%c%b" % (first, cid)
        mark = _NEAR_MARK if wide == 4 else _FAR_MARK
        base = sender._buffer_start
        plain = bytes(memoryview(sender._buffer)[offsets.start - base : offsets.stop - base])
        number = self._packet_number
        sent: dict[int, Any] = self._one.sent_packets
        bodies: list[bytes] = []
        at = 0
        for offset in offsets:
            payload = _JOIN((head, (offset | mark).to_bytes(wide, "big"), plain[at : at + room]))
            header = lead + (number & 0xFFFF).to_bytes(2, "big")
            bodies.append(seal((iv ^ number).to_bytes(12, "big"), payload, header))
            sent[number] = SentData(number, now, size, sender, offset, offset + room)
            number += 1
            at += room
        masks = _masks(send.hp, bodies)
        addr, at, number = path.addr, 0, self._packet_number
        for body in bodies:
            data = b"%c%b%c%c%b" % (
                first ^ (masks[at] & 0x1F), cid,
                (number >> 8 & 0xFF) ^ masks[at + 1], (number & 0xFF) ^ masks[at + 2], body,
            )  # fmt: skip
            made.append((data, addr))
            number += 1
            at += 16
        self._entered(len(bodies), now)

    def _entered(self, count: int, now: float) -> None:
        """`count` full packets, numbered on from the last, were sent."""
        loss, bytes_sent = self._loss, count * self._max_datagram_size
        self._packet_number += count
        self._network_paths[0].bytes_sent += bytes_sent
        self._one.ack_eliciting_in_flight += count
        loss._time_of_last_sent_ack_eliciting_packet = now
        loss._cc.bytes_in_flight += bytes_sent
        if not self._ack_eliciting_sent_since_receipt:
            self._ack_eliciting_sent_since_receipt = True
            self._close_at = now + self._idle_s


def _masks(protection: Any, bodies: list[bytes]) -> bytes:
    """Of each body the mask of its header, 16 bytes apart. Spec: RFC 9001 §5.4.3, §5.4.4."""
    samples = [body[2:18] for body in bodies]
    if protection._is_chacha20:
        return _JOIN([protection._mask(sample).ljust(16) for sample in samples])
    masks: bytes = protection._encryptor.update(_JOIN(samples))
    return masks

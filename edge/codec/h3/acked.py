"""What an ACK means for what was sent: aioquic's recovery and its Reno, for many packets at a time.

Spec: RFC 9002 §5, §6, §7.3, appendix A.7.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, ClassVar, Final

from aioquic import tls
from aioquic.quic.packet import QuicPacketType
from aioquic.quic.packet_builder import QuicDeliveryState
from aioquic.quic.recovery import QuicPacketRecovery, QuicPacketSpace
from aioquic.quic.stream import QuicStreamSender
from msgspec import Struct

from edge.codec.h3.ack_frames import Ranges

_ACKED: Final = QuicDeliveryState.ACKED
_LEAST_RTT_S: Final = 0.001
MANY: Final = 3
"""Packets from which on it pays to take neighbours together."""


class SentPacket:
    """What aioquic's recovery keeps of a 1-RTT packet; duck of its QuicSentPacket."""

    __slots__ = (
        "delivery_handlers", "epoch", "in_flight", "is_ack_eliciting", "is_crypto_packet",
        "packet_number", "packet_type", "sent_bytes", "sent_time",
    )  # fmt: skip

    def __init__(
        self, number: int, epoch: Any, kind: Any, eliciting: bool, now: float, size: int, handlers: list[Any]
    ) -> None:
        self.packet_number = number
        self.epoch = epoch
        self.packet_type = kind
        self.in_flight = self.is_ack_eliciting = eliciting
        self.is_crypto_packet = False
        self.sent_time = now
        self.sent_bytes = size
        self.delivery_handlers = handlers


class SentData(Struct, gc=False):
    """A 1-RTT packet of nothing but bytes of one stream, not the last; duck of aioquic's QuicSentPacket."""

    epoch: ClassVar = tls.Epoch.ONE_RTT
    packet_type: ClassVar = QuicPacketType.ONE_RTT
    in_flight: ClassVar[bool] = True
    is_ack_eliciting: ClassVar[bool] = True
    is_crypto_packet: ClassVar[bool] = False

    packet_number: int
    sent_time: float
    sent_bytes: int
    sender: QuicStreamSender
    start: int
    stop: int

    @property
    def delivery_handlers(self) -> tuple[tuple[Any, tuple[int, int, bool]]]:
        return ((self.sender.on_data_delivery, (self.start, self.stop, False)),)


def acknowledged(
    loss: QuicPacketRecovery, space: QuicPacketSpace, ranges: Ranges, delay: float, now: float
) -> bool:
    """The peer has `ranges`, and waited `delay` seconds before it said so.

    True when packets were declared lost.
    """
    largest = ranges[-1][1]
    space.largest_acked_packet = max(space.largest_acked_packet, largest)
    sent = space.sent_packets
    packets = _taken(sent, ranges)
    if not packets:
        return False
    last = packets[-1]
    if len(packets) < MANY:
        eliciting = _few_delivered(packets, space, loss._cc, now)
    else:
        eliciting = _delivered(packets, space)
        _grow(loss._cc, packets)
    if eliciting and last.packet_number == largest:
        _measure(loss, now - last.sent_time, delay, now)
    loss._pto_count = 0
    if not sent or next(iter(sent)) > space.largest_acked_packet:
        # All that is left was sent later, so nothing can be lost yet.
        space.loss_time = None
        return False
    left = len(sent)
    loss._detect_loss(now=now, space=space)
    return len(sent) != left


def _taken(sent: dict[int, Any], ranges: Ranges) -> list[Any]:
    """The packets of `sent`, which is ascending, that are in `ranges`; they are taken out of it."""
    packets: list[Any] = []
    if not sent:
        return packets
    lowest, largest = ranges[-1]
    first = next(iter(sent))
    if lowest <= first:
        # Nothing is missing, as nearly always.
        for number, packet in sent.items():
            if number > largest:
                break
            packets.append(packet)
        for packet in packets:
            del sent[packet.packet_number]
        return packets
    numbers = list(sent)
    start = 0
    for lowest, largest in ranges:
        if largest >= first:
            start = bisect_left(numbers, lowest, start)
            stop = bisect_left(numbers, largest + 1, start)
            packets += [sent.pop(number) for number in numbers[start:stop]]
            start = stop
    return packets


def _few_delivered(packets: list[Any], space: QuicPacketSpace, congestion: Any, now: float) -> bool:
    """As `_delivered` and `_grow`, one by one."""
    asked = False
    for packet in packets:
        if packet.is_ack_eliciting:
            asked = True
            space.ack_eliciting_in_flight -= 1
        if packet.in_flight:
            congestion.on_packet_acked(packet=packet, now=now)
        for handler, arguments in packet.delivery_handlers:
            handler(_ACKED, *arguments)
    return asked


def _delivered(packets: list[Any], space: QuicPacketSpace) -> bool:
    """Tell who sent what is in `packets`, neighbouring bytes of a stream at once; whether any asked."""
    eliciting = 0
    sender: QuicStreamSender | None = None
    start = stop = 0
    for packet in packets:
        if type(packet) is SentData:
            eliciting += 1
            if packet.start == stop and packet.sender is sender:
                stop = packet.stop
                continue
            if sender is not None:
                sender.on_data_delivery(_ACKED, start, stop, False)
            sender, start, stop = packet.sender, packet.start, packet.stop
            continue
        if packet.is_ack_eliciting:
            eliciting += 1
        if sender is not None:
            sender.on_data_delivery(_ACKED, start, stop, False)
            sender = None
        for handler, arguments in packet.delivery_handlers:
            handler(_ACKED, *arguments)
    if sender is not None:
        sender.on_data_delivery(_ACKED, start, stop, False)
    space.ack_eliciting_in_flight -= eliciting
    return eliciting > 0


def _grow(congestion: Any, packets: list[Any]) -> None:
    """As `on_packet_acked` of aioquic's Reno for each packet in flight. Spec: RFC 9002 §7.3."""
    flight, window, threshold = congestion.bytes_in_flight, congestion.congestion_window, congestion.ssthresh
    recovery = congestion._congestion_recovery_start_time
    for packet in packets:
        if not packet.in_flight:
            continue
        size = packet.sent_bytes
        flight -= size
        if packet.sent_time <= recovery:
            continue
        if threshold is None or window < threshold:
            window += size
        else:
            stash = congestion._congestion_stash + size
            count = stash // window
            congestion._congestion_stash = stash - count * window
            window += count * congestion._max_datagram_size
    congestion.bytes_in_flight = flight
    congestion.congestion_window = window


def _measure(loss: QuicPacketRecovery, latest: float, delay: float, now: float) -> None:
    """A round trip took `latest`. Spec: RFC 9002 §5.3."""
    delay = min(delay, loss.max_ack_delay)
    bounded = latest if latest > _LEAST_RTT_S else _LEAST_RTT_S
    loss._rtt_min = min(loss._rtt_min, bounded)
    if bounded > loss._rtt_min + delay:
        bounded -= delay
    loss._rtt_latest = bounded
    if loss._rtt_initialized:
        loss._rtt_variance = 0.75 * loss._rtt_variance + 0.25 * abs(loss._rtt_min - bounded)
        loss._rtt_smoothed = 0.875 * loss._rtt_smoothed + 0.125 * bounded
    else:
        loss._rtt_first_sample_time = now
        loss._rtt_initialized = True
        loss._rtt_variance = latest / 2
        loss._rtt_smoothed = latest
    congestion = loss._cc
    if congestion.ssthresh is None:
        congestion.on_rtt_measurement(now=now, rtt=latest)
    loss._pacer.update_rate(congestion.congestion_window, loss._rtt_smoothed)

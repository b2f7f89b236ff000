"""What an ACK of one range means for what was sent: aioquic's recovery, without its sets of ranges.

Spec: RFC 9002 §5, §6, appendix A.7.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, Final

from aioquic.quic.packet_builder import QuicDeliveryState
from aioquic.quic.recovery import QuicPacketRecovery, QuicPacketSpace

_ACKED: Final = QuicDeliveryState.ACKED
_LEAST_RTT_S: Final = 0.001


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


def acknowledged(
    loss: QuicPacketRecovery, space: QuicPacketSpace, lowest: int, largest: int, delay: float, now: float
) -> bool:
    """The peer has `lowest` to `largest`, and waited `delay` seconds before it said so.

    True when other packets may have been declared lost.
    """
    space.largest_acked_packet = max(space.largest_acked_packet, largest)
    sent = space.sent_packets
    numbers = list(sent)
    stop = bisect_left(numbers, largest + 1)
    start = bisect_left(numbers, lowest, 0, stop)
    if start == stop:
        return False
    eliciting = False
    congestion = loss._cc
    packet: Any = None
    for number in numbers[start:stop]:
        packet = sent.pop(number)
        if packet.is_ack_eliciting:
            eliciting = True
            space.ack_eliciting_in_flight -= 1
        if packet.in_flight:
            congestion.on_packet_acked(packet=packet, now=now)
        for handler, arguments in packet.delivery_handlers:
            handler(_ACKED, *arguments)
    if eliciting and packet.packet_number == largest:
        _measure(loss, now - packet.sent_time, delay, now)
    loss._pto_count = 0
    if stop - start == len(numbers) or numbers[0 if start else stop] > space.largest_acked_packet:
        # All that is left was sent later, so nothing can be lost yet.
        space.loss_time = None
        return False
    loss._detect_loss(now=now, space=space)
    return True


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

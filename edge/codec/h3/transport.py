"""aioquic's QUIC connection with what an edge needs: SNI, our connection ids, credit by hand, pacing.

aioquic doubles its receive limits by itself; here a limit moves only when bytes were consumed, so
a slow reader holds the sender back. Private names of aioquic are used: `selftest` knows them all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any, Final

from aioquic import tls
from aioquic._buffer import Buffer
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import (
    Limit,
    QuicConnectionError,
    QuicConnectionId,
    QuicConnectionState,
    QuicNetworkPath,
)
from aioquic.quic.packet import QuicErrorCode, QuicProtocolVersion, pull_quic_transport_parameters
from aioquic.quic.packet_builder import QuicPacketBuilder
from aioquic.quic.recovery import QuicPacketPacer, QuicPacketSpace
from aioquic.quic.stream import QuicStream

from edge.codec.h3.arriving import CID_BYTES, FRAMES_A_PACKET, too_many
from edge.codec.h3.certificates import Certificates
from edge.codec.h3.leaving import Leaving
from edge.codec.h3.server_name import asked_for

ALPN: Final = "h3"
START_WINDOW: Final = 64 << 10
"""Credit of a new stream: one packet can make us allocate this much, so it must be small."""
START_CONNECTION_WINDOW: Final = 128 << 10
MOST_WINDOW: Final = 256 << 10
MOST_CONNECTION_WINDOW: Final = 1 << 20
"""Windows grow by what was consumed, up to these: 1 MiB at 20 ms is 400 Mbit/s."""
UNI_WINDOW: Final = 16 << 10
STREAMS: Final = 100
UNI_STREAMS: Final = 16
"""Three are needed; the others are for reserved types, which clients send to keep us tolerant."""
CRYPTO_BYTES: Final = 16 << 10
"""Of a client's handshake at each level, gaps included. Spec: RFC 9000 §7.5 asks for 4 KiB."""
PEER_CIDS_KNOWN: Final = 64
"""Of the client's connection ids so many numbers are remembered, to tell repetitions; eight are in use."""
SAFE_DATAGRAM_BYTES: Final = 1200
DATAGRAM_BYTES: Final = 1350
"""After the handshake. Fits IPv6 in a tunnel; two probe timeouts without an answer undo it."""
ACK_DELAY_S: Final = 0.02
"""Under the 25 ms we announce: acknowledgements ride on answers, or go alone after this time."""
BIG_DATAGRAM_BYTES: Final = 1000
ACK_EVERY_BIG: Final = 8
"""Uploads are acknowledged this often, or the client's congestion window starves."""
SURE_OF_LOSS: Final = 3
PACER_BURST_S: Final = 0.002

MakeCid = Callable[[], bytes]
ResetToken = Callable[[bytes], bytes]

for _name in ("quic", "http3"):
    # They log what a peer does wrong, at the peer's pace.
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)


class TransportSettings:
    """What all connections of a listener share. `make_cid` gives CID_BYTES bytes, never the same twice;
    `reset_token` makes the 16 bytes of a stateless reset from a connection id. Spec: RFC 9000 §10.3.
    """

    __slots__ = ("certificates", "idle_timeout_s", "make_cid", "max_streams", "reset_token")

    def __init__(
        self, certificates: Certificates, make_cid: MakeCid, reset_token: ResetToken, idle_timeout_s: float
    ) -> None:
        self.certificates = certificates
        self.make_cid = make_cid
        self.reset_token = reset_token
        self.idle_timeout_s = idle_timeout_s
        self.max_streams = STREAMS

    def configuration(self) -> QuicConfiguration:
        default = self.certificates.default
        return QuicConfiguration(
            alpn_protocols=[ALPN],
            certificate=default.leaf,
            certificate_chain=default.chain,
            connection_id_length=CID_BYTES,
            idle_timeout=self.idle_timeout_s,
            is_client=False,
            max_data=START_CONNECTION_WINDOW,
            max_datagram_size=DATAGRAM_BYTES,
            max_stream_data=START_WINDOW,
            private_key=default.key,
            supported_versions=[QuicProtocolVersion.VERSION_1],
        )


class _Silent:
    """Stands for aioquic's logger adapter, whose calls cost a microsecond each even when nobody listens."""

    def debug(self, *arguments: object) -> None: ...

    info = warning = debug


class _Pacer(QuicPacketPacer):
    """Allows what a timer of 1 ms needs; with aioquic's own burst every packet would arm a timer.

    aioquic asks it before each packet. When nothing is left to send it says "never", or aioquic
    would begin one packet more only to find it empty, a quarter of a small answer's cost.
    """

    def __init__(self, drained: Callable[[], bool]) -> None:
        super().__init__(max_datagram_size=DATAGRAM_BYTES)
        self.drained = drained
        self.wrote = False

    def next_send_time(self, now: float) -> float:
        if self.wrote and self.drained():
            return inf
        return super().next_send_time(now)

    def update_after_send(self, now: float) -> None:
        self.wrote = True
        super().update_after_send(now)

    def update_rate(self, congestion_window: int, smoothed_rtt: float) -> None:
        super().update_rate(congestion_window, smoothed_rtt)
        self.bucket_max = max(self.bucket_max, PACER_BURST_S)


class _CountedHandlers(dict[int, Any]):
    """aioquic's frame handlers; looking up more than FRAMES_A_PACKET for one packet ends the connection."""

    left = FRAMES_A_PACKET

    def __getitem__(self, frame_type: int) -> Any:
        self.left -= 1
        if self.left < 0:
            raise too_many(frame_type)
        return super().__getitem__(frame_type)


class Transport(Leaving):
    """One QUIC connection of the server side. `keywords` go to aioquic as they are."""

    def __init__(
        self, settings: TransportSettings, original_destination_connection_id: bytes, **keywords: Any
    ) -> None:
        super().__init__(
            configuration=settings.configuration(),
            original_destination_connection_id=original_destination_connection_id,
            **keywords,
        )
        self._settings = settings
        self._logger = _Silent()  # type: ignore[assignment]
        self._loss._logger = self._logger
        self.sni = ""
        self._host_cids = [self._new_cid(0)]
        self._host_cids[0].was_sent = True
        self.host_cid = self._local_initial_source_connection_id = self._host_cids[0].cid
        _set_limit(self._local_max_streams_bidi, settings.max_streams)
        _set_limit(self._local_max_streams_uni, UNI_STREAMS)
        self._local_max_stream_data_uni = UNI_WINDOW
        self._ack_delay = ACK_DELAY_S
        self._loss._pacer = self._pacer = _Pacer(self._drained)
        self._max_datagram_size = SAFE_DATAGRAM_BYTES
        self._handlers = _CountedHandlers(self.__dict__["_QuicConnection__frame_handlers"])
        self.__dict__["_QuicConnection__frame_handlers"] = self._handlers
        self._big = 0
        self._consumed = 0
        self._peer_cids_from = 0
        self.cid_retired = False
        """`cids()` lacks one of those before; whoever files connections by them sets it back."""

    # ---- handshake

    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        context: Any = self.tls
        certificates = self._settings.certificates
        context._cipher_suites = certificates.suites
        context._supported_groups = certificates.groups
        context._server_handle_hello = partial(self._hello, context, context._server_handle_hello)

    def _hello(self, context: Any, handle: Callable[..., None], data: Buffer, *outputs: Buffer) -> None:
        """Choose the certificate before aioquic answers the ClientHello."""
        del context._server_handle_hello
        self.sni = asked_for(data.data_slice(0, data.capacity))
        if self.sni:
            chosen = self._settings.certificates.choose(self.sni)
            context.certificate = chosen.leaf
            context.certificate_chain = chosen.chain
            context.certificate_private_key = chosen.key
        handle(data, *outputs)

    def _parse_transport_parameters(self, data: bytes, from_session_ticket: bool = False) -> None:
        super()._parse_transport_parameters(data, from_session_ticket)
        most = pull_quic_transport_parameters(Buffer(data=data)).max_udp_payload_size
        self._datagram_bytes = min(DATAGRAM_BYTES, most or DATAGRAM_BYTES)

    def established(self) -> None:
        """The handshake is complete: larger datagrams from now on."""
        self._max_datagram_size = self._datagram_bytes

    # ---- connection ids

    def _new_cid(self, number: int) -> QuicConnectionId:
        cid = self._settings.make_cid()
        return QuicConnectionId(
            cid=cid, sequence_number=number, stateless_reset_token=self._settings.reset_token(cid)
        )

    def _replenish_connection_ids(self) -> None:
        self._unsent_cids = True
        while len(self._host_cids) < min(8, self._remote_active_connection_id_limit):
            self._host_cids.append(self._new_cid(self._host_cid_seq))
            self._host_cid_seq += 1

    def cids(self) -> list[bytes]:
        """Ids a client may address this connection by now."""
        return [connection_id.cid for connection_id in self._host_cids]

    def _handle_new_connection_id_frame(self, context: Any, frame_type: int, buf: Buffer) -> None:
        start = buf.tell()
        number = buf.pull_uint_var()
        if number < buf.pull_uint_var():
            # aioquic calls it PROTOCOL_VIOLATION. Spec: RFC 9000 §19.15.
            raise QuicConnectionError(
                error_code=QuicErrorCode.FRAME_ENCODING_ERROR,
                frame_type=frame_type,
                reason_phrase="Retire Prior To is over the sequence number",
            )
        buf.seek(start)
        known = self._peer_cid_sequence_numbers
        if len(known) >= PEER_CIDS_KNOWN:
            # aioquic remembers all, and walks them for each frame.
            self._peer_cids_from = sorted(known)[PEER_CIDS_KNOWN // 2]
            known.difference_update([each for each in known if each < self._peer_cids_from])
        if number < self._peer_cids_from:
            known.add(number)  # it is taken for one that came before, as it must have
        super()._handle_new_connection_id_frame(context, frame_type, buf)

    def _handle_retire_connection_id_frame(self, context: Any, frame_type: int, buf: Buffer) -> None:
        super()._handle_retire_connection_id_frame(context, frame_type, buf)
        self.cid_retired = True

    # ---- receiving

    def _handle_ack_frame(self, context: Any, frame_type: int, buf: Buffer) -> None:
        start = buf.tell()
        if buf.pull_uint_var() >= self._packet_number:
            # aioquic lets it pass, and takes all it sends from then on for lost. Spec: RFC 9000 §13.1.
            raise QuicConnectionError(
                error_code=QuicErrorCode.PROTOCOL_VIOLATION,
                frame_type=frame_type,
                reason_phrase="Acknowledgement of a packet that was never sent",
            )
        buf.seek(start)
        super()._handle_ack_frame(context, frame_type, buf)

    def _handle_reset_stream_frame(self, context: Any, frame_type: int, buf: Buffer) -> None:
        told = len(self._events)
        super()._handle_reset_stream_frame(context, frame_type, buf)
        if len(self._events) > told:
            # At once: the stream may be let go before the event has its turn.
            event: Any = self._events[-1]
            receiver = self._streams[event.stream_id].receiver
            self.consumed(receiver.highest_offset - receiver.starting_offset())

    def _handle_crypto_frame(self, context: Any, frame_type: int, buf: Buffer) -> None:
        start = buf.tell()
        if buf.pull_uint_var() + buf.pull_uint_var() > CRYPTO_BYTES:
            # aioquic keeps half a megabyte of it, which one packet of anybody can make it do.
            raise QuicConnectionError(
                error_code=QuicErrorCode.CRYPTO_BUFFER_EXCEEDED,
                frame_type=frame_type,
                reason_phrase="More of a handshake than any client has to say",
            )
        buf.seek(start)
        super()._handle_crypto_frame(context, frame_type, buf)

    def _find_network_path(self, addr: Any) -> QuicNetworkPath:
        path = super()._find_network_path(addr)
        if not self._network_paths and self._retry_source_connection_id is not None:
            # The token of our Retry came back from there. Spec: RFC 9000 §8.1.2.
            path.is_validated = True
        return path

    def receive_datagram(self, data: bytes, addr: Any, now: float) -> None:
        super().receive_datagram(data, addr, now)
        if len(data) > BIG_DATAGRAM_BYTES and self._handshake_complete:
            self._big += 1
            space = self._spaces[tls.Epoch.ONE_RTT]
            if space.ack_at is not None and (self._big >= ACK_EVERY_BIG or self._is_news(space)):
                self._big = 0
                self._news = False
                space.ack_at = now

    def _is_news(self, space: QuicPacketSpace) -> bool:
        """Whether the client should hear at once of a gap, or of one filled. Spec: RFC 9000 §13.2.1.

        So do the first packets after a gap: three make it sure of a loss (RFC 9002 §6.1.1).
        """
        queue = space.ack_queue
        return self._news or (len(queue) > 1 and len(queue[-1]) <= SURE_OF_LOSS)

    def _payload_received(self, context: Any, plain: bytes, crypto_frame_required: bool = False) -> Any:
        self._handlers.left = FRAMES_A_PACKET
        return super()._payload_received(context, plain, crypto_frame_required)

    def unheard(self) -> bool:
        """Whether nothing that came could be read: garbage that looked like a first packet."""
        return self._state is QuicConnectionState.FIRSTFLIGHT

    def ack_at(self) -> float | None:
        """When an acknowledgement is due, at the latest."""
        return (self._one if self._steady else self._spaces[tls.Epoch.ONE_RTT]).ack_at

    def must_send(self, now: float) -> bool:
        """Whether something is to be sent that must not wait for the acknowledgement timer."""
        ack_at = self.ack_at()
        streams = self._local_max_streams_bidi
        return (
            self._close_pending
            or (ack_at is not None and ack_at <= now)
            # aioquic lets go of finished streams, and grants new ones, only while it writes.
            or streams.sent - streams.used < self._settings.max_streams // 2
            or (self.has_data() and not self.held_back(now))
        )

    # ---- credit

    def consumed(self, size: int) -> bool:
        """`size` bytes of any stream need no memory any more. True when the client gets new credit."""
        self._consumed = total = self._consumed + size
        window = min(MOST_CONNECTION_WINDOW, START_CONNECTION_WINDOW + total)
        limit = self._local_max_data
        if total + window - limit.value < window // 2:
            return False
        limit.value = total + window
        return True

    def grant(self, stream: QuicStream, held: int) -> bool:
        """Move the limit of `stream`, of which `held` bytes wait for their reader; True when it moved."""
        taken = stream.receiver.starting_offset() - held
        window = min(MOST_WINDOW, START_WINDOW + taken)
        return self._raise(stream, taken + window, window)

    def grant_uni(self, stream: QuicStream) -> bool:
        return self._raise(stream, stream.receiver.starting_offset() + UNI_WINDOW, UNI_WINDOW)

    def _raise(self, stream: QuicStream, limit: int, window: int) -> bool:
        if limit - stream.max_stream_data_local < window // 2 or stream.receiver.is_finished:
            return False
        stream.max_stream_data_local = limit
        assert stream.stream_id is not None
        self._touched[stream.stream_id] = None
        return True

    def _write_connection_limits(self, builder: QuicPacketBuilder, space: QuicPacketSpace) -> None:
        # Hidden from aioquic, or it would double the limit.
        limit = self._local_max_data
        used, limit.used = limit.used, 0
        try:
            super()._write_connection_limits(builder, space)
        finally:
            limit.used = used

    def _write_stream_limits(
        self, builder: QuicPacketBuilder, space: QuicPacketSpace, stream: QuicStream
    ) -> None:
        if stream.max_stream_data_local_sent == stream.max_stream_data_local:
            return
        receiver = stream.receiver
        highest, receiver.highest_offset = receiver.highest_offset, 0
        try:
            super()._write_stream_limits(builder, space, stream)
        finally:
            receiver.highest_offset = highest

    # ---- sending

    def send_now(self, now: float) -> list[tuple[bytes, Any]]:
        """Datagrams to send now. Falls back to the safe size where larger ones seem to get lost."""
        if not self._network_paths:
            return []
        if self._loss._pto_count >= 2:
            self._max_datagram_size = SAFE_DATAGRAM_BYTES
        self._pacer.wrote = False
        space = self._one if self._steady else self._spaces[tls.Epoch.ONE_RTT]
        if space.ack_at is not None:
            # Clients such as curl call a request done only when it is acknowledged too.
            space.ack_at = now
        made = self._plain_datagrams(now)
        return self._all_datagrams(now) if made is None else made

    def _drained(self) -> bool:
        """Whether nothing is left to send: no stream has data, and no grant of streams is due."""
        for limit in (self._local_max_streams_bidi, self._local_max_streams_uni):
            if limit.sent - limit.used < limit.value - limit.sent:
                return False
        for stream in self._streams_queue:
            sender = stream.sender
            if not sender.buffer_is_empty:
                if len(sender._pending) or sender._pending_eof:
                    return False
                sender.buffer_is_empty = True
            if sender.reset_pending or stream.receiver.stop_pending:
                return False
        return not self._datagrams_pending

    def unacknowledged(self) -> bool:
        """Whether an answer, or what our control stream said last, is not known to have arrived."""
        streams = self._streams.items()
        # Streams of our own have no end: what of them is not acknowledged is still in the buffer.
        return any(s.sender._buffer if number & 3 else not s.sender.is_finished for number, s in streams)

    def release(self) -> None:
        """Break the reference cycles aioquic makes, so that a dead connection is freed at once."""
        self._steady = False
        self._handlers.clear()
        for space in self._spaces.values():
            space.sent_packets.clear()
        self._loss._send_probe = None  # type: ignore[assignment]
        del self._pacer.drained
        self._cryptos.clear()
        self._cryptos_initial.clear()
        self.__dict__.pop("tls", None)
        self.__dict__.pop("_pair", None)


def _set_limit(limit: Limit, value: int) -> None:
    limit.value = limit.sent = value

"""Whether the aioquic installed is the one whose private names this package uses."""

from __future__ import annotations

from typing import Final

from aioquic._crypto import AEAD, HeaderProtection
from aioquic.h3.connection import H3Connection
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.crypto import CryptoContext, CryptoPair
from aioquic.quic.rangeset import RangeSet
from aioquic.quic.recovery import QuicPacketSpace
from aioquic.quic.stream import QuicStream
from aioquic.tls import Context

from edge.installed import version

EXPECTED_AIOQUIC: Final = "1.7.2"

_METHODS: Final = {
    QuicConnection: (
        "_confirm_handshake",
        "_get_or_create_stream",
        "_find_network_path",
        "_handle_ack_frame",
        "_handle_crypto_frame",
        "_handle_new_connection_id_frame",
        "_handle_reset_stream_frame",
        "_handle_retire_connection_id_frame",
        "_idle_timeout",
        "_initialize",
        "_on_new_connection_id_delivery",
        "_parse_transport_parameters",
        "_payload_received",
        "_replenish_connection_ids",
        "_stream_limit",
        "_write_connection_limits",
        "_write_stream_limits",
    ),
    AEAD: ("decrypt", "encrypt"),
    HeaderProtection: ("_mask",),
    H3Connection: ("_get_local_settings", "_init_connection"),
}
_ATTRIBUTES: Final = (
    "_QuicConnection__frame_handlers",
    "_ack_delay",
    "_ack_eliciting_sent_since_receipt",
    "_close_at",
    "_close_event",
    "_close_pending",
    "_configuration",
    "_crypto_streams",
    "_cryptos",
    "_datagrams_pending",
    "_events",
    "_handshake_complete",
    "_handshake_done_pending",
    "_host_cid_seq",
    "_host_cids",
    "_local_ack_delay_exponent",
    "_local_initial_source_connection_id",
    "_local_max_data",
    "_local_max_stream_data_bidi_remote",
    "_local_max_stream_data_uni",
    "_local_max_streams_bidi",
    "_local_max_streams_uni",
    "_logger",
    "_loss",
    "_loss_at",
    "_max_datagram_size",
    "_network_paths",
    "_pacing_at",
    "_packet_number",
    "_peer_cid",
    "_peer_cid_sequence_numbers",
    "_ping_pending",
    "_probe_pending",
    "_remote_ack_delay_exponent",
    "_remote_max_data",
    "_remote_max_data_used",
    "_remote_max_idle_timeout",
    "_remote_max_stream_data_bidi_local",
    "_retire_connection_ids",
    "_retry_source_connection_id",
    "_spaces",
    "_spin_bit",
    "_spin_highest_pn",
    "_state",
    "_streams",
    "_streams_blocked_pending",
    "_streams_queue",
)
_RECOVERY: Final = (
    "_cc",
    "_detect_loss",
    "_logger",
    "_pacer",
    "_pto_count",
    "_rtt_first_sample_time",
    "_rtt_initialized",
    "_rtt_latest",
    "_rtt_min",
    "_rtt_smoothed",
    "_rtt_variance",
    "_send_probe",
    "_time_of_last_sent_ack_eliciting_packet",
    "max_ack_delay",
    "peer_completed_address_validation",
)
_SPACE: Final = (
    "ack_at",
    "ack_eliciting_in_flight",
    "ack_queue",
    "expected_packet_number",
    "largest_acked_packet",
    "largest_received_packet",
    "largest_received_time",
    "loss_time",
    "received_packets",
    "sent_packets",
)
_KEYS: Final = ("_update_key_requested", "recv", "send")
_KEY: Final = ("aead", "hp", "key_phase")
_CONGESTION: Final = (
    "_congestion_recovery_start_time",
    "_congestion_stash",
    "_max_datagram_size",
    "ssthresh",
)
_PACER: Final = ("bucket_max", "bucket_time", "packet_time")
_RECEIVER: Final = (
    "_buffer",
    "_buffer_start",
    "_final_size",
    "_ranges",
    "_stop_error_code",
    "_stream_id",
    "highest_offset",
    "is_finished",
    "stop_pending",
)
_SENDER: Final = (
    "_acked",
    "_acked_fin",
    "_buffer",
    "_buffer_fin",
    "_buffer_start",
    "_buffer_stop",
    "_pending",
    "_pending_eof",
    "_reset_error_code",
    "buffer_is_empty",
    "highest_offset",
    "is_finished",
    "reset_pending",
)
_TLS: Final = ("_cipher_suites", "_server_handle_hello", "_supported_groups")
_H3: Final = ("_decoder", "_local_control_stream_id", "_peer_decoder_stream_id", "_peer_encoder_stream_id")


class AioquicError(RuntimeError):
    """The aioquic installed is not the one we know."""


def check() -> None:
    """Raises AioquicError that names what is missing and the version expected."""
    found = version("aioquic")
    if found != EXPECTED_AIOQUIC:
        raise AioquicError(f"aioquic {found} is installed, HTTP/3 is known to work with {EXPECTED_AIOQUIC}")
    missing = [f"{kind.__name__}.{name}" for kind, names in _METHODS.items() for name in names
               if not hasattr(kind, name)]  # fmt: skip
    quic = QuicConnection(configuration=QuicConfiguration(is_client=True))
    for thing, names in (
        (quic, _ATTRIBUTES),
        (quic._loss, _RECOVERY),
        (quic._loss._cc, _CONGESTION),
        (quic._loss._pacer, _PACER),
        (AEAD(b"aes-128-gcm", bytes(16), bytes(12)), ("_aead", "_iv")),
        (HeaderProtection(b"aes-128-ecb", bytes(16)), ("_encryptor", "_is_chacha20")),
        (QuicPacketSpace(), _SPACE),
        (RangeSet(), ("_RangeSet__ranges",)),
        (CryptoPair(), _KEYS),
        (CryptoContext(), _KEY),
        (QuicStream().receiver, _RECEIVER),
        (QuicStream().sender, _SENDER),
        (H3Connection(quic), _H3),
        (Context(is_client=False), _TLS),
    ):
        missing += [f"{type(thing).__name__}.{name}" for name in names if not hasattr(thing, name)]
    if missing:
        raise AioquicError(f"aioquic {found} lacks {', '.join(missing)}")

"""Whether the aioquic installed is the one whose private names this package uses."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

from aioquic.h3.connection import H3Connection
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.stream import QuicStream
from aioquic.tls import Context

EXPECTED_AIOQUIC: Final = "1.7.2"

_METHODS: Final = {
    QuicConnection: (
        "_find_network_path",
        "_handle_new_connection_id_frame",
        "_initialize",
        "_parse_transport_parameters",
        "_payload_received",
        "_replenish_connection_ids",
        "_write_connection_limits",
        "_write_stream_limits",
    ),
    H3Connection: ("_get_local_settings", "_init_connection"),
}
_ATTRIBUTES: Final = (
    "_QuicConnection__frame_handlers",
    "_ack_delay",
    "_close_event",
    "_close_pending",
    "_datagrams_pending",
    "_events",
    "_handshake_complete",
    "_host_cid_seq",
    "_host_cids",
    "_local_initial_source_connection_id",
    "_local_max_data",
    "_local_max_stream_data_uni",
    "_local_max_streams_bidi",
    "_local_max_streams_uni",
    "_logger",
    "_loss",
    "_max_datagram_size",
    "_network_paths",
    "_retry_source_connection_id",
    "_spaces",
    "_state",
    "_streams",
    "_streams_queue",
)
_RECOVERY: Final = ("_logger", "_pacer", "_pto_count", "_send_probe")
_SENDER: Final = (
    "_buffer_fin",
    "_buffer_start",
    "_buffer_stop",
    "_pending",
    "_pending_eof",
    "_reset_error_code",
    "buffer_is_empty",
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
        (QuicStream().sender, _SENDER),
        (H3Connection(quic), _H3),
        (Context(is_client=False), _TLS),
    ):
        missing += [f"{type(thing).__name__}.{name}" for name in names if not hasattr(thing, name)]
    if missing:
        raise AioquicError(f"aioquic {found} lacks {', '.join(missing)}")

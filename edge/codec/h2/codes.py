"""Numbers of HTTP/2 that both sides of the engine seam use. Spec: RFC 9113 §5.1.2, §6, §7, §11.2."""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import Final

from edge.model import Limits


class Code(IntEnum):
    """Why a stream or a connection ended. Spec: RFC 9113 §7."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11


class Setting(IntEnum):
    """Parameters of a SETTINGS frame that we send. Spec: RFC 9113 §6.5.2, RFC 8441 §3, RFC 9218 §2.1."""

    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_HEADER_LIST_SIZE = 6
    ENABLE_CONNECT_PROTOCOL = 8
    NO_RFC7540_PRIORITIES = 9


STREAM_WINDOW_BYTES: Final = 64 << 10
"""What a client may send of one body before we have passed anything on."""
CONNECTION_WINDOW_BYTES: Final = 1 << 20
MAX_WINDOW: Final = (1 << 31) - 1
DECODED_MARGIN_BYTES: Final = 4 << 10
"""Header lists this much over `limits.head_bytes` are still decoded, to be answered with 431."""
DECODED_FIELDS: Final = 1024
"""A list of more fields costs the connection, after a 431: a byte on the wire can name one."""


def own_settings(limits: Limits) -> dict[int, int]:
    """What our first SETTINGS says."""
    return {
        Setting.MAX_CONCURRENT_STREAMS: limits.max_streams,
        Setting.INITIAL_WINDOW_SIZE: STREAM_WINDOW_BYTES,
        Setting.MAX_HEADER_LIST_SIZE: limits.head_bytes,
        Setting.ENABLE_CONNECT_PROTOCOL: 1,
        Setting.NO_RFC7540_PRIORITIES: 1,
    }


def settings_frame(settings: dict[int, int]) -> bytes:
    """A SETTINGS frame. Spec: RFC 9113 §6.5."""
    payload = b"".join(_setting(number, value) for number, value in settings.items())
    return _frame(len(payload) >> 8, len(payload) & 255, _SETTINGS, 0, 0) + payload


_setting: Final = Struct(">HI").pack
_frame: Final = Struct(">HBBBI").pack
_SETTINGS: Final = 4
_goaway: Final = Struct(">HBBBIII").pack
_GOAWAY: Final = 7
_HEADERS: Final = 1
_WHOLE: Final = 5
"""END_HEADERS and END_STREAM."""
_TOO_LARGE: Final = b"\x20\x08\x03431"
"""A table of no bytes, which any client must take, then `:status: 431`, literal: no encoder is asked."""


def goaway_frame(last_stream_id: int, code: int) -> bytes:
    """For an engine that can no longer make one itself."""
    return _goaway(0, 8, _GOAWAY, 0, 0, last_stream_id, code)


def too_large_frame(stream_id: int) -> bytes:
    """A whole 431 to a head that was not decoded to its end; nothing but a GOAWAY may follow."""
    return _frame(0, len(_TOO_LARGE), _HEADERS, _WHOLE, stream_id) + _TOO_LARGE

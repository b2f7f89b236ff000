"""Which worker gets a QUIC datagram: a classic BPF program on the group of UDP sockets says.

Short headers carry a connection id of ours, and its first byte modulo N is the worker's number
(`edge.listen.quic.cid_maker`). Long headers carry an id the client chose, or ours: the same byte,
so that all first packets of one client go to one worker. Spec: RFC 9000 §17.2, §17.3.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Sequence
from typing import Final

_SO_ATTACH_REUSEPORT_CBPF: Final = 51
_LOAD_BYTE, _JUMP, _JUMP_IF_SET, _MODULO, _RETURN_IT = 0x30, 0x05, 0x45, 0x94, 0x16
_LONG_HEADER: Final = 0x80
_LONG_CID_AT: Final = 6
_SHORT_CID_AT: Final = 1


def steer(group: Sequence[socket.socket]) -> None:
    """Have the kernel pick from `group`, which was bound in this order. Raises OSError."""
    program = (
        (_LOAD_BYTE, 0, 0, 0),
        (_JUMP_IF_SET, 0, 2, _LONG_HEADER),
        (_LOAD_BYTE, 0, 0, _LONG_CID_AT),
        (_JUMP, 0, 0, 1),
        (_LOAD_BYTE, 0, 0, _SHORT_CID_AT),
        (_MODULO, 0, 0, len(group)),
        (_RETURN_IT, 0, 0, 0),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    filled = struct.pack("HL", len(program), ctypes.addressof(code))
    group[0].setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, filled)

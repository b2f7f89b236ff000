"""The end of a listening socket without a client that was let in and then reset.

Between the last accept and the close the kernel would complete handshakes for nobody. A filter
that drops SYN segments stops new ones first; those under way still complete and are accepted. A
client whose SYN was dropped sends it again within a second and is then refused cleanly.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from typing import Final

_SO_ATTACH_FILTER: Final = 26
_SO_DETACH_FILTER: Final = 27
_FLAGS_AT: Final = 13
"""Of the TCP header, where the filter of a TCP socket begins to read."""
_SYN: Final = 0x02
_EVERYTHING: Final = 0xFFFFFFFF

_LOAD_BYTE, _JUMP_IF_SET, _RETURN = 0x30, 0x45, 0x06
_PROGRAM: Final = (
    (_LOAD_BYTE, 0, 0, _FLAGS_AT),
    (_JUMP_IF_SET, 0, 1, _SYN),
    (_RETURN, 0, 0, 0),
    (_RETURN, 0, 0, _EVERYTHING),
)


def refuse_handshakes(listening: socket.socket) -> None:
    """From now on no handshake begins. Where the kernel has no filters the socket stays as it is."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in _PROGRAM))
    program = struct.pack("HL", len(_PROGRAM), ctypes.addressof(code))
    try:
        listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
    except OSError:
        pass


def allow_handshakes(listening: socket.socket) -> None:
    """Undo `refuse_handshakes`."""
    try:
        listening.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
    except OSError:
        pass  # there was none

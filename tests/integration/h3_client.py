"""An HTTP/3 client over a UDP socket: aioquic's, driven by hand, so that it can send anything."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any, cast

from aioquic.h3.connection import encode_frame
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection

from tests.unit.codec.h3.world import GET, HERE, Client, World

WAIT_S = 30.0
_DATAGRAM_BYTES = 65_536
_CANCELLED = 0x10C


def first_packets(count: int, server_name: str) -> list[bytes]:
    """The first datagrams of `count` clients that will never answer."""
    made = []
    for _ in range(count):
        quic = QuicConnection(
            configuration=QuicConfiguration(is_client=True, alpn_protocols=["h3"], server_name=server_name)
        )
        quic.connect(("127.0.0.1", 443), 0.0)
        made.append(quic.datagrams_to_send(0.0)[0][0])
    return made


class _Granting(QuicConnection):
    """Grants no more credit while `grants` is false."""

    grants = True

    def _write_stream_limits(self, *arguments: Any, **keywords: Any) -> None:
        if self.grants:
            super()._write_stream_limits(*arguments, **keywords)

    def _write_connection_limits(self, *arguments: Any, **keywords: Any) -> None:
        if self.grants:
            super()._write_connection_limits(*arguments, **keywords)


class _Loop:
    @property
    def now(self) -> float:
        return time.monotonic()


class _Network:
    """What a `Client` takes for its world: real time, a real socket."""

    def __init__(self, client: H3Client, port: int) -> None:
        self.loop = _Loop()
        self.clients: dict[Any, Client] = {}
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.socket.connect(("127.0.0.1", port))
        self.settle = client.flush


class H3Client(Client):
    """One connection, greeted. Nothing is read but in `wait`; requests leave there or by `flush`."""

    def __init__(self, port: int, server_name: str, connect: bool = True, **configuration: Any) -> None:
        self.network = _Network(self, port)
        super().__init__(cast(World, self.network), server_name, quic=self._connection, **configuration)
        if connect:
            self.connect()
            self.wait(lambda: self.established)
            assert self.established, self.closed
            # It does not know which answers are to HEAD.
            self.h3._check_content_length = lambda stream: None  # type: ignore[method-assign,union-attr]

    @staticmethod
    def _connection(configuration: QuicConfiguration) -> QuicConnection:
        return _Granting(configuration=configuration)

    def __enter__(self) -> H3Client:
        return self

    def __exit__(self, *exception: object) -> None:
        self.quic.close()
        self.flush()
        self.network.socket.close()

    @property
    def grants(self) -> bool:
        """Whether what arrives is granted again."""
        return cast(_Granting, self.quic).grants

    @grants.setter
    def grants(self, value: bool) -> None:
        cast(_Granting, self.quic).grants = value

    # ---- out

    def request(
        self, fields: Iterable[tuple[bytes, bytes]] = GET, body: bytes | None = None, end: bool = True
    ) -> int:
        """Id of its stream. `end` False leaves it open for `send_data` and `send_trailers`."""
        return super().request(list(fields), body or None, end)

    def flush(self) -> None:
        """Send what is queued, as far as credit and congestion allow."""
        for datagram, _ in self.quic.datagrams_to_send(time.monotonic()):
            self.bytes_out += len(datagram)
            self.datagram(datagram)

    def datagram(self, datagram: bytes) -> None:
        """Any bytes."""
        try:
            self.network.socket.send(datagram)
        except ConnectionRefusedError:
            """What an earlier datagram met; the socket goes on."""

    def send_data(self, stream_id: int, body: bytes, end: bool) -> None:
        self.quic.send_stream_data(stream_id, encode_frame(0, body) if body else b"", end)
        self.flush()

    def send_trailers(self, stream_id: int, fields: list[tuple[bytes, bytes]]) -> None:
        assert self.h3 is not None
        section = self.h3._encode_headers(stream_id, fields)
        self.quic.send_stream_data(stream_id, encode_frame(1, section), True)
        self.flush()

    def cancel(self, stream_id: int) -> None:
        self.quic.stop_stream(stream_id, _CANCELLED)
        self.flush()

    # ---- in

    def wait(self, done: Callable[[], bool], seconds: float = WAIT_S) -> None:
        """Move datagrams until `done()`, or until the connection is over."""
        deadline = time.monotonic() + seconds
        self.flush()
        while not done() and self.closed is None:
            left = deadline - time.monotonic()
            assert left > 0, f"nothing more within {seconds} s: {len(self.events)} events, {self.resets}"
            self.read(left)

    def read(self, seconds: float) -> None:
        """What is there, or comes in time, and what follows from it."""
        at = self.quic.get_timer()
        timer = seconds if at is None else max(0.0, min(seconds, at - time.monotonic()))
        readable, _, _ = select.select([self.network.socket], [], [], timer)
        if not readable:
            if at is not None and at <= time.monotonic():
                self.quic.handle_timer(time.monotonic())
                self.pump()
        else:
            self._receive_all()
        self.flush()

    def _receive_all(self) -> None:
        self.network.socket.setblocking(False)
        try:
            while True:
                self.receive(self.network.socket.recv(_DATAGRAM_BYTES))
        except BlockingIOError:
            pass
        except ConnectionRefusedError:
            """Nobody listens any more; the connection's own timer tells when that is its end."""
        finally:
            self.network.socket.setblocking(True)

    def receive(self, data: bytes) -> None:
        self.bytes_in += len(data)
        self.quic.receive_datagram(data, HERE, now=time.monotonic())
        self.pump()

    def reset_code(self, stream_id: int) -> int | None:
        return self.resets.get(stream_id)

"""An HTTP/2 client over a socket that sends any frames and shows what came back."""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from typing import Any

from hpack import Decoder
from hyperframe.frame import (
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from tests.hostile.fake_h2 import PREFACE, Heads, Pairs, data, frame, rst, settings, window

WAIT_S = 30.0
_FRAME_BYTES = 16_384
_WINDOW_BYTES = 65_535
_INITIAL_WINDOW = 4


class H2Client:
    """One connection, over TLS when `tls` = (context, name for SNI). Nothing is read but in `wait`.

    `before` is sent before anything else, TLS included.

    While `grants` is true, whatever arrives is granted again at once; while `answers` is, PINGs are answered.
    """

    def __init__(
        self,
        port: int,
        tls: tuple[ssl.SSLContext, str] | None = None,
        greet: bool = True,
        client_settings: dict[int, int] | None = None,
        before: bytes = b"",
    ) -> None:
        self.socket: socket.socket = socket.create_connection(("127.0.0.1", port), WAIT_S)
        self.socket.sendall(before)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.socket = made = tls[0].wrap_socket(self.socket, server_hostname=tls[1])
            assert made.selected_alpn_protocol() == "h2"
        self.grants = self.answers = True
        self.head = Heads()
        self.closed = False
        self.goaways: list[tuple[int, int]] = []
        """Last stream and code of each."""
        self.resets: dict[int, int] = {}
        self.bodies: dict[int, bytearray] = {}
        self.settings: dict[int, int] = {}
        self.pings = 0
        self._heads: dict[int, list[Pairs]] = {}
        self._ended: set[int] = set()
        self._decoder = Decoder()
        self._buffer = b""
        self._next = 1
        self._marks = 0
        self._answered = b""
        """What the last PING that edge answered held."""
        self._windows: dict[int, int] = {0: _WINDOW_BYTES}
        if greet:
            self.send(PREFACE + settings(client_settings))

    def __enter__(self) -> H2Client:
        return self

    def __exit__(self, *exception: object) -> None:
        self.socket.close()

    # ---- out

    def send(self, piece: bytes) -> None:
        """Any bytes. A connection that edge has cut takes none; `wait` then sees the end."""
        try:
            self.socket.sendall(piece)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            pass

    def request(self, fields: Iterable[tuple[bytes, bytes]], body: bytes = b"", end: bool = True) -> int:
        """Id of its stream. `end` False leaves it open for `send_data` and `send_trailers`."""
        stream_id, self._next = self._next, self._next + 2
        self.send(self.head(stream_id, fields, end and not body))
        if body:
            self.send_data(stream_id, body, end)
        return stream_id

    def send_data(self, stream_id: int, body: bytes, end: bool) -> None:
        """As fast as the windows allow."""
        at = 0
        while at < len(body):
            self.wait(lambda: self._window(stream_id) > 0 or self._over(stream_id))
            if self._over(stream_id):
                return
            piece = body[at : at + min(self._window(stream_id), _FRAME_BYTES)]
            at += len(piece)
            for key in (0, stream_id):
                self._windows[key] = self._windows.get(key, self._initial()) - len(piece)
            self.send(data(stream_id, piece, end and at == len(body)))
        if not body and end:
            self.send(data(stream_id, b"", True))

    def send_what_fits(self, stream_id: int, limit_bytes: int, still_s: float) -> int:
        """Zero bytes until the windows stay closed for `still_s`, or `limit_bytes`; how many."""
        sent, since = 0, time.monotonic()
        while sent < limit_bytes and time.monotonic() - since < still_s:
            if self._window(stream_id) > 0:
                piece = min(self._window(stream_id), _FRAME_BYTES, limit_bytes - sent)
                self.send_data(stream_id, bytes(piece), False)
                sent, since = sent + piece, time.monotonic()
            else:
                self.read(still_s / 10)
        return sent

    def send_trailers(self, stream_id: int, fields: Pairs) -> None:
        self.send(self.head(stream_id, fields, True))

    def cancel(self, stream_id: int) -> None:
        self.send(rst(stream_id))

    def _initial(self) -> int:
        return self.settings.get(_INITIAL_WINDOW, _WINDOW_BYTES)

    def _window(self, stream_id: int) -> int:
        return min(self._windows[0], self._windows.get(stream_id, self._initial()))

    def _over(self, stream_id: int) -> bool:
        return self.closed or stream_id in self.resets or stream_id in self._ended

    # ---- in

    def wait(self, done: Callable[[], bool], seconds: float = WAIT_S) -> None:
        """Read until `done()`, or until the connection is over."""
        deadline = time.monotonic() + seconds
        while not done() and not self.closed:
            left = deadline - time.monotonic()
            assert left > 0, f"nothing more within {seconds} s: {self._heads} {self.resets}"
            self.read(left)

    def until_taken(self, seconds: float = WAIT_S) -> None:
        """Until edge has been through all that was sent, or will not because the connection is over."""
        self._marks += 1
        mark = self._marks.to_bytes(8)
        self.send(frame(6, mark))
        self.wait(lambda: self._answered == mark or self.goaway is not None, seconds)

    def _is_readable(self, seconds: float) -> bool:
        if getattr(self.socket, "pending", int)():
            return True
        return bool(select.select([self.socket], [], [], seconds)[0])

    def read(self, seconds: float) -> None:
        """What is there, or comes in time."""
        if not self._is_readable(seconds):
            return
        try:
            came = self.socket.recv(1 << 18)
        except (ConnectionResetError, ssl.SSLError):
            came = b""
        if not came:
            self.closed = True
        self._buffer += came
        self._parse()

    def _parse(self) -> None:
        buffer, at = self._buffer, 0
        while len(buffer) - at >= 9:
            one, length = Frame.parse_frame_header(memoryview(buffer[at : at + 9]))
            if len(buffer) < at + 9 + length:
                break
            one.parse_body(memoryview(buffer[at + 9 : at + 9 + length]))
            at += 9 + length
            self._see(one)
        self._buffer = buffer[at:]

    def _see(self, one: Any) -> None:
        stream_id = one.stream_id
        if isinstance(one, DataFrame):
            self.bodies.setdefault(stream_id, bytearray()).extend(one.data)
            if self.grants and one.flow_controlled_length:
                grant = window(0, one.flow_controlled_length)
                if "END_STREAM" not in one.flags:
                    grant += window(stream_id, one.flow_controlled_length)
                self.send(grant)
        elif isinstance(one, HeadersFrame):
            assert "END_HEADERS" in one.flags
            pairs = [(bytes(n), bytes(v)) for n, v in self._decoder.decode(one.data, raw=True)]
            self._heads.setdefault(stream_id, []).append(pairs)
        elif isinstance(one, GoAwayFrame):
            self.goaways.append((one.last_stream_id, one.error_code))
        elif isinstance(one, RstStreamFrame):
            self.resets[stream_id] = one.error_code
        elif isinstance(one, WindowUpdateFrame):
            self._windows[stream_id] = self._windows.get(stream_id, self._initial()) + one.window_increment
        elif isinstance(one, SettingsFrame) and "ACK" not in one.flags:
            self.settings.update(one.settings)
            self.send(frame(4, b"", 0, 1))
        elif isinstance(one, PingFrame):
            self.pings += 1
            if "ACK" in one.flags:
                self._answered = one.opaque_data
            elif self.answers:
                self.send(frame(6, one.opaque_data, 0, 1))
        if isinstance(one, HeadersFrame | DataFrame) and "END_STREAM" in one.flags:
            self._ended.add(stream_id)

    # ---- what came

    @property
    def goaway(self) -> int | None:
        """Code of the last GOAWAY."""
        return self.goaways[-1][1] if self.goaways else None

    def heads(self, stream_id: int) -> list[Pairs]:
        """Informational heads, the final one, trailers."""
        return self._heads.get(stream_id, [])

    def body(self, stream_id: int) -> bytes:
        return bytes(self.bodies.get(stream_id, b""))

    def ended(self, stream_id: int) -> bool:
        """Whether the response came to its end."""
        return stream_id in self._ended

    def reset_code(self, stream_id: int) -> int | None:
        return self.resets.get(stream_id)

"""The worker's end of the wire to its supervisor, and the arguments a worker is started with.

Everything happens on the loop that was running when the link was made, without tasks.
"""

from __future__ import annotations

import array
import asyncio
import socket
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from edge.wire import (
    DESCRIPTORS_LIMIT,
    DOWN_LIMIT_BYTES,
    HEADER,
    UP_LIMIT_BYTES,
    Counters,
    Down,
    FrameError,
    FrameReader,
    Health,
    Spans,
    Up,
)

READ_BYTES = 256 << 10
SEND_BYTES = 1 << 20
SPANS_BACKLOG_BYTES = 2 << 20
"""Spans are dropped, and counted, while more than this waits for a slow supervisor."""
BACKLOG_BYTES = 4 << 20
"""Health and counters too: the next ones say the same."""


@dataclass
class Arguments:
    """`python -m edge.worker --wire FD --number N --workers M`

    The descriptor is inherited and now belongs to the worker.
    """

    wire_fd: int = -1
    number: int = 0
    workers: int = 1


def parse_arguments(argv: Sequence[str]) -> Arguments:
    """`argv` without the program's name. Raises ValueError: only the supervisor starts workers."""
    arguments = Arguments()
    options = iter(argv)
    for option in options:
        value = next(options, "")
        if option == "--wire":
            arguments.wire_fd = int(value)
        elif option == "--number":
            arguments.number = int(value)
        elif option == "--workers":
            arguments.workers = int(value)
        else:
            raise ValueError(f"unknown option {option}")
    if arguments.wire_fd < 0:
        raise ValueError("--wire is missing; workers are started by `edge run`, not by hand")
    return arguments


class WorkerLink:
    """`on_message(message, descriptors)` for each message down; the callee owns the descriptors.

    `on_closed(reason)` comes once when the supervisor is gone or the wire broke; never after
    `close()`. Must be made while a loop runs.
    """

    def __init__(
        self,
        fd: int,
        on_message: Callable[[Down, list[int]], None],
        on_closed: Callable[[str], None] | None = None,
    ) -> None:
        self.spans_dropped = 0
        """Spans lost here since the start, beside those the messages report themselves."""
        self._socket = socket.socket(fileno=fd)
        self._socket.setblocking(False)
        # As much as the system allows: a batch of spans leaves in one call.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
        self._on_message = on_message
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._frames = FrameReader(DOWN_LIMIT_BYTES)
        self._descriptors: deque[int] = deque()
        self._decode = msgspec.msgpack.Decoder(Down).decode
        self._encode = msgspec.msgpack.Encoder().encode
        self._backlog: deque[memoryview] = deque()
        self._backlog_bytes = 0
        self._open = True
        self._loop.add_reader(self._socket, self._readable)

    def send(self, message: Up) -> bool:
        """Queue and write what the socket takes now. False = dropped (see the limits above)."""
        if not self._open:
            return False
        droppable = isinstance(message, Health | Counters) and self._backlog_bytes > BACKLOG_BYTES
        if droppable or (isinstance(message, Spans) and self._backlog_bytes > SPANS_BACKLOG_BYTES):
            return self._drop(message)
        payload = self._encode(message)
        if len(payload) > UP_LIMIT_BYTES:
            return self._drop(message)
        frame = HEADER.pack(len(payload), 0) + payload
        self._backlog.append(memoryview(frame))
        self._backlog_bytes += len(frame)
        if len(self._backlog) == 1:
            self._writable()
            if self._backlog:
                self._loop.add_writer(self._socket, self._writable)
        return True

    def close(self) -> None:
        """Tell nobody, close. What still waits is lost."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()

    def _drop(self, message: Up) -> bool:
        if isinstance(message, Spans):
            self.spans_dropped += message.count
        return False

    def _writable(self) -> None:
        backlog = self._backlog
        try:
            while backlog:
                sent = self._socket.send(backlog[0])
                self._backlog_bytes -= sent
                if sent < len(backlog[0]):
                    backlog[0] = backlog[0][sent:]
                    return
                backlog.popleft()
        except BlockingIOError:
            return
        except OSError as error:
            self._broken(f"the wire broke: {error.strerror}")
            return
        self._loop.remove_writer(self._socket)

    def _readable(self) -> None:
        try:
            data, ancillary, _, _ = self._socket.recvmsg(
                READ_BYTES, socket.CMSG_SPACE(DESCRIPTORS_LIMIT * 4), socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return
        except OSError as error:
            self._broken(f"the wire broke: {error.strerror}")
            return
        if not data:
            self._broken("the supervisor closed the wire")
            return
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors = array.array("i")
                descriptors.frombytes(content[: len(content) - len(content) % 4])
                self._descriptors.extend(descriptors)
        try:
            for payload, count in self._frames.feed(data):
                taken = [self._descriptors.popleft() for _ in range(count)]
                self._on_message(self._decode(payload), taken)
        except (FrameError, msgspec.DecodeError, IndexError) as error:
            self._broken(f"the supervisor's message cannot be read: {error}")

    def _broken(self, reason: str) -> None:
        if self._open:
            self.close()
            if self._on_closed is not None:
                self._on_closed(reason)

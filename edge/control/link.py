"""The supervisor's end of the wire to one worker. What comes up is bounded and never trusted."""

from __future__ import annotations

import asyncio
import os
import socket
from array import array
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from edge.wire import DOWN_LIMIT_BYTES, HEADER, UP_LIMIT_BYTES, Down, FrameError, FrameReader, Up

READ_BYTES = 256 << 10


class SupervisorLink:
    """`on_message(message)` for each message up, `on_closed(reason)` once when the wire ends.

    A message too large, unknown or malformed ends the wire: the caller kills the worker.
    """

    def __init__(
        self,
        end: socket.socket,
        on_message: Callable[[Up], None],
        on_closed: Callable[[str], None],
    ) -> None:
        end.setblocking(False)
        self._socket = end
        self._on_message = on_message
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._frames = FrameReader(UP_LIMIT_BYTES)
        self._decode = msgspec.msgpack.Decoder(Up).decode
        self._encode = msgspec.msgpack.Encoder().encode
        self._backlog: deque[tuple[memoryview, list[int]]] = deque()
        self._open = True
        self._loop.add_reader(end, self._readable)

    def send(self, message: Down, descriptors: Sequence[int] = ()) -> None:
        """Queue `message`; `descriptors` are duplicated here, so the caller may close its own.

        Raises FrameError when the message is too large: the caller's revision cannot be sent.
        """
        payload = self._encode(message)
        if len(payload) > DOWN_LIMIT_BYTES:
            raise FrameError(f"a message of {len(payload)} bytes, the limit is {DOWN_LIMIT_BYTES}")
        if not self._open:
            return
        frame = HEADER.pack(len(payload), len(descriptors)) + payload
        self._backlog.append((memoryview(frame), [os.dup(fd) for fd in descriptors]))
        if len(self._backlog) == 1:
            self._writable()
            if self._backlog:
                self._loop.add_writer(self._socket, self._writable)

    def close(self) -> None:
        """Close without a call to `on_closed`."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()
            for _, descriptors in self._backlog:
                _close_all(descriptors)
            self._backlog.clear()

    def _writable(self) -> None:
        backlog = self._backlog
        try:
            while backlog:
                data, descriptors = backlog[0]
                sent = self._send_part(data, descriptors)
                if sent < len(data):
                    backlog[0] = (data[sent:], [])
                    return
                backlog.popleft()
        except BlockingIOError:
            return
        except OSError as error:
            self._broken(f"the wire broke: {error.strerror}")
            return
        self._loop.remove_writer(self._socket)

    def _send_part(self, data: memoryview, descriptors: list[int]) -> int:
        """Descriptors leave with the first byte of their message, once."""
        if not descriptors:
            return self._socket.send(data)
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))
        sent = self._socket.sendmsg([data], [rights])
        _close_all(descriptors)
        return sent

    def _readable(self) -> None:
        # recv without room for control messages: the kernel closes any descriptor a worker sends.
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._broken(f"the wire broke: {error.strerror}")
            return
        if not data:
            self._broken("the worker closed the wire")
            return
        try:
            for payload, _ in self._frames.feed(data):
                self._on_message(self._decode(payload))
        except (FrameError, msgspec.DecodeError) as error:
            self._broken(f"the worker's message cannot be read: {error}")

    def _broken(self, reason: str) -> None:
        if self._open:
            self.close()
            self._on_closed(reason)


def _close_all(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
    descriptors.clear()

"""An upstream whose every byte the test writes, on a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_START_S = 60.0
_PAUSE_S = 0.02


@dataclass
class Request:
    """As it came: `fields` in order with lower-case names, the body without its framing."""

    line: bytes
    fields: list[tuple[bytes, bytes]]
    body: bytes = b""
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)

    @property
    def target(self) -> bytes:
        return self.line.split(b" ")[1]

    def values(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.fields if key == name]


class Conversation:
    """One connection of edge. Ends of file raise asyncio.IncompleteReadError."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self.reader = reader
        self.writer = writer
        self.number = number

    async def head(self) -> Request:
        """A request's head; its body is still to come."""
        line, *rest = (await self.reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
        return Request(line, _fields(rest))

    async def request(self) -> Request:
        """A whole request."""
        request = await self.head()
        await self.read_body(request)
        return request

    async def read_body(self, request: Request) -> None:
        """Fill in body and trailers."""
        if request.values(b"transfer-encoding"):
            await self._chunks(request)
        elif length := request.values(b"content-length"):
            request.body = await self.reader.readexactly(int(length[0]))

    async def _chunks(self, request: Request) -> None:
        while size := int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16):
            request.body += (await self.reader.readexactly(size + 2))[:-2]
        lines = []
        while line := (await self.reader.readuntil(b"\r\n"))[:-2]:
            lines.append(line)
        request.trailers = _fields(lines)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def pause(self) -> None:
        """Let a moment pass without reading."""
        await asyncio.sleep(_PAUSE_S)

    async def until_closed(self) -> bytes:
        """What else comes, until edge closes."""
        try:
            return await self.reader.read()
        except ConnectionError:
            return b""


def _fields(lines: list[bytes]) -> list[tuple[bytes, bytes]]:
    pairs = [line.partition(b":") for line in lines]
    return [(name.lower(), value.strip()) for name, _, value in pairs]


def reply(body: bytes = b"ok", *fields: bytes, status: bytes = b"200 OK") -> bytes:
    """A response with a length."""
    lines = (b"HTTP/1.1 " + status, b"content-length: %d" % len(body), *fields, b"", b"")
    return b"\r\n".join(lines) + body


Script = Callable[[Conversation], Awaitable[None]]


class Upstream:
    """`requests` are those the script put there with `note`; `connections` counts all, ever."""

    def __init__(self, script: Script) -> None:
        self.port = 0
        self.connections = 0
        self.requests: list[Request] = []
        self.faults: list[BaseException] = []
        self._script = script
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=[self._run()], daemon=True)

    def start(self) -> None:
        self._thread.start()
        assert self._started.wait(_START_S)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_START_S)
        assert not self._thread.is_alive()
        self._loop.close()

    async def _run(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)
        self.port = int(server.sockets[0].getsockname()[1])
        self._started.set()
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        try:
            await self._script(Conversation(reader, writer, self.connections))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except Exception as error:
            self.faults.append(error)
        finally:
            writer.close()


@contextmanager
def scripted(script: Script) -> Iterator[Upstream]:
    """A running upstream; a fault of the script itself fails the test."""
    upstream = Upstream(script)
    upstream.start()
    try:
        yield upstream
    finally:
        upstream.stop()
    assert upstream.faults == []


@contextmanager
def answering(body: bytes = b"ok", *fields: bytes) -> Iterator[Upstream]:
    """Answers every request with 200 and `body`, and notes it."""

    async def script(conversation: Conversation) -> None:
        while True:
            upstream.requests.append(await conversation.request())
            await conversation.send(reply(body, *fields))

    with scripted(script) as upstream:
        yield upstream

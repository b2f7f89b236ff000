"""A TCP proxy that misbehaves on purpose, between edge and a sound upstream."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass


@dataclass
class Fault:
    """What happens to the upstream's bytes on their way back."""

    close_after: int = -1
    """Bytes of responses passed on before the connection is closed, -1 = all."""
    reset: bool = False
    """Close by RST instead of FIN."""
    delay_s: float = 0.0
    """Wait before the first byte; long enough = the upstream hangs."""
    slice_bytes: int = 0
    """Pass on in pieces of this size, one per turn of the loop, 0 = as they come."""


class FaultProxy:
    """Listens on a free port of 127.0.0.1. `connections` counts what was accepted, ever."""

    def __init__(self, upstream_port: int, fault: Fault | None = None) -> None:
        self.fault = fault or Fault()
        self.connections = 0
        self.open = 0
        """Connections whose client has not ended its half."""
        self.requests = bytearray()
        """All bytes that edge sent."""
        self._held: bytearray | None = None
        self._onward: asyncio.StreamWriter | None = None
        self._upstream_port = upstream_port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    def hold(self) -> None:
        """Keep what edge sends on the connection there is, until `release`."""
        self._held = bytearray()

    def release(self) -> None:
        """Pass on in one write what was held."""
        assert self._held is not None and self._onward is not None
        self._onward.write(self._held)
        self._held = None

    async def __aenter__(self) -> FaultProxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        self.open += 1
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        self._onward = upstream_writer
        back = asyncio.create_task(self._back(upstream_reader, writer))
        try:
            while data := await reader.read(65536):
                self.requests += data
                if self._held is None:
                    upstream_writer.write(data)
                else:
                    self._held += data
            self.open -= 1
            upstream_writer.write_eof()
            await back
        except ConnectionError:
            self.open -= 1
        finally:
            back.cancel()
            upstream_writer.close()
            writer.close()

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fault = self.fault
        left = fault.close_after
        if left == 0:
            await reader.read(1)
            self._end(writer)
            return
        while data := await reader.read(65536):
            if fault.delay_s:
                await asyncio.sleep(fault.delay_s)
            if left >= 0:
                data = data[:left]
                left -= len(data)
            await self._pass_on(data, writer)
            if left == 0:
                break
        self._end(writer)

    async def _pass_on(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        step = self.fault.slice_bytes or len(data)
        for at in range(0, len(data), step):
            writer.write(data[at : at + step])
            await writer.drain()
            if self.fault.slice_bytes:
                await asyncio.sleep(0)

    def _end(self, writer: asyncio.StreamWriter) -> None:
        if self.fault.reset:
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        else:
            writer.close()

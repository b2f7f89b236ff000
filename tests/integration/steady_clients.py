"""Clients that ask one request after the other, and note whatever is not the answer they expect."""

from __future__ import annotations

import asyncio

from tests.integration.raw_client import request

CLIENTS = 8
"""Of each kind: with one connection for all requests, and with one for each."""


class SteadyClient:
    """Asks until told to stop or refused; `failures` are requests that got no whole 200."""

    def __init__(self, port: int, keep: bool, *fields: bytes) -> None:
        self.answers = 0
        self.failures: list[str] = []
        self.closed_idle = 0
        """The kept connection was closed before a byte of an answer: RFC 9112 §9.3.1 lets clients retry."""
        self.refused = False
        self._port = port
        self._keep = keep
        self._request = request(b"/", *fields)

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set() and not self.refused:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except ConnectionRefusedError:
                self.refused = True
                return
            await self._use(reader, writer, stop)
            writer.close()

    async def _use(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stop: asyncio.Event
    ) -> None:
        used = 0
        while not stop.is_set():
            head = b""
            try:
                writer.write(self._request)
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
                body = await reader.readexactly(5)
                assert (head.split(b" ")[1], body) == (b"200", b"hello"), head
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                partial = head or getattr(error, "partial", b"")
                if used and not partial:
                    self.closed_idle += 1
                else:
                    self.failures.append(f"{error!r} after {used} answers")
                return
            except AssertionError as error:
                self.failures.append(str(error))
                return
            self.answers += 1
            used += 1
            if not self._keep or b"connection: close" in head.lower():
                return


def steady_clients(port: int, *fields: bytes) -> list[SteadyClient]:
    """CLIENTS of each kind."""
    return [SteadyClient(port, keep, *fields) for keep in (True, False) for _ in range(CLIENTS)]


async def answered(clients: list[SteadyClient], more: int) -> None:
    """Until each has had `more` answers from now on."""
    wanted = {client: client.answers + more for client in clients}
    async with asyncio.timeout(60):
        while any(client.answers < count for client, count in wanted.items()):
            await asyncio.sleep(0.01)

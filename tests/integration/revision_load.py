"""Clients of every protocol that ask all the time, and see which revision answered them.

The origin answers with what it was asked in `x-asked`; a rule of revision N writes N into the request
(`x-asked`) and into the response (`x-answered`), so an exchange that saw two revisions shows it.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.integration.h2_client import H2Client
from tests.integration.h3_client import H3Client
from tests.integration.protocol_site import Site, StreamClient, fields
from tests.integration.raw_client import RawClient, Response, Truncated, request

AT_ONCE = 8
"""Streams on a connection of HTTP/2 and HTTP/3."""
PAUSE_S = 0.005
"""Between requests, so that reloads find a CPU: it is not throughput that is tested."""
TOGETHER = 400
"""Requests on one connection; then another is made, as clients do."""


_REFUSED = (0x7, 0x10B)
"""REFUSED_STREAM and H3_REQUEST_REJECTED: not processed, so it may be sent again."""


class Origin(asyncio.Protocol):
    """Answers every request with an empty 200 that repeats its `x-asked`."""

    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            asked = head.partition(b"x-asked: ")[2].partition(b"\r\n")[0]
            self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-seen: " + asked + b"\r\n\r\n")


class OriginThread:
    """The origin, on a loop of its own."""

    def __enter__(self) -> OriginThread:
        self._loop = asyncio.new_event_loop()
        server = self._loop.run_until_complete(self._loop.create_server(Origin, "127.0.0.1", 0))
        self.port: int = server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@dataclass
class Tally:
    """`good` by protocol; `bad` tells each failure, and each exchange that saw two revisions."""

    good: Counter[str] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)
    revisions: set[bytes] = field(default_factory=set)
    again: Counter[str] = field(default_factory=Counter)
    """Sent once more, because the connection had ended before a byte of the answer had come."""

    def answered(self, protocol: str, status: int, head: list[tuple[bytes, bytes]]) -> None:
        named = dict(head)
        seen, answered = named.get(b"x-seen"), named.get(b"x-answered")
        if status == 200 and seen is not None and seen == answered:
            self.good[protocol] += 1
            self.revisions.add(seen)
        else:
            self.bad.append(f"{protocol}: {status}, asked by {seen!r}, answered by {answered!r}")


class Load:
    """Clients in threads, from `with` until its end or until edge takes no more connections."""

    def __init__(self, site: Site, protocols: tuple[str, ...] = ("h1", "h1s", "h2", "h3")) -> None:
        self.tally = Tally()
        self._site = site
        self._over = threading.Event()
        self.gone = threading.Event()
        """Set when edge has ended."""
        self.ending = False
        """Set when edge is told to end: that it takes no more connections is no failure then."""
        self._threads = [
            threading.Thread(target=self._guarded, args=(protocol,), name=protocol) for protocol in protocols
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _guarded(self, protocol: str) -> None:
        run = self._h1 if protocol in ("h1", "h1s") else self._streams
        while not self._over.is_set():
            try:
                run(protocol)
            except ConnectionRefusedError as error:
                if not self.ending:
                    self.tally.bad.append(f"{protocol}: {error!r}")
                return
            except (OSError, AssertionError, Truncated) as error:
                self.tally.bad.append(f"{protocol}: {error!r}")
                if self.ending:
                    return

    # ---- HTTP/1.1

    def _h1(self, protocol: str) -> None:
        with self._site.h1(protocol) as client:
            for number in range(TOGETHER):
                if self._over.wait(PAUSE_S):
                    return
                answer = self._ask(client)
                if answer is None:
                    if not number:
                        raise Truncated("a new connection was closed without an answer")
                    # Nothing of it was answered, so it may be sent again. Spec: RFC 9112 §9.3.1.
                    self.tally.again[protocol] += 1
                    return
                self.tally.answered(protocol, answer.status, answer.fields)
                if answer.values(b"connection") == [b"close"]:
                    return

    def _ask(self, client: RawClient) -> Response | None:
        try:
            return client.exchange(request())
        except Truncated as error:
            if "closed after b''" in str(error):
                return None
            raise
        except (ConnectionResetError, BrokenPipeError):
            return None

    # ---- HTTP/2 and HTTP/3

    def _streams(self, protocol: str) -> None:
        with self._connected(protocol) as client:
            waiting: list[int] = []
            sent = 0
            while waiting or (sent < TOGETHER and not self._over.is_set()):
                self._over.wait(PAUSE_S)
                going = self._is_going(client)
                while not going and sent < TOGETHER and len(waiting) < AT_ONCE:
                    waiting.append(client.request(fields("/")))
                    sent += 1
                if not waiting:
                    return
                client.wait(self._some_over(client, waiting))
                for stream in [each for each in waiting if self._is_over(client, each)]:
                    waiting.remove(stream)
                    self._judge(protocol, client, stream)
                if client.closed:
                    waiting = self._taken(protocol, client, waiting)
                    going = self._goaways(client)
                    assert not waiting, f"closed with {waiting} under way, GOAWAYs {going}: {client.closed}"
                    return

    def _connected(self, protocol: str) -> StreamClient:
        """Raises ConnectionRefusedError when nobody is there any more: UDP itself does not tell."""
        if protocol != "h3":
            return self._site.connect(protocol)
        client = self._site.connect(protocol, connect=False)
        assert isinstance(client, H3Client)
        client.connect()
        client.wait(lambda: client.established or self.gone.is_set())
        if not client.established:
            raise ConnectionRefusedError(client.closed)
        return client

    def _taken(self, protocol: str, client: StreamClient, waiting: list[int]) -> list[int]:
        """Without those that came too late: they may be sent again. Spec: RFC 9114 §5.2."""
        if not isinstance(client, H3Client) or not client.control.goaways:
            return waiting
        going = client.control.goaways[-1]
        late = [stream for stream in waiting if stream >= going]
        self.tally.again[protocol] += len(late)
        return [stream for stream in waiting if stream < going]

    @staticmethod
    def _goaways(client: StreamClient) -> list[tuple[int, int]] | list[int]:
        return client.goaways if isinstance(client, H2Client) else client.control.goaways

    def _is_going(self, client: StreamClient) -> bool:
        """Whether new requests have to go elsewhere."""
        return bool(client.closed or self._goaways(client))

    def _some_over(self, client: StreamClient, waiting: list[int]) -> Callable[[], bool]:
        return lambda: any(self._is_over(client, each) for each in waiting) or bool(client.closed)

    @staticmethod
    def _is_over(client: StreamClient, stream: int) -> bool:
        return client.ended(stream) or client.reset_code(stream) is not None

    def _judge(self, protocol: str, client: StreamClient, stream: int) -> None:
        heads = client.heads(stream)
        if not client.ended(stream) or not heads:
            code = client.reset_code(stream)
            if code in _REFUSED and not heads:
                self.tally.again[protocol] += 1
            else:
                self.tally.bad.append(f"{protocol}: reset with {code}")
            return
        self.tally.answered(protocol, int(dict(heads[-1])[b":status"]), heads[-1])

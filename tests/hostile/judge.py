"""An upstream that judges: it accepts only what a strict parser of HTTP/1.1 accepts."""

from __future__ import annotations

from dataclasses import dataclass, field

import h11

from tests.integration.scripted_upstream import Conversation, reply


@dataclass
class Arrived:
    """A request as h11 reads it; `complete` when its end was seen."""

    target: bytes
    fields: list[tuple[bytes, bytes]]
    body: bytes = b""
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    complete: bool = False


class Judge:
    """An upstream that accepts only what h11 accepts and answers a complete request with `ok`."""

    def __init__(self) -> None:
        self.arrived: list[Arrived] = []
        self.bytes = 0
        self.holds = False
        """While it is set, what is complete is not answered, but for probes."""

    async def script(self, it: Conversation) -> None:
        server = h11.Connection(h11.SERVER)
        current = Arrived(b"", [])
        while True:
            event = server.next_event()
            if event is h11.NEED_DATA:
                data = await it.reader.read(65536)
                self.bytes += len(data)
                if not data:
                    return
                server.receive_data(data)
            elif isinstance(event, h11.Request):
                fields = [(bytes(name), bytes(value)) for name, value in event.headers]
                current = Arrived(event.target, fields)
                self.arrived.append(current)
            elif isinstance(event, h11.Data):
                current.body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                current.trailers = [(bytes(name), bytes(value)) for name, value in event.headers]
                current.complete = True
                while self.holds and not current.target.startswith(b"/probe"):
                    await it.pause()
                await it.send(reply(b"ok"))
                server.send(h11.Response(status_code=200, headers=[("content-length", "2")]))
                server.send(h11.Data(b"ok"))
                server.send(h11.EndOfMessage())
                server.start_next_cycle()

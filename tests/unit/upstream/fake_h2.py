"""The other end of an upstream HTTP/2 connection: the h2 library as a server, without I/O."""

from __future__ import annotations

from typing import Any

import ngh2
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import Event
from h2.settings import SettingCodes

from edge.head import Fields
from tests.unit.upstream.fakes import Bench, FakeTransport

FIRST_ID = 1


class Peer:
    """Answers on one fake connection of a `Bench`; what it does not check is sent as it is."""

    def __init__(self, bench: Bench, index: int = -1, **settings: int) -> None:
        self.bench = bench
        self.transport: FakeTransport = bench.connect(index)
        self.protocol = bench.dialer.dials[index].protocol
        config = H2Configuration(
            client_side=False,
            header_encoding=None,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self.h2 = H2Connection(config)
        self.h2.initiate_connection()
        self.h2.update_settings({SettingCodes[name.upper()]: value for name, value in settings.items()})
        self.events: list[Event] = []
        self.pump()

    def pump(self) -> list[Event]:
        """Exchange bytes until both are quiet; the events the peer saw meanwhile."""
        seen: list[Event] = []
        while True:
            self.bench.end_turn()
            came = self.transport.take()
            if came:
                seen += self.h2.receive_data(came)
            said = self.h2.data_to_send()
            if said and not self.transport.aborted:
                self.protocol.data_received(said)
            if not came and not said:
                self.events += seen
                return seen

    def head(
        self, stream_id: int, status: int = 200, fields: Fields | None = None, end: bool = False
    ) -> None:
        self.h2.send_headers(stream_id, [(b":status", b"%d" % status), *(fields or [])], end_stream=end)

    def answer(self, stream_id: int, body: bytes = b"hello", fields: Fields | None = None) -> None:
        """A whole response, in one piece."""
        self.head(stream_id, fields=fields, end=not body)
        if body:
            self.h2.send_data(stream_id, body, end_stream=True)
        self.pump()

    def of(self, kind: type[Any]) -> list[Any]:
        """Events of one kind so far."""
        return [event for event in self.events if isinstance(event, kind)]


class Account:
    """An engine that counts what it delivers against what is granted again."""

    def __init__(self, peer: Peer) -> None:
        self._engine = peer.protocol._engine
        self.came = self.credited = 0
        peer.protocol._engine = self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def events(self) -> list[ngh2.Event]:
        events = self._engine.events()
        self.came += sum(len(event.data) for event in events if isinstance(event, ngh2.DataReceived))
        return events

    def acknowledge_received_data(self, size: int, stream_id: int) -> None:
        self._engine.acknowledge_received_data(size, stream_id)
        self.credited += size

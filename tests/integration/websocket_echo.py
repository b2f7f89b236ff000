"""A WebSocket server that echoes, and a client, both from wsproto; edge only tunnels their bytes."""

from __future__ import annotations

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Event, Message, Ping, Request
from wsproto.frame_protocol import CloseReason

from tests.integration.raw_client import RawClient
from tests.integration.scripted_upstream import Conversation

PATH = "/socket"


async def echo(it: Conversation) -> None:
    """A script for `scripted`: accept, echo every message and answer pings until the client is done."""
    connection = WSConnection(ConnectionType.SERVER)
    while data := await it.reader.read(65536):
        connection.receive_data(data)
        for event in connection.events():
            answer = _answer(event)
            if answer is not None:
                await it.send(connection.send(answer))
            if isinstance(event, CloseConnection):
                return


def _answer(event: Event) -> Event | None:
    if isinstance(event, Request):
        return AcceptConnection(subprotocol=event.subprotocols[0] if event.subprotocols else None)
    if isinstance(event, Message):
        return Message(event.data, message_finished=event.message_finished)
    if isinstance(event, CloseConnection | Ping):
        return event.response()
    return None


class WebSocketClient:
    """Over a connection of a RawClient."""

    def __init__(self, client: RawClient, path: str = PATH, subprotocols: tuple[str, ...] = ()) -> None:
        self.client = client
        self._connection = WSConnection(ConnectionType.CLIENT)
        self._events: list[Event] = []
        self.send(Request(host="shop.example", target=path, subprotocols=list(subprotocols)))

    def send(self, event: Event) -> None:
        self.client.send(self._connection.send(event))

    def next(self) -> Event:
        """The next event, waited for."""
        while not self._events:
            data = self.client.socket.recv(65536)
            self._connection.receive_data(data or None)
            self._events += self._connection.events()
        return self._events.pop(0)

    def message(self) -> str | bytes:
        """A whole message, frames and pieces joined."""
        parts = []
        while True:
            event = self.next()
            assert isinstance(event, Message)
            parts.append(event.data)
            if event.message_finished:
                return type(parts[0])().join(parts)

    def close(self) -> int:
        """Close by the protocol; the code the server answered with."""
        self.send(CloseConnection(CloseReason.NORMAL_CLOSURE))
        event = self.next()
        assert isinstance(event, CloseConnection)
        return event.code

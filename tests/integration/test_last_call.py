"""A listening socket that lets nobody in any more, before it is closed."""

from __future__ import annotations

import socket

import pytest

from edge.listen.last_call import refuse_handshakes


def test_who_was_in_is_accepted_and_nobody_else_gets_in() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(5)
        early = [socket.create_connection(listening.getsockname(), 5) for _ in range(3)]
        refuse_handshakes(listening)
        with pytest.raises(TimeoutError):
            socket.create_connection(listening.getsockname(), 0.2)
        for client in early:
            accepted, _ = listening.accept()
            with client, accepted:
                client.sendall(b"hello")
                accepted.settimeout(5)
                assert accepted.recv(5) == b"hello"
                accepted.sendall(b"bye")
                assert client.recv(3) == b"bye"

"""Rows 63, 64, 68 and 83 against a running edge: how much the worker grows by a connection that does it.

Many do it at once, so that a mean is measured: what a process takes from the kernel comes in steps of a MiB.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final

import pytest

from edge.codec.h3.wire import varint
from tests.hostile import cases_h2, cases_h3
from tests.hostile.fake_h2 import Heads, frame
from tests.hostile.h2_case import CALM, Send
from tests.hostile.live_site import PROBE, LiveSite, live_site
from tests.hostile.slow_clients import LARGE, Generous
from tests.integration.h2_client import H2Client
from tests.integration.h3_client import H3Client
from tests.integration.protocol_site import StreamClient, fields
from tests.integration.running_edge import within

CONNECTIONS: Final = 16
MOST_BYTES: Final = 1 << 20
"""By which each may make the worker grow."""
HELD_BYTES: Final = 64 << 10
STREAMS: Final = 16
STREAM_BYTES: Final = 64 << 10
"""Of a stream beside what waits: its exchange, and a connection to upstream."""
_INITIAL_WINDOW: Final = 4
_TOO_LARGE: Final = 431
_UNREADABLE: Final = ("63-for-ever", "h2")
_PATIENCE_S: Final = 60.0
_FOR_EVER: Final = 2 << 20
"""Many times what a client is let send."""


@pytest.fixture(scope="module")
def judge() -> Generous:
    return Generous()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, judge: Generous) -> Iterator[LiveSite]:
    with live_site(tmp_path_factory.mktemp("bounds"), judge) as site:
        yield site
        site.edge.check_sound()


def _connected(site: LiveSite, protocol: str, several: ExitStack, **settings: Any) -> list[StreamClient]:
    """Connections that have had an answer: what every connection costs is there by then."""
    clients = [several.enter_context(site.connect(protocol, **settings)) for _ in range(CONNECTIONS)]
    for client in clients:
        if isinstance(client, H2Client):
            client.until_taken()
        else:
            stream_id = client.request(fields(PROBE))
            client.wait(lambda c=client, s=stream_id: c.ended(s))  # type: ignore[misc]
    return clients


class Growth:
    """Of the worker since then, at the most that was seen."""

    def __init__(self, site: LiveSite) -> None:
        self._site = site
        self._before = site.resident_bytes()
        self._most = 0

    def look(self) -> None:
        """Once others are answered, so that what came before has been read."""
        self._site.probe()
        self._most = max(self._most, self._site.resident_bytes() - self._before)

    def mean(self, count: int) -> int:
        self.look()
        return self._most // count


def _continued(head: Heads) -> bytes:
    """As much of a head as may come, and more of it until somebody says stop."""
    return frame(1, head.block(fields()), 1, 1) + frame(9, bytes(16_000), 1) * (_FOR_EVER // 16_000)


SENT: Final[dict[str, Send]] = {
    "63-for-ever": _continued,
    **{case.id: case.send for case in cases_h2.CASES if case.number in (63, 64) and not case.forwarded},
}
ROWS_H2: Final = [
    # Over TLS only what a socket takes whole: who fails to send cannot read what was said before.
    *((name, protocol) for name in SENT for protocol in ("h2c", "h2") if (name, protocol) != _UNREADABLE),
]


@pytest.mark.parametrize(("name", "protocol"), ROWS_H2)
def test_heads_without_end_and_bombs(site: LiveSite, name: str, protocol: str) -> None:
    with ExitStack() as several:
        clients = [client for client in _connected(site, protocol, several) if isinstance(client, H2Client)]
        growth = Growth(site)
        wires = [SENT[name](client.head) for client in clients]
        for client, wire in zip(clients, wires, strict=True):
            client.send(wire[:-1])
        growth.look()
        for client, wire in zip(clients, wires, strict=True):
            client.send(wire[-1:])
            client.wait(lambda c=client: c.goaway is not None)  # type: ignore[misc]
            assert client.goaway == CALM
        assert growth.mean(CONNECTIONS) < MOST_BYTES


ROWS_H3: Final = {case.id: case for case in cases_h3.CASES if case.number == 83}


@pytest.mark.parametrize("name", ROWS_H3)
def test_oversized_heads_and_frames(site: LiveSite, name: str) -> None:
    case = ROWS_H3[name]
    with ExitStack() as several:
        clients = [client for client in _connected(site, "h3", several) if isinstance(client, H3Client)]
        growth = Growth(site)
        ids = [case.send(client) for client in clients]
        for client in clients:
            client.flush()
        growth.look()
        for client, stream_id in zip(clients, ids, strict=True):
            client.wait(lambda c=client, s=stream_id: c.ended(s))  # type: ignore[misc]
            assert (client.closed and client.closed.error_code) == case.close
            assert case.close is not None or client.status(stream_id) == _TOO_LARGE
        assert growth.mean(CONNECTIONS) < MOST_BYTES


def test_a_head_for_ever(site: LiveSite) -> None:
    """Row 83: HEADERS of 2^40 bytes, of which each sends what it is let send."""
    with ExitStack() as several:
        clients = [client for client in _connected(site, "h3", several) if isinstance(client, H3Client)]
        growth = Growth(site)
        for client in clients:
            stream_id = client.raw(b"\x01" + varint(1 << 40) + bytes(_FOR_EVER), end=False)
            client.wait(lambda c=client, s=stream_id: c.ended(s))  # type: ignore[misc]
            assert client.status(stream_id) == _TOO_LARGE
            growth.look()
        assert growth.mean(CONNECTIONS) < MOST_BYTES


@pytest.mark.parametrize(("protocol", "window"), [("h2c", 0), ("h2", 1)])
def test_answers_that_nobody_reads(site: LiveSite, judge: Generous, protocol: str, window: int) -> None:
    """Row 68: of each stream, what waits, and what there is of it beside that: an exchange, an upstream."""
    with ExitStack() as several:
        clients = _connected(site, protocol, several, client_settings={_INITIAL_WINDOW: window})
        growth = Growth(site)
        for client in clients:
            client.grants = False
            for _ in range(STREAMS):
                client.request(fields(LARGE))
        for _ in within(_PATIENCE_S, "all are under way"):
            if judge.under_way == CONNECTIONS * STREAMS:
                break
        growth.look()
        assert growth.mean(CONNECTIONS * STREAMS) < HELD_BYTES + STREAM_BYTES
    for _ in within(_PATIENCE_S, "all are over"):
        if judge.under_way == 0:
            break

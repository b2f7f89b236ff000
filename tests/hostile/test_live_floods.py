"""Floods over HTTP/2, HTTP/3 and QUIC against a running edge: cut early, cheap, felt by nobody else."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

import pytest
from aioquic.h3.connection import encode_frame

from edge.codec.h3.accounts import CANCELLED_LIMIT
from edge.codec.h3.wire import Code
from tests.hostile.cases_h2 import FLOODS, Flood
from tests.hostile.live_site import PROBE, LiveSite, live_site
from tests.hostile.spending import Spent, harmless
from tests.integration.h2_client import H2Client
from tests.integration.h3_client import H3Client, first_packets
from tests.integration.protocol_site import fields

IN_FLIGHT: Final = 150
"""Streams more than the limit that may be on their way before the end of the connection is seen."""
STORM_S: Final = 3.0
TURNS: Final = 3
"""Each flood so many times, so that what the worker does now and then anyway is little beside it."""
_CANCELLED: Final = 0x10C


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSite]:
    with live_site(tmp_path_factory.mktemp("floods")) as site:
        for protocol in ("h2c", "h2", "h3"):
            site.ask(protocol, PROBE)
        yield site
        site.edge.check_sound()


def _flood(site: LiveSite, flood: Flood, protocol: str, spent: Spent) -> None:
    """Until it is cut, which happens in time."""
    with site.connect(protocol) as client:
        assert isinstance(client, H2Client)
        client.send(flood.opening(client.head))
        burst = max(50, flood.at_most // 5)
        sent, began = 0, time.monotonic()
        while client.goaway is None and not client.closed and sent < 20 * flood.at_most:
            client.send(b"".join(flood.unit(sent + number, client.head) for number in range(burst)))
            sent += burst
            client.until_taken()
        client.wait(lambda: client.goaway is not None)
        assert client.goaway == flood.code
        forgiven = flood.at_most * (time.monotonic() - began)
        assert sent <= flood.at_most + forgiven + burst
        spent.by(client)


@pytest.mark.parametrize("protocol", ["h2c", "h2"])
@pytest.mark.parametrize("flood", FLOODS, ids=lambda flood: flood.id)
def test_a_flood_of_frames_is_cut(site: LiveSite, flood: Flood, protocol: str) -> None:
    with harmless(site) as spent:
        site.judge.holds = flood.waits
        for _ in range(TURNS):
            _flood(site, flood, protocol, spent)


def test_rapid_resets_from_ever_new_connections_starve_nobody(site: LiveSite) -> None:
    flood = FLOODS[0]
    cut = 0
    with harmless(site) as spent:
        until = time.monotonic() + STORM_S
        while time.monotonic() < until or cut < 10:
            with site.connect("h2c") as client:
                assert isinstance(client, H2Client)
                client.send(b"".join(flood.unit(number, client.head) for number in range(300)))
                client.wait(lambda c=client: c.goaway is not None)  # type: ignore[misc]
                assert client.goaway == flood.code
                spent.by(client)
                cut += 1


def _storm(client: H3Client, cut: Callable[[int], None], head: list[tuple[bytes, bytes]]) -> int:
    """Requests that are cut at once; how many there were when the connection ended."""
    for number in range(3 * CANCELLED_LIMIT):
        if client.closed is not None:
            return number
        stream_id = client.request(head, end=False)
        cut(stream_id)
        client.flush()
        client.read(0.002)
        if number % 10 == 0:
            client.wait(lambda: client.quic._loss.bytes_in_flight == 0)
    client.wait(lambda: client.closed is not None)
    return 3 * CANCELLED_LIMIT


@pytest.mark.parametrize("how", ["reset", "stop", "malformed"])
@pytest.mark.row(86, over="h3")
def test_a_storm_of_streams_that_come_to_nothing_ends_the_connection(site: LiveSite, how: str) -> None:
    with harmless(site) as spent, site.connect("h3") as client:
        assert isinstance(client, H3Client)
        head = fields("/", method="POST")
        cuts: dict[str, Callable[[int], None]] = {
            "reset": lambda stream_id: client.quic.reset_stream(stream_id, _CANCELLED),
            "stop": lambda stream_id: client.quic.stop_stream(stream_id, _CANCELLED),
            "malformed": lambda stream_id: None,
        }
        if how == "malformed":
            head.append((b"connection", b"x"))
        site.judge.holds = True
        started = _storm(client, cuts[how], head)
        spent.by(client)
        assert client.closed is not None
        assert client.closed.error_code == Code.EXCESSIVE_LOAD
        assert started <= CANCELLED_LIMIT + IN_FLIGHT


@pytest.mark.parametrize(("kind", "payload"), [(0, b""), (0x21, b""), (0, b"x")])
def test_a_stream_of_useless_frames_ends_the_connection(site: LiveSite, kind: int, payload: bytes) -> None:
    with harmless(site) as spent, site.connect("h3") as client:
        assert isinstance(client, H3Client)
        stream_id = client.request(fields("/", method="POST"), b"hello", end=False)
        for _ in range(200):
            if client.closed is not None:
                break
            client.quic.send_stream_data(stream_id, encode_frame(kind, payload) * 100)
            client.flush()
            client.read(0.01)
        client.wait(lambda: client.closed is not None)
        spent.by(client)
        assert client.closed is not None
        assert client.closed.error_code == Code.EXCESSIVE_LOAD


@pytest.mark.row(87, over="h3")
def test_first_packets_of_clients_that_never_answer_cost_little_and_amplify_nothing(site: LiveSite) -> None:
    """Case 87: above a number of half-open connections each gets a Retry, which keeps nothing."""
    packets = first_packets(400, "shop.example")
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(40)]
    came = 0
    with harmless(site) as spent:
        for each in sockets:
            each.connect(("127.0.0.1", site.edge.ports["secure"]))
            each.setblocking(False)
        for number, packet in enumerate(packets):
            spent.bytes += sockets[number % len(sockets)].send(packet)
            if number % 20 == 0:
                site.probe()
        with site.connect("h3") as honest:
            stream_id = honest.request(fields(PROBE))
            honest.wait(lambda: honest.ended(stream_id))
            assert honest.body(stream_id) == b"ok", "who answers the Retry is served"
        for each in sockets:
            with each:
                came += _all_bytes(each)
    assert 0 < came <= 3 * sum(map(len, packets))


def _all_bytes(quiet: socket.socket) -> int:
    total = 0
    while True:
        try:
            total += len(quiet.recv(65_536))
        except BlockingIOError:
            return total


def test_datagrams_of_garbage_harm_nobody(site: LiveSite) -> None:
    """Cases 85 and 88: random bytes, unknown versions, packets of connections nobody has, small ones."""
    heads = [
        b"\xc3\x00\x00\x00\x01\x08abcdefgh\x08ijklmnop\x00\x44\x90",
        b"\xc0\x1a\x2a\x3a\x4a\x08abcdefgh\x08ijklmnop",
        b"\x41",
        b"",
    ]
    with harmless(site) as spent, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as loud:
        loud.connect(("127.0.0.1", site.edge.ports["secure"]))
        for number in range(2_000):
            datagram = heads[number % 4] + os.urandom(1200 if number % 3 else 30)
            spent.bytes += loud.send(datagram)
        loud.setblocking(False)
        assert _all_bytes(loud) <= spent.bytes


def test_bytes_that_are_no_protocol_at_all_are_cut(site: LiveSite) -> None:
    """Plain TCP and TLS with bytes that are neither: cut, and nobody else feels it."""
    with harmless(site) as spent:
        for port in (site.edge.web, site.edge.ports["secure"]):
            for _ in range(20):
                with socket.create_connection(("127.0.0.1", port), 10) as loud:
                    with suppress(OSError):
                        loud.sendall(os.urandom(100_000))
                        while loud.recv(65_536):
                            continue
                    spent.by(loud)


def test_every_flood_of_the_table_ran() -> None:
    assert len(FLOODS) == 21
    assert {flood.number for flood in FLOODS} == {65, 66, 67}

"""PROXY headers to endpoints: what they say, and that no other client's request follows one."""

from __future__ import annotations

from typing import Any

import pytest

from edge import model
from edge.listen.proxy_header import parse
from edge.upstream.proxy_header import header
from tests.unit.upstream.fakes import OK, OK_CALLS, Bench, Recorder, get


class Client:
    """A connection, as far as its addresses go."""

    def __init__(self, peer: tuple[str, int], local: tuple[str, int] = ("203.0.113.1", 443)) -> None:
        self.peer = peer
        self.local = local


def of(version: int, peer: tuple[str, int], local: tuple[str, int] = ("203.0.113.1", 443)) -> bytes:
    return header(version, Client(peer, local))  # type: ignore[arg-type]


def test_version_1_is_a_line() -> None:
    assert of(1, ("198.51.100.7", 4711)) == b"PROXY TCP4 198.51.100.7 203.0.113.1 4711 443\r\n"
    assert of(1, ("2001:db8::7", 1), ("2001:db8::1", 2)) == b"PROXY TCP6 2001:db8::7 2001:db8::1 1 2\r\n"
    assert header(1, None) == b"PROXY UNKNOWN\r\n"


def test_version_2_is_a_block() -> None:
    assert of(2, ("198.51.100.7", 4711)) == (
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc6\x33\x64\x07\xcb\x00\x71\x01\x12\x67\x01\xbb"
    )
    assert header(2, None) == b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("peer", "local"),
    [
        (("198.51.100.7", 1), ("203.0.113.1", 65535)),
        (("2001:db8::7", 4711), ("2001:db8::1", 443)),
        (("fe80::7%eth0", 4711), ("fe80::1", 443)),
    ],
)
def test_our_own_listeners_understand_them(
    version: int, peer: tuple[str, int], local: tuple[str, int]
) -> None:
    data = of(version, peer, local)
    read = parse(data + b"GET / HTTP/1.1\r\n")
    assert read is not None
    assert read.size == len(data)
    assert read.source == (peer[0].partition("%")[0], peer[1])
    assert read.destination == local


def test_addresses_of_two_families_are_told_in_one() -> None:
    assert of(1, ("::ffff:198.51.100.7", 1)) == b"PROXY TCP4 198.51.100.7 203.0.113.1 1 443\r\n"
    assert of(1, ("198.51.100.7", 1), ("2001:db8::1", 2)).startswith(
        b"PROXY TCP6 ::ffff:c633:6407 2001:db8::1"
    )


class Asking(Recorder):
    """An exchange of a client."""

    def __init__(self, peer: str) -> None:
        super().__init__()
        self.connection = Client((peer, 4711))


@pytest.mark.parametrize("more", [{}, {"outliers": model.Outliers()}])
def test_each_connection_tells_its_client_and_serves_no_other(more: dict[str, Any]) -> None:
    bench = Bench(proxy_protocol=1, **more)
    for number in (1, 2):
        exchange = Asking(f"198.51.100.{number}")
        bench.cluster.dispatch(exchange, get(), True, 0.0)
        dial = bench.dialer.dials[-1]
        assert dial.preamble.startswith(b"PROXY TCP4 198.51.100.%d " % number)
        transport = dial.connect()
        dial.protocol.data_received(OK)
        assert exchange.calls == OK_CALLS
        assert transport.aborted
    assert len(bench.dialer.dials) == 2
    assert bench.open == 0


def test_a_callout_has_no_client() -> None:
    bench = Bench(proxy_protocol=2)
    bench.send(get())
    assert bench.dialer.dials[0].preamble == header(2, None)


def test_a_plain_cluster_says_nothing_first() -> None:
    bench = Bench()
    bench.cluster.dispatch(Asking("198.51.100.1"), get(), True, 0.0)
    assert bench.dialer.dials[0].preamble == b""

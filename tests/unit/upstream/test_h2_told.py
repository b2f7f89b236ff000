"""HTTP/2 upstream: what one read holds is told in order, and credited even where an exchange fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from edge.upstream.request import PooledRequest
from tests.unit.upstream.fake_h2 import Account, Peer
from tests.unit.upstream.fakes import Bench, Recorder, get

OK = [("head", 200, False), ("data", b"hello", True)]
FAILED = ("failed", "EdgeError", 500)
MANY = 60_000


@pytest.fixture
def bench() -> Bench:
    return Bench(protocol="h2")


def _begun(peer: Peer, request: PooledRequest) -> None:
    peer.head(1)
    peer.h2.send_data(1, b"one")
    peer.h2.send_data(1, b"two")


def _followed(peer: Peer, request: PooledRequest) -> None:
    peer.head(1)
    peer.pump()
    peer.h2.send_data(1, b"one")
    peer.h2.send_data(1, b"two")


def _ended(peer: Peer, request: PooledRequest) -> None:
    peer.head(1)
    peer.pump()
    peer.h2.send_data(1, b"one")
    peer.pump()
    peer.h2.send_data(1, b"last", end_stream=True)


def _whole(peer: Peer, request: PooledRequest) -> None:
    peer.head(1)
    peer.h2.send_data(1, b"one")
    peer.h2.send_data(1, b"two", end_stream=True)


def _held(peer: Peer, request: PooledRequest) -> None:
    peer.head(1)
    peer.pump()
    request.pause_response()
    for piece in (b"one", b"two", b"three"):
        peer.h2.send_data(1, piece, end_stream=piece == b"three")
    peer.pump()
    request.resume_response()


@pytest.mark.parametrize(
    ("response", "fails_at", "told"),
    [
        (_begun, ("head", 200, False), [FAILED]),
        (_begun, ("data", b"one", False), [FAILED]),
        (_begun, ("data", b"two", False), [FAILED]),
        (_followed, ("data", b"one", False), [FAILED]),
        (_ended, ("data", b"last", True), []),
        (_whole, ("head", 200, False), []),
        (_held, ("data", b"one", False), [FAILED]),
        (_held, ("data", b"two", False), [FAILED]),
        (_held, ("data", b"three", True), []),
    ],
)
def test_an_exchange_that_fails_costs_the_window_nothing(
    bench: Bench,
    response: Callable[[Peer, PooledRequest], None],
    fails_at: tuple[Any, ...],
    told: list[tuple[Any, ...]],
) -> None:
    """Of one that got its last piece the connection has parted already."""

    class Failing(list[Any]):
        def append(self, call: Any) -> None:
            super().append(call)
            if call == fails_at:
                raise ZeroDivisionError

    async def case() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: failures.append(1))
        request, exchange = bench.send(get())
        exchange.calls = Failing()
        peer = Peer(bench)
        account = Account(peer)
        response(peer, request)
        peer.pump()
        assert exchange.calls[exchange.calls.index(fails_at) + 1 :] == told
        assert account.came == account.credited > 0
        _, other = bench.send(get())
        peer.pump()
        peer.answer(3)
        assert other.calls == OK

    failures: list[int] = []
    asyncio.run(case())
    assert failures == [1]


def test_many_small_pieces_that_were_held_go_on_in_their_order(bench: Bench) -> None:
    request, exchange = bench.send(get())
    peer = Peer(bench)
    peer.head(1)
    peer.pump()
    request.pause_response()
    pieces = [b"%d" % (number % 10) for number in range(MANY)]
    for start in range(0, MANY, 1000):
        read = b"".join(b"\0\0\1\0\0\0\0\0\1" + piece for piece in pieces[start : start + 1000])
        peer.protocol.data_received(read)
    request.resume_response()
    bench.end_turn()
    assert exchange.body == b"".join(pieces)
    assert len(exchange.calls) == 1 + MANY


def _two(bench: Bench) -> tuple[Peer, list[PooledRequest], list[Recorder]]:
    sent = [bench.send(get()) for _ in range(2)]
    return Peer(bench), [request for request, _ in sent], [exchange for _, exchange in sent]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], [b"head", b"two", b"end"]),
        ([b"head"], [b"two", b"end"]),
        ([b"head", b"one"], [b"two"]),
        ([b"head", b"one"], [b"two", b"end"]),
        ([b"head", b"one"], [b"trailers"]),
        ([b"head", b"one", b"end"], []),
    ],
)
def test_a_response_that_another_exchange_cancels_in_the_same_read_is_credited(
    bench: Bench, before: list[bytes], after: list[bytes]
) -> None:
    peer, (_, second), (exchange, other) = _two(bench)
    account = Account(peer)
    exchange.on_head = second.cancel

    def say(parts: list[bytes]) -> None:
        for part in parts:
            if part == b"head":
                peer.head(3)
            elif part == b"trailers":
                peer.h2.send_headers(3, [(b"x-end", b"1")], end_stream=True)
            else:
                peer.h2.send_data(3, part, end_stream=part == b"end")

    say(before)
    peer.head(1)
    peer.h2.send_data(1, b"hello", end_stream=True)
    say(after)
    peer.pump()
    assert exchange.calls == OK
    assert [call[0] for call in other.calls] == (["head", "data"] if b"end" in before else [])
    assert account.came == account.credited
    assert not peer.protocol.active


def test_whole_responses_that_are_mixed_are_each_told_at_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer, _, (first, second) = _two(bench)
    wholes: list[tuple[Any, ...]] = []
    for exchange in (first, second):
        monkeypatch.setattr(exchange, "response_whole", lambda *told: wholes.append(told[1:]))
    peer.head(1)
    peer.head(3)
    peer.h2.send_data(1, b"a")
    peer.h2.send_data(3, b"c")
    peer.h2.send_data(1, b"b")
    peer.h2.send_headers(3, [(b"x-end", b"1")], end_stream=True)
    peer.h2.send_data(1, b"", end_stream=True)
    peer.pump()
    assert wholes == [(b"c", [(b"x-end", b"1")]), (b"ab", None)]


def test_what_was_begun_is_told_before_its_stream_or_its_connection_ends(bench: Bench) -> None:
    peer, _, (first, second) = _two(bench)
    for stream_id in (1, 3):
        peer.head(stream_id)
        peer.h2.send_data(stream_id, b"part")
    peer.h2.reset_stream(1)
    peer.h2.close_connection()
    peer.pump()
    peer.protocol.connection_lost(None)
    cut = [("head", 200, False), ("data", b"part", False), ("failed", "UpstreamClosed", 502)]
    assert (first.calls, second.calls) == (cut, cut)


def test_of_a_response_that_breaks_off_in_its_read_all_that_was_right_is_told(bench: Bench) -> None:
    _, exchange = bench.send(get())
    peer = Peer(bench)
    peer.head(1, fields=[(b"content-length", b"5")])
    peer.h2.send_data(1, b"one")
    peer.h2.send_data(1, b"too long")
    peer.pump()
    assert exchange.calls == [
        ("head", 200, False),
        ("data", b"one", False),
        ("failed", "BadResponse", 502),
    ]


def test_who_pauses_and_leaves_at_the_head_leaves_nothing_uncredited(bench: Bench) -> None:
    request, exchange = bench.send(get())
    peer = Peer(bench)
    account = Account(peer)

    def leave() -> None:
        request.pause_response()
        request.cancel()

    exchange.on_head = leave
    _begun(peer, request)
    peer.pump()
    assert exchange.calls == [("head", 200, False)]
    assert account.came == account.credited == len(b"onetwo")


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("end", ["data", "trailers"])
@pytest.mark.parametrize(("method", "status"), [(b"HEAD", 200), (b"GET", 204), (b"GET", 304)])
def test_a_response_without_a_body_ends_with_its_head(
    bench: Bench, method: bytes, status: int, end: str, at_once: bool
) -> None:
    _, exchange = bench.send(get(method=method))
    peer = Peer(bench)
    peer.head(1, status)
    if not at_once:
        peer.pump()
        assert exchange.calls == [("head", status, True)]
    if end == "data":
        peer.h2.send_data(1, b"", end_stream=True)
    else:
        peer.h2.send_headers(1, [(b"x-end", b"1")], end_stream=True)
    peer.pump()
    assert exchange.calls == [("head", status, True)]
    assert peer.protocol.active == 0


def test_trailers_of_which_none_may_pass_are_none(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    request, exchange = bench.send(get())
    wholes: list[Any] = []
    monkeypatch.setattr(exchange, "response_whole", lambda *told: wholes.append(told[2]))
    peer = Peer(bench)
    peer.head(1)
    peer.h2.send_data(1, b"hello")
    peer.h2.send_headers(1, [(b"content-encoding", b"gzip")], end_stream=True)
    peer.pump()
    assert wholes == [None]
    assert request._over, "a request whose response was told whole has parted from its connection"

"""HTTP/2 upstream: what the peer says in any pieces is the same; broken bytes end exchanges once."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.upstream.fake_h2 import Peer
from tests.unit.upstream.fakes import Bench, Recorder, get, post

_EXAMPLES = 300


def conversation() -> bytes:
    """What a peer says to four requests: trailers, a whole body, no body, early hints and a reset."""
    bench = Bench(protocol="h2")
    for _ in range(4):
        bench.send(get())
    peer = Peer(bench)
    for stream_id in (1, 3, 5, 7):
        peer.head(stream_id, 103, [(b"link", b"</a>")])
        peer.head(stream_id, fields=[(b"x-a", b"b" * 40)], end=stream_id == 5)
        if stream_id != 5:
            peer.h2.send_data(stream_id, b"0123456789" * 30, end_stream=stream_id == 3)
    peer.h2.send_headers(1, [(b"grpc-status", b"0")], end_stream=True)
    peer.h2.reset_stream(7, 2)
    peer.h2.ping(b"12345678")
    said: bytes = peer.h2.data_to_send()
    return said


SAID = conversation()


def listen(pieces: list[bytes]) -> list[Recorder]:
    """Four requests to a peer that says `pieces`."""
    bench = Bench(protocol="h2")
    sent = [bench.send(post() if index == 3 else get())[1] for index in range(4)]
    peer = Peer(bench)
    for piece in pieces:
        if not peer.transport.aborted:
            peer.protocol.data_received(piece)
        bench.end_turn()
    if bench.open:
        peer.protocol.connection_lost(None)
    bench.end_turn()
    assert bench.open == 0 or bench.dialer.dials[1:]
    return sent


def told(exchange: Recorder) -> list[Any]:
    """The calls, with the pieces of the body joined."""
    calls: list[Any] = []
    body = b""
    ended = False
    for call in exchange.calls:
        if call[0] == "data":
            body += call[1]
            ended = call[2]
        else:
            calls.append(call)
    return [*calls, body, ended]


def ends(exchange: Recorder) -> int:
    return sum(
        call[0] in ("failed", "trailers") or (call[0] in ("head", "data") and call[2])
        for call in exchange.calls
    )


WHOLE = [told(exchange) for exchange in listen([SAID])]


def test_the_conversation_is_what_it_claims_to_be() -> None:
    hints, head = ("informational", 103), ("head", 200, False)
    body = b"0123456789" * 30
    assert WHOLE[0] == [hints, head, ("trailers", [(b"grpc-status", b"0")]), body, False]
    assert WHOLE[1] == [hints, head, body, True]
    assert WHOLE[2] == [hints, ("head", 200, True), b"", False]
    assert WHOLE[3][:2] == [hints, head]
    assert WHOLE[3][2][0] == "failed"


@settings(max_examples=_EXAMPLES, deadline=None)
@given(st.lists(st.integers(0, len(SAID)), max_size=40))
def test_pieces_make_no_difference(cuts: list[int]) -> None:
    places = sorted({0, len(SAID), *cuts})
    pieces = [SAID[start:end] for start, end in pairwise(places)]
    assert [told(exchange) for exchange in listen(pieces)[:3]] == WHOLE[:3]


@settings(max_examples=_EXAMPLES, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(SAID) - 1), st.integers(0, 255), st.sampled_from("set cut double".split())
        ),
        min_size=1,
        max_size=6,
    )
)
def test_broken_bytes_raise_nothing_and_end_each_exchange_at_most_once(
    changes: list[tuple[int, int, str]],
) -> None:
    data = bytearray(SAID)
    for place, value, how in changes:
        at = place % len(data) if data else 0
        if how == "set" and data:
            data[at] = value
        elif how == "cut":
            del data[at : at + 1 + value % 12]
        else:
            data[at:at] = data[at : at + 1 + value]
    for exchange in listen([bytes(data)]):
        assert ends(exchange) <= 1
        if ends(exchange):
            last = exchange.calls[-1]
            assert last[0] in ("failed", "trailers") or last[2]

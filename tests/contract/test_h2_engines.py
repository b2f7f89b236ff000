"""Both HTTP/2 engines against one contract: the same frames in, the same calls and frames out."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from hpack import Decoder
from hyperframe.frame import (
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
)

from edge.codec.h2.codes import CONNECTION_WINDOW_BYTES, STREAM_WINDOW_BYTES
from edge.codec.h2.engine import Engine, MakeEngine
from edge.codec.h2.native import NativeEngine
from edge.codec.h2.pure import PureEngine
from edge.head import Field
from edge.model import Limits
from tests.hostile.fake_h2 import GET, POST, PREFACE, Heads, data, frame, rst, settings, window

OK: list[Field] = [(b":status", b"200"), (b"x-a", b"b")]
Call = tuple[Any, ...]


class Client:
    """Records what the sink is told and takes apart what the engine sends."""

    def __init__(self, make: MakeEngine, client_settings: dict[int, int] | None = None) -> None:
        self.calls: list[Call] = []
        self.frames: list[Any] = []
        self.refused: list[tuple[int, int]] = []
        self.rests = False
        self.head = Heads()
        self._decoder = Decoder()
        self.engine: Engine = make(self, Limits(), lambda: 0.0)
        self.send(PREFACE + settings(client_settings) + frame(4, b"", 0, 1))
        self.greeting, self.frames = self.frames, []

    def on_request(self, stream_id: int, fields: tuple[Field, ...], end: bool) -> None:
        self.calls.append(("request", stream_id, fields, end))

    def on_data(self, stream_id: int, body: bytes, credit: int, end: bool) -> None:
        self.calls.append(("data", stream_id, body, credit, end))

    def on_trailers(self, stream_id: int, fields: tuple[Field, ...]) -> None:
        self.calls.append(("trailers", stream_id, fields))

    def on_closed(self, stream_id: int, code: int, by_peer: bool) -> None:
        self.calls.append(("closed", stream_id, code, by_peer))

    def on_refused(self, count: int, code: int) -> None:
        self.refused.append((count, code))

    def on_ping_answered(self) -> None:
        self.calls.append(("ping answered",))

    def on_rest(self) -> None:
        self.rests = True

    def send(self, piece: bytes) -> None:
        self.rests = True
        while self.rests:
            self.rests = False
            self.engine.receive(piece)
            piece = b""
        self.take()

    def take(self) -> None:
        written = self.engine.take()
        while written:
            one, length = Frame.parse_frame_header(memoryview(written[:9]))
            one.parse_body(memoryview(written[9 : 9 + length]))
            self.frames.append(one)
            written = written[9 + length :]

    def told(self) -> list[Call]:
        calls, self.calls = self.calls, []
        return calls

    def seen(self) -> list[tuple[Any, ...]]:
        """Frames as short tuples: what, stream, content, whether it ends the stream."""
        frames, self.frames = self.frames, []
        return [self._short(one) for one in frames]

    def _short(self, one: Any) -> tuple[Any, ...]:
        end = "END_STREAM" in one.flags
        if isinstance(one, HeadersFrame):
            fields = [(bytes(n), bytes(v)) for n, v in self._decoder.decode(one.data, raw=True)]
            return ("head", one.stream_id, fields, end)
        if isinstance(one, DataFrame):
            return ("data", one.stream_id, one.data, end)
        if isinstance(one, RstStreamFrame):
            return ("rst", one.stream_id, one.error_code)
        if isinstance(one, GoAwayFrame):
            return ("goaway", one.last_stream_id, one.error_code)
        if isinstance(one, PingFrame):
            return ("ping", one.opaque_data, "ACK" in one.flags)
        if isinstance(one, SettingsFrame):
            return ("settings", dict(one.settings), "ACK" in one.flags)
        return ("window", one.stream_id, one.window_increment)


@pytest.fixture(params=[NativeEngine, PureEngine])
def make(request: pytest.FixtureRequest) -> MakeEngine:
    engine: MakeEngine = request.param
    return engine


@pytest.fixture
def client(make: MakeEngine) -> Client:
    return Client(make)


def test_it_begins_with_our_settings_and_a_wide_connection_window(client: Client) -> None:
    first = client.greeting[0]
    (second,) = [one for one in client.greeting if one.type == 8]
    ours = {3: 100, 4: STREAM_WINDOW_BYTES, 6: Limits().head_bytes, 8: 1, 9: 1}
    assert ours.items() <= first.settings.items()
    assert (second.stream_id, second.window_increment) == (0, CONNECTION_WINDOW_BYTES - 65535)
    assert [one.type for one in client.greeting if "ACK" in one.flags] == [4]


def test_a_request_without_a_body(client: Client) -> None:
    client.send(client.head(1))
    assert client.told() == [("request", 1, tuple(GET), True)]


def test_a_request_in_single_bytes(client: Client) -> None:
    piece = client.head(1, POST, False) + data(1, b"abc") + client.head(1, [(b"x-a", b"b")])
    for at in range(len(piece)):
        client.send(piece[at : at + 1])
    first, *middle, last = client.told()
    assert first == ("request", 1, tuple(POST), False)
    assert b"".join(call[2] for call in middle) == b"abc"
    assert last == ("trailers", 1, ((b"x-a", b"b"),))


def test_body_and_trailers_come_in_order(client: Client) -> None:
    client.send(client.head(1, POST, False) + data(1, b"abc") + client.head(1, [(b"x-a", b"b")]))
    assert [call[0] for call in client.told()] == ["request", "data", "trailers"]


def test_the_last_data_says_so(client: Client) -> None:
    client.send(client.head(1, POST, False) + data(1, b"abc") + data(1, b"", True))
    body = [call for call in client.told() if call[0] == "data"]
    assert [(call[2], call[4]) for call in body if call[2] or call[4]][-1][1] is True
    assert b"".join(call[2] for call in body) == b"abc"


def test_bodies_that_come_interleaved_keep_their_bytes_their_credit_and_their_order(client: Client) -> None:
    pieces = [data(n, bytes([65 + n]) * 5000) for n in (1, 3, 1, 3, 1)]
    heads = client.head(1, POST, False) + client.head(3, POST, False)
    client.send(heads + b"".join(pieces) + data(1, b"end", True) + client.head(3, [(b"x-a", b"b")]))
    told = client.told()
    one, three = ([call for call in told if call[1] == n and call[0] == "data"] for n in (1, 3))
    assert b"".join(call[2] for call in one) == b"B" * 15000 + b"end"
    assert b"".join(call[2] for call in three) == b"D" * 10000
    assert all(call[3] == len(call[2]) for call in one + three)
    assert [call[4] for call in one][-1] is True
    assert told[-1] == ("trailers", 3, ((b"x-a", b"b"),))


def test_the_native_engine_tells_large_frames_of_one_body_in_one_piece() -> None:
    client = Client(NativeEngine)
    client.send(client.head(1, POST, False) + client.head(3, POST, False))
    client.told()
    client.send(b"".join(data(n, b"x" * 16000) for n in (1, 3, 1, 3)))
    assert [(call[1], len(call[2])) for call in client.told()] == [(1, 32000), (3, 32000)]


def test_an_answer_with_body_leaves_whole(client: Client) -> None:
    client.send(client.head(1))
    client.told()
    client.engine.send_head(1, OK, False)
    client.engine.send_data(1, b"abc", True)
    client.take()
    assert client.seen() == [("head", 1, OK, False), ("data", 1, b"abc", True)]
    assert client.told() == [("closed", 1, 0, False)]


def test_informational_heads_then_trailers(client: Client) -> None:
    client.send(client.head(1))
    early = [(b":status", b"103"), (b"link", b"</a>")]
    client.engine.send_informational(1, early)
    client.engine.send_head(1, OK, False)
    client.engine.send_data(1, b"abc", False)
    client.engine.send_trailers(1, [(b"x-sum", b"1")])
    client.take()
    assert client.seen() == [
        ("head", 1, early, False),
        ("head", 1, OK, False),
        ("data", 1, b"abc", False),
        ("head", 1, [(b"x-sum", b"1")], True),
    ]


def test_an_answer_that_is_only_a_head(client: Client) -> None:
    client.send(client.head(1))
    client.engine.send_head(1, OK, True)
    client.take()
    assert client.seen() == [("head", 1, OK, True)]
    assert ("closed", 1, 0, False) in client.told()


def test_a_body_waits_for_the_window_of_the_stream(make: MakeEngine) -> None:
    client = Client(make, {4: 10})
    client.send(client.head(1))
    client.engine.send_head(1, OK, False)
    client.engine.send_data(1, b"x" * 25, True)
    client.take()
    assert client.engine.queued(1) == 15
    client.send(window(1, 14))
    assert client.engine.queued(1) == 1
    client.send(window(1, 14))
    assert client.engine.queued(1) == 0
    sent = [one for one in client.seen() if one[0] == "data"]
    assert (b"".join(one[2] for one in sent), sent[-1][3]) == (b"x" * 25, True)


def test_streams_share_the_window_of_the_connection(client: Client) -> None:
    client.send(client.head(1) + client.head(3))
    for stream_id in (1, 3):
        client.engine.send_head(stream_id, OK, False)
        client.engine.send_data(stream_id, b"x" * 40_000, True)
    client.take()
    assert client.engine.queued(1) + client.engine.queued(3) == 80_000 - 65_535
    client.send(window(0, 20_000))
    assert client.engine.queued(1) + client.engine.queued(3) == 0


def test_credit_is_granted_only_when_it_is_given(client: Client) -> None:
    client.send(client.head(1, POST, False) + data(1, b"x" * 16384) * 3)
    assert [one for one in client.seen() if one[0] == "window"] == []
    client.engine.credit(1, 3 * 16384)
    client.take()
    granted = [one for one in client.seen() if one[0] == "window" and one[1] == 1]
    assert sum(one[2] for one in granted) == 3 * 16384


@pytest.mark.parametrize("size", [1, 1_000, 16_384])
@pytest.mark.parametrize("reset", [False, True])
def test_bodies_that_ended_do_not_shrink_the_connection(client: Client, size: int, reset: bool) -> None:
    for i in range(3_000):
        client.send(client.head(1 + 2 * i, POST, False) + data(1 + 2 * i, b"x" * size, 1))
        client.engine.credit(1 + 2 * i, sum(call[3] for call in client.told() if call[0] == "data"))
        if reset:
            client.engine.reset(1 + 2 * i, 8)
        else:
            client.engine.send_head(1 + 2 * i, OK, True)
        client.take()
    assert client.engine.over is None


def test_padding_never_uses_up_the_window(client: Client) -> None:
    padded = frame(0, b"\x10" + b"x" * 16000 + b"\0" * 16, 1, 8)
    client.send(client.head(1, POST, False))
    for _ in range(100):
        client.send(padded)
        for call in client.told():
            if call[0] == "data":
                client.engine.credit(1, call[3])
        client.take()
    assert client.engine.over is None


def test_a_body_dropped_with_its_stream_does_not_shrink_the_connection(client: Client) -> None:
    for i in range(60):
        stream_id = 1 + 2 * i
        client.send(client.head(stream_id, POST, False) + data(stream_id, b"x" * 16384) * 2)
        client.engine.credit(stream_id, 2 * 16384)
        client.engine.reset(stream_id, 0)
        client.take()
        client.send(data(stream_id, b"x" * 1000))
    assert client.engine.over is None


def test_more_than_the_window_ends_the_connection(client: Client) -> None:
    client.send(client.head(1, POST, False) + data(1, b"x" * 16384) * 4)
    assert client.engine.over is None
    client.send(data(1, b"x"))
    assert client.engine.over == 3


def test_a_reset_of_the_client(client: Client) -> None:
    client.send(client.head(1, POST, False))
    client.told()
    client.send(rst(1, 8))
    assert client.told() == [("closed", 1, 8, True)]


def test_a_request_reset_in_the_same_piece_is_never_told_of(client: Client) -> None:
    client.send(client.head(1) + rst(1) + client.head(3))
    assert [call for call in client.told() if call[0] == "request"] == [("request", 3, tuple(GET), True)]


def test_a_reset_of_ours_drops_what_is_queued(make: MakeEngine) -> None:
    client = Client(make, {4: 0})
    client.send(client.head(1))
    client.engine.send_head(1, OK, False)
    client.engine.send_data(1, b"abc", False)
    client.take()
    client.seen()
    client.engine.reset(1, 2)
    client.take()
    assert client.seen() == [("rst", 1, 2)]
    client.send(window(1, 100))
    assert [one for one in client.seen() if one[0] == "data"] == []


def test_calls_about_ended_streams_are_ignored(client: Client) -> None:
    client.send(client.head(1) + rst(1))
    engine = client.engine
    engine.send_informational(1, [(b":status", b"103")])
    engine.send_head(1, OK, False)
    engine.send_data(1, b"abc", True)
    engine.send_trailers(1, [(b"x-a", b"b")])
    engine.credit(1, 5)
    engine.reset(1, 8)
    assert engine.queued(1) == 0
    client.take()
    assert [one for one in client.seen() if one[0] != "rst"] == []
    assert engine.over is None


def test_streams_over_the_limit_are_refused_alone(client: Client) -> None:
    client.send(b"".join(client.head(1 + 2 * i) for i in range(102)))
    assert len([call for call in client.told() if call[0] == "request"]) == 100
    assert client.seen() == [("rst", 201, 7), ("rst", 203, 7)]
    assert client.refused == [(1, 7), (1, 7)]


def test_pings_and_settings_are_answered(client: Client) -> None:
    client.send(frame(6, b"12345678") + settings({4: 100}))
    assert client.seen() == [("ping", b"12345678", True), ("settings", {}, True)]


def test_a_ping_of_ours_is_told_when_answered(client: Client) -> None:
    client.engine.ping()
    client.take()
    ((_, opaque, _),) = client.seen()
    client.send(frame(6, b"other...", 0, 1))
    assert client.told() == []
    client.send(frame(6, opaque, 0, 1))
    assert client.told() == [("ping answered",)]


def test_a_drain_in_two_steps_ends_with_the_last_stream(client: Client) -> None:
    client.send(client.head(1))
    client.engine.notice()
    client.take()
    assert client.seen() == [("goaway", (1 << 31) - 1, 0)]
    client.send(client.head(3))
    client.engine.goaway(0)
    client.take()
    assert client.seen() == [("goaway", 3, 0)]
    for stream_id in (1, 3):
        assert client.engine.over is None
        client.engine.send_head(stream_id, OK, True)
        client.take()
    assert client.engine.over == 0


def test_a_client_that_says_goodbye_is_served_to_the_end(client: Client) -> None:
    client.send(client.head(1) + frame(7, b"\0" * 8))
    assert client.engine.over is None
    client.engine.send_head(1, OK, True)
    client.take()
    client.take()
    assert client.engine.over == 0


def test_an_idle_client_that_says_goodbye_is_let_go(client: Client) -> None:
    client.send(frame(7, b"\0" * 8))
    client.take()
    assert client.engine.over == 0


@pytest.mark.parametrize(
    ("piece", "code"),
    [
        (lambda head: frame(6, b"1234567"), 6),
        (lambda head: window(0, 0), 1),
        (lambda head: window(0, (1 << 31) - 1), 3),
        (lambda head: frame(1, b"\x80", 1, 5), 9),
        (lambda head: head(2), 1),
        (lambda head: data(1, b"x"), 1),
        (lambda head: head(1) + data(1, b"x"), 5),
        (lambda head: head(5) + head(3), 1),
        (lambda head: frame(1, head.block(GET), 1, 1) + frame(9, b"", 1) * 300, 0xB),
        (lambda head: frame(1, b"\x82\x87\x84\x41\x01a" + b"\x90" * 5000, 1, 5), 0xB),
        (lambda head: frame(5, b"\0\0\0\2", 1, 4), 1),
        (lambda head: b"".join(head(1 + 2 * i) + rst(1 + 2 * i) for i in range(400)), 0xB),
        (lambda head: frame(6, b"12345678") * 1500, 0xB),
    ],
    ids=[
        "ping-of-7",
        "increment-0",
        "window-overflow",
        "hpack-index-0",
        "even-stream",
        "data-on-idle",
        "data-after-end",
        "skipped-stream",
        "continuations",
        "hpack-bomb",
        "push-promise",
        "rapid-reset",
        "ping-flood",
    ],
)
def test_a_fault_of_the_connection_ends_it_with_a_goaway(
    client: Client, piece: Callable[[Heads], bytes], code: int
) -> None:
    client.send(piece(client.head))
    assert client.engine.over == code
    assert client.seen()[-1][0::2] == ("goaway", code)
    client.send(client.head(99))
    assert client.seen() == []


def test_a_client_that_measures_the_line_with_every_answer_is_no_flood(client: Client) -> None:
    """As gRPC does: a PING and two WINDOW_UPDATEs for each small message it gets."""
    client.send(client.head(1))
    client.engine.send_head(1, OK, False)
    for _ in range(4000):
        client.engine.send_data(1, b"message", False)
        client.take()
        client.send(frame(6, b"12345678") + window(1, 7) + window(0, 7))
    assert client.engine.over is None


def test_an_overflow_of_a_stream_window_ends_the_stream_alone(client: Client) -> None:
    client.send(client.head(1, POST, False) + window(1, (1 << 31) - 1) + client.head(3))
    assert client.seen() == [("rst", 1, 3)]
    assert [call[0:2] for call in client.told()] == [("request", 1), ("closed", 1), ("request", 3)]


@pytest.mark.parametrize(
    "body",
    [data(1, b"abcd", True), data(1, b"ab", True), data(1, b"ab") + data(1, b"cd", True)],
    ids=["more", "less", "more-in-two"],
)
def test_a_body_other_than_its_length_is_never_complete(client: Client, body: bytes) -> None:
    """ngh2 ends the stream, h2 the connection; neither says that the body is whole."""
    client.send(client.head(1, [*POST, (b"content-length", b"3")], False) + body)
    assert [call for call in client.told() if call[0] == "data" and call[4]] == []
    assert client.seen()[-1][0::2] in (("rst", 1), ("goaway", 1))


def test_what_a_client_owes_is_known(client: Client) -> None:
    assert not client.engine.receiving_head()
    whole = client.head(1, POST, False)
    client.send(whole[:5])
    assert client.engine.receiving_head()
    client.send(whole[5:12])
    assert client.engine.receiving_head()
    client.send(whole[12:])
    assert not client.engine.receiving_head()
    client.send(data(1, b"abc")[:10])
    assert not client.engine.receiving_head()
    client.send(b"bc" + frame(1, client.head.block(GET), 3, 1))
    assert client.engine.receiving_head()
    client.send(frame(9, b"", 3, 4))
    assert not client.engine.receiving_head()


def test_a_closed_engine_tells_nothing_and_lets_its_sink_go(make: MakeEngine) -> None:
    client = Client(make)
    client.send(client.head(1))
    engine, gone = client.engine, weakref.ref(client)
    client.told()
    engine.close()
    engine.receive(client.head(3))
    engine.send_head(1, OK, True)
    engine.take()
    told = client.told()
    assert told == []
    gc.disable()
    try:
        del client
        assert gone() is None
    finally:
        gc.enable()


def test_without_a_preface_a_head_is_owed(make: MakeEngine) -> None:
    client = Client.__new__(Client)
    engine = make(client, Limits(), lambda: 0.0)
    assert engine.receiving_head()
    engine.receive(PREFACE[:20])
    assert engine.receiving_head()

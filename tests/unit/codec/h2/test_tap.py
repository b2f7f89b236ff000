"""Floods are counted, and forgotten again: what honest clients do for hours must not add up."""

from __future__ import annotations

import pytest

from edge.codec.h2.codes import Code
from edge.codec.h2.tap import _LATE_PIECES, Tap
from tests.hostile.fake_h2 import GET, POST, PREFACE, Heads, data, frame, rst, settings, window


class _Line:
    """A tap and its clock; `fed` is what an engine would have got."""

    def __init__(self) -> None:
        self.tap = Tap(64 << 10)
        self.now = 0.0
        self.head = Heads()
        self.fed = self.send(PREFACE + settings())

    def send(self, piece: bytes, wait: float = 0.0) -> bytes:
        self.now += wait
        return self.tap.scan(piece, self.now)


def test_everything_is_fed_in_order_whatever_the_pieces() -> None:
    line = _Line()
    piece = line.head(1, POST, False) + data(1, b"abc") + window(1, 5) + data(1, b"d", True) + line.head(3)
    for step in (1, 2, 3, 7, 50):
        line = _Line()
        assert b"".join(line.send(piece[at : at + step]) for at in range(0, len(piece), step)) == piece
        assert (line.tap.last, line.tap.opened, line.tap.fault) == (3, 2, None)


def test_a_frame_that_comes_in_crumbs_waits_whole_and_in_few_pieces() -> None:
    line = _Line()
    line.send(line.head(1, POST, False))
    piece = data(1, bytes(range(256)) * 40, True) + line.head(3)
    fed = []
    for at in range(0, len(piece), 3):
        fed.append(line.send(piece[at : at + 3]))
        assert len(line.tap._late) <= _LATE_PIECES + 1
    assert b"".join(fed) == piece
    assert (line.tap.last, line.tap.opened, line.tap.fault) == (3, 2, None)


@pytest.mark.parametrize(("kind", "owed"), [(1, True), (9, True), (2, False), (99, False)])
def test_what_is_owed_of_a_frame_is_known_in_the_middle_of_it(kind: int, owed: bool) -> None:
    """A head that comes slowly is judged by it, and other frames are not."""
    line = _Line()
    line.send(line.head(1) + frame(6, b"12345678"))
    if kind == 9:
        line.send(frame(1, b"", 3, 1))
    whole = frame(kind, b"x" * 100, 3, 4)
    for start in (0, 30, 60):
        line.send(whole[start : start + 30])
        assert line.tap.receiving_head() is owed
    line.send(whole[90:])
    assert (line.tap.receiving_head(), line.tap.fault) == (False, None)


def test_a_fault_stops_before_its_frame() -> None:
    line = _Line()
    good = line.head(1)
    assert line.send(good + data(1, b"late") + line.head(3)) == good
    assert line.tap.fault == (0, Code.STREAM_CLOSED)


@pytest.mark.parametrize("used", [3, 7])
def test_a_stream_that_was_skipped_is_told_from_one_that_ended(used: int) -> None:
    line = _Line()
    line.send(line.head(3) + line.head(7))
    line.send(line.head(5))
    assert line.tap.fault == (0, Code.PROTOCOL_ERROR)
    line.tap.fault = None
    line.send(line.head(used))
    assert line.tap.fault == (0, Code.STREAM_CLOSED)


def test_what_comes_late_for_a_stream_we_reset_is_no_fault() -> None:
    line = _Line()
    line.send(line.head(1, POST, False))
    line.tap.abandon(1)
    assert line.send(data(1, b"late")) == data(1, b"late")
    assert line.tap.fault is None


def test_streams_we_reset_are_not_remembered_for_ever() -> None:
    line = _Line()
    for i in range(2_000):
        line.send(line.head(1 + 2 * i, POST, False))
        line.tap.abandon(1 + 2 * i)
    assert len(line.tap._open) <= 256


def test_a_huge_window_update_is_left_to_the_engine() -> None:
    line = _Line()
    line.send(line.head(1, POST, False))
    piece = window(1, 1 << 30)
    assert line.send(piece + data(1, b"x")) == b""
    assert line.tap.fault == (1, 1 << 30)
    assert line.tap.rest == piece + data(1, b"x")


@pytest.mark.parametrize(
    ("unit", "wait"),
    [
        (lambda i, head: head(1 + 2 * i) + rst(1 + 2 * i), 1 / 30),
        (lambda i, head: frame(6, b"12345678"), 1 / 190),
        (lambda i, head: window(0, 1), 1 / 900),
        (lambda i, head: data(1, b"") if i else head(1, POST, False), 1.1),
    ],
    ids=["resets", "pings", "window-updates", "empty-data"],
)
def test_a_steady_rate_below_the_limit_goes_on_for_ever(unit: object, wait: float) -> None:
    line = _Line()
    for i in range(5_000):
        line.send(unit(i, line.head), wait)  # type: ignore[operator]
        assert line.tap.fault is None


def test_streams_served_to_their_end_make_up_for_resets() -> None:
    line = _Line()
    for i in range(3_000):
        line.send(line.head(1 + 2 * i) + (rst(1 + 2 * i) if i % 4 == 0 else b""))
        if i % 4:
            line.tap.served()
    assert line.tap.fault is None


def test_a_little_padding_is_no_flood() -> None:
    line = _Line()
    line.send(line.head(1, POST, False))
    for _ in range(5_000):
        line.send(frame(0, b"\x10" + b"x" * 100 + b"\0" * 16, 1, 8))
    assert line.tap.fault is None


def test_a_head_of_more_than_the_bound_is_refused_before_it_is_decoded() -> None:
    line = _Line()
    line.send(frame(1, line.head.block(GET), 1, 1))
    fed = sum(len(line.send(frame(9, b"x" * 16384, 1))) for _ in range(5))
    assert line.tap.fault == (0, Code.ENHANCE_YOUR_CALM)
    assert fed <= 4 * 16393


@pytest.mark.parametrize(("sizes", "wait"), [((5,), 0.0), ((1, 16), 0.0), ((1, 1, 40), 0.0), ((1,), 0.011)])
def test_small_pieces_of_a_body_are_no_flood(sizes: tuple[int, ...], wait: float) -> None:
    """Messages of gRPC have five bytes at least; keys are typed more slowly than a hundred a second."""
    line = _Line()
    line.send(line.head(1, POST, False))
    for i in range(5_000):
        line.send(data(1, b"x" * sizes[i % len(sizes)]), wait)
    assert line.tap.fault is None


def test_single_bytes_of_many_streams_count_together() -> None:
    line = _Line()
    line.send(b"".join(line.head(1 + 2 * i, POST, False) for i in range(100)))
    sent = 0
    while line.tap.fault is None:
        line.send(data(1 + 2 * (sent % 100), b"x"))
        sent += 1
    assert (line.tap.fault, sent) == ((0, Code.ENHANCE_YOUR_CALM), 1_001)

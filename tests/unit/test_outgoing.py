"""What connections write in a turn leaves together at its end, each in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import outgoing as subject
from edge.outgoing import PIECES, SMALL_BYTES, TOGETHER, Outgoing, _Together, outgoing


class Loop:
    """`call_soon` and what it was given."""

    def __init__(self) -> None:
        self.soon: list[Callable[[], None]] = []
        self.told: list[Any] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.told.append(context["exception"])

    def turn(self) -> None:
        soon, self.soon = self.soon, []
        for callback in soon:
            callback()


class Made(asyncio.Transport):
    """Notes what reaches it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Any] = []
        self.queued = 0
        self.closing = False
        self.broken = False
        self.on_write: Callable[[], None] | None = None

    def write(self, data: Any) -> None:
        if self.broken:
            raise RuntimeError("broken")
        self.calls.append(bytes(data))
        if self.on_write is not None:
            on_write, self.on_write = self.on_write, None
            on_write()

    def writelines(self, list_of_data: Any) -> None:
        self.calls.append([bytes(data) for data in list_of_data])

    def write_eof(self) -> None:
        self.calls.append("eof")

    def close(self) -> None:
        self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("abort")

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return self.queued


def world(count: int) -> tuple[Loop, list[Made], list[Outgoing]]:
    loop = Loop()
    together = _Together(loop)  # type: ignore[arg-type]
    made = [Made() for _ in range(count)]
    return loop, made, [Outgoing(each, together) for each in made]


def test_pieces_of_a_turn_leave_as_one_when_it_ends() -> None:
    loop, (made,), (sent,) = world(1)
    sent.write(b"head")
    sent.write(b"body")
    assert made.calls == []
    assert sent.get_write_buffer_size() == 8
    loop.turn()
    assert made.calls == [b"headbody"]
    sent.write(b"next")
    loop.turn()
    assert made.calls == [b"headbody", b"next"]


def test_one_wake_of_the_loop_serves_all_connections() -> None:
    loop, made, sent = world(5)
    for index, each in enumerate(sent):
        each.write(b"%d" % index)
    assert len(loop.soon) == 1
    loop.turn()
    assert [each.calls for each in made] == [[b"%d" % index] for index in range(5)]


def test_a_large_piece_takes_along_what_waits_and_is_not_held() -> None:
    loop, (made,), (sent,) = world(1)
    large = b"x" * (SMALL_BYTES + 1)
    sent.write(large)
    sent.write(b"head")
    sent.write(large)
    assert made.calls == [large, [b"head", large]]
    loop.turn()
    assert len(made.calls) == 2


def test_many_small_pieces_are_not_kept_waiting() -> None:
    _, (made,), (sent,) = world(1)
    for _ in range(PIECES + 1):
        sent.write(b"x")
    assert made.calls == [b"x" * (PIECES + 1)]


def test_in_a_long_turn_the_first_leave_before_it_ends() -> None:
    loop, made, sent = world(TOGETHER + 1)
    for each in sent:
        each.write(b"x")
    assert sum(bool(each.calls) for each in made) == TOGETHER
    loop.turn()
    assert [each.calls for each in made] == [[b"x"]] * (TOGETHER + 1)


def test_who_would_be_told_to_pause_is_not_called_in_the_middle_of_another() -> None:
    loop, made, sent = world(3 * TOGETHER)
    for each in made[:TOGETHER]:
        each.queued = 1
    for each in sent:
        each.write(b"x")
    assert all(each.calls == [] for each in made[:TOGETHER])
    assert all(each.calls == [b"x"] for each in made[TOGETHER : 2 * TOGETHER])
    loop.turn()
    assert [each.calls for each in made] == [[b"x"]] * (3 * TOGETHER)


def test_bytes_for_a_connection_that_is_lost_meanwhile_are_dropped() -> None:
    loop, (made,), (sent,) = world(1)
    sent.write(b"late")
    made.closing = True
    loop.turn()
    assert made.calls == []


def test_one_that_fails_does_not_keep_the_others_from_leaving() -> None:
    loop, made, sent = world(3)
    made[1].broken = True
    for each in sent:
        each.write(b"x")
    loop.turn()
    assert [each.calls for each in made] == [[b"x"], [], [b"x"]]
    assert [type(error) for error in loop.told] == [RuntimeError]


def test_an_abort_takes_what_waits_along() -> None:
    loop, (made,), (sent,) = world(1)
    sent.write(b"never")
    sent.abort()
    loop.turn()
    assert made.calls == ["abort"]


def test_only_transports_that_write_at_once_are_wrapped() -> None:
    made = Made()
    assert outgoing(made) is made


_step = st.sampled_from([b"a", b"bb", b"c" * (SMALL_BYTES + 1), "turn", "eof", "close"])


@given(st.lists(_step, max_size=60))
def test_bytes_and_ends_arrive_in_the_order_in_which_they_were_given(steps: list[Any]) -> None:
    loop, (made,), (sent,) = world(1)
    for step in steps:
        if step == "turn":
            loop.turn()
        elif step == "eof":
            sent.write_eof()
        elif step == "close":
            sent.close()
        else:
            sent.write(step)
    loop.turn()
    assert _flat(made.calls) == _flat([step for step in steps if step != "turn"])


def _flat(calls: list[Any]) -> list[Any]:
    """Bytes one by one, so that only their order counts."""
    found: list[Any] = []
    for call in calls:
        if isinstance(call, str):
            found.append(call)
        else:
            found += list(b"".join(call) if isinstance(call, list) else call)
    return found


@pytest.mark.parametrize("name", ["write_eof", "close"])
def test_an_end_comes_behind_what_waits(name: str) -> None:
    loop, (made,), (sent,) = world(1)
    sent.write(b"last")
    getattr(sent, name)()
    loop.turn()
    assert made.calls == [b"last", {"write_eof": "eof"}.get(name, "close")]


def test_a_process_keeps_one_gathering_for_its_loop() -> None:
    loop = Loop()
    assert subject._together(loop) is subject._together(loop)  # type: ignore[arg-type]


class Secured(Made):
    """A transport whose session takes its last bytes and the goodbye at once."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self if name == "ssl_object" else default

    def is_closing(self) -> bool:
        return self.closing

    def write_last(self, data: bytes) -> None:
        self.calls.append(("last", data))


def test_the_last_bytes_of_a_tls_connection_go_with_its_goodbye() -> None:
    made = Secured()
    ending = Outgoing(made, _Together(Loop()))  # type: ignore[arg-type]
    ending.write(b"he")
    ending.write(b"llo")
    ending.close()
    ending.leave()
    assert made.calls == [("last", b"hello"), "close"]
    idle = Outgoing(made, _Together(Loop()))  # type: ignore[arg-type]
    made.calls.clear()
    idle.close()
    assert made.calls == ["close"]
    gone = Outgoing(made, _Together(Loop()))  # type: ignore[arg-type]
    gone.write(b"late")
    made.closing = True
    made.calls.clear()
    gone.close()
    assert made.calls == ["close"]


def test_who_flushes_at_the_end_leaves_with_the_same_turn() -> None:
    loop, (first, second), (one, other) = world(2)
    order: list[str] = []

    def flush() -> None:
        order.append("flush")
        other.write(b"answer")

    one.write(b"request")
    other.at_end(flush)
    other.at_end(lambda: other.at_end(lambda: order.append("next turn")))
    assert len(loop.soon) == 1
    loop.turn()
    assert order == ["flush"]
    assert (first.calls, second.calls) == ([b"request"], [b"answer"])
    assert len(loop.soon) == 1
    loop.turn()
    assert order == ["flush", "next turn"]
    assert loop.soon == []


def test_a_flush_that_fails_stops_no_other() -> None:
    loop, (made,), (sent,) = world(1)
    broken = ValueError("broken")

    def fail() -> None:
        raise broken

    sent.at_end(fail)
    sent.at_end(lambda: sent.write(b"x"))
    loop.turn()
    assert loop.told == [broken]
    assert made.calls == [b"x"]
    sent.write(b"y")
    loop.turn()
    assert made.calls == [b"x", b"y"]


def test_portions_of_much_work_are_done_one_a_turn_after_what_others_wrote() -> None:
    loop, (busy, other), (much, little) = world(2)
    left: list[bytes] = []

    def portion(name: bytes) -> Callable[[], None]:
        def work() -> None:
            left.append(name)
            much.write(name)

        return work

    for name in (b"a", b"b", b"c"):
        much.in_turn(portion(name))
    for turns in (1, 2, 3):
        little.write(b"x")
        little.at_end(lambda: left.append(b"flush"))
        loop.turn()
        assert busy.calls == [b"a", b"b", b"c"][:turns]
        assert other.calls == [b"x"] * turns
    assert left == [b"flush", b"a", b"flush", b"b", b"flush", b"c"]
    assert loop.soon == []


def test_a_portion_that_asks_for_another_gets_it_in_the_next_turn() -> None:
    loop, _, (sent,) = world(1)
    done: list[str] = []

    def first() -> None:
        done.append("first")
        sent.in_turn(lambda: done.append("second"))

    sent.in_turn(first)
    loop.turn()
    assert done == ["first"]
    loop.turn()
    assert (done, loop.soon) == (["first", "second"], [])


def test_a_portion_that_fails_keeps_nobody_from_theirs() -> None:
    loop, (made,), (sent,) = world(1)
    broken = ValueError("broken")

    def fail() -> None:
        raise broken

    sent.in_turn(fail)
    sent.in_turn(lambda: sent.write(b"x"))
    loop.turn()
    loop.turn()
    assert (loop.told, made.calls) == ([broken], [b"x"])


def test_what_waits_can_be_taken_back_by_its_first_piece_only() -> None:
    loop, (made,), (sent,) = world(1)
    first, second = b"".join([b"he", b"ad"]), b"body"
    sent.write(first)
    sent.write(second)
    assert not sent.take_back(second)
    assert sent.take_back(first)
    assert not sent.take_back(first)
    sent.write(b"next")
    loop.turn()
    assert made.calls == [b"next"]
    assert not sent.take_back(b"next")


@pytest.mark.parametrize("kind", ["at_end", "in_turn", "write"])
def test_a_turn_that_is_called_while_bytes_leave_is_the_only_one(kind: str) -> None:
    """Or each would do a portion and call another, and the portions of all were done in one turn."""
    loop, (_, calls_back), (much, other) = world(2)
    done: list[str] = []
    for _ in range(20):
        much.in_turn(lambda: done.append("portion"))
    for turns in range(1, 5):
        calls_back.on_write = lambda: getattr(other, kind)(b"y" if kind == "write" else lambda: None)
        other.write(b"x")
        loop.turn()
        assert (len(done), len(loop.soon)) == (turns, 1), "a portion a turn, however busy others are"
    for _ in range(20):
        loop.turn()
    assert (len(done), loop.soon) == (20, [])


def test_what_a_portion_wrote_calls_back_into_the_turn_that_is_called() -> None:
    loop, (calls_back, other), (much, little) = world(2)
    for _ in range(3):
        much.in_turn(lambda: much.write(b"p"))
    other.on_write = lambda: little.at_end(lambda: None)
    calls_back.on_write = lambda: much.write(b"q")
    little.write(b"x")
    loop.turn()
    assert (calls_back.calls, len(loop.soon)) == ([b"p"], 1)
    loop.turn()
    assert (calls_back.calls, len(loop.soon)) == ([b"p", b"q", b"p"], 1)

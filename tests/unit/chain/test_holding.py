"""Pausing, buffers, ends, trailers, splices, back-pressure."""

from __future__ import annotations

import pytest

from edge.chain.filter import Action, Direction, LocalReply, Phase
from tests.unit.chain.scripted import REQUEST, RESPONSE, Scripted, ScriptedFilter, Stage, Step

PAUSE = Action.PAUSE
CONTINUE = Action.CONTINUE


def until_end(actor: ScriptedFilter) -> Action:
    """The idiom of body filters."""
    return CONTINUE if actor.end else PAUSE


def rewrites(direction: Direction, data: bytes) -> Step:
    """At the end of the body, put `data` in place of all of it."""

    def step(actor: ScriptedFilter) -> Action:
        if not actor.end:
            return PAUSE
        body = actor.port.body(direction)
        assert body is not None
        body.splice(0, len(body), data)
        return CONTINUE

    return step


def test_a_held_head_holds_the_body_too_and_the_body_meets_the_filter_when_it_moves() -> None:
    stage = Stage(Scripted("a", request_head=[PAUSE]), Scripted("b"))
    stage.ask(end=False)
    stage.run.request_data(b"abc", False)
    stage.run.request_data(b"de", True)
    assert stage.host.calls == [] and stage.log == ["a request_head"]
    assert stage.bound[0].filter.port.body(REQUEST) is None
    stage.bound[0].filter.port.resume(REQUEST)
    stage.host.turn()
    assert stage.log == [
        "a request_head",
        "b request_head",
        "a request_data 5 end",
        "b request_data 5 end",
    ]
    assert stage.host.calls == ["request_head", "request_data 5 end"]


def test_a_held_head_with_trailers_behind_it_moves_in_order() -> None:
    stage = Stage(Scripted("a", response_head=[PAUSE]))
    stage.ask()
    stage.answer(end=False)
    stage.run.response_data(b"abc", False)
    stage.run.response_trailers([(b"t", b"1")])
    stage.bound[0].filter.port.resume(RESPONSE)
    stage.host.turn()
    assert stage.log[1:] == ["a response_head", "a response_data 3", "a response_trailers"]
    assert stage.host.calls[1:] == ["response_head 200", "response_data 3", "response_trailers"]


def test_resume_inside_the_callback_beats_the_pause_it_returns() -> None:
    def step(actor: ScriptedFilter) -> Action:
        actor.port.resume(REQUEST)
        return PAUSE

    stage = Stage(Scripted("a", request_head=[step]))
    stage.ask()
    assert stage.host.calls == ["request_head end"]


def test_a_resume_that_was_not_needed_does_not_lift_a_later_pause() -> None:
    def step(actor: ScriptedFilter) -> Action:
        actor.port.resume(REQUEST)
        return CONTINUE

    stage = Stage(Scripted("a", request_head=[step], request_data=[PAUSE]))
    stage.ask(end=False)
    stage.run.request_data(b"abc", True)
    stage.host.turn()
    assert stage.host.calls == ["request_head"]


def test_a_data_callback_sees_the_total_and_its_continue_flushes_all() -> None:
    stage = Stage(Scripted("a", request_data=[PAUSE, PAUSE, CONTINUE, PAUSE]))
    stage.ask(end=False)
    for chunk in (b"ab", b"cd", b"e"):
        stage.run.request_data(chunk, False)
    assert stage.host.request_body == b"abcde"
    stage.run.request_data(b"f", False)
    assert stage.log[1:] == ["a request_data 2", "a request_data 4", "a request_data 5", "a request_data 1"]


def test_the_end_comes_even_with_an_empty_last_chunk() -> None:
    stage = Stage(Scripted("a", request_data=[until_end, until_end]))
    stage.ask(end=False)
    stage.run.request_data(b"ab", False)
    stage.run.request_data(b"", True)
    assert stage.log[1:] == ["a request_data 2", "a request_data 2 end"]
    assert stage.host.calls[-1] == "request_data 2 end"


def test_an_empty_chunk_that_is_not_the_end_is_nothing() -> None:
    stage = Stage(Scripted("a"))
    stage.ask(end=False)
    stage.run.request_data(b"", False)
    assert stage.log == ["a request_head"] and stage.host.calls == ["request_head"]


def test_trailers_release_what_was_buffered() -> None:
    stage = Stage(Scripted("a", request_data=[PAUSE]), Scripted("b"))
    stage.ask(end=False)
    stage.run.request_data(b"ab", False)
    stage.run.request_trailers([(b"t", b"1")])
    assert stage.log[2:] == [
        "a request_data 2",
        "a request_trailers",
        "b request_data 2",
        "b request_trailers",
    ]
    assert stage.host.calls[-2:] == ["request_data 2", "request_trailers"]


def test_held_trailers_keep_the_buffer_too() -> None:
    stage = Stage(Scripted("a", request_data=[PAUSE], request_trailers=[PAUSE]))
    stage.ask(end=False)
    stage.run.request_data(b"ab", False)
    stage.run.request_trailers([(b"t", b"1")])
    assert stage.host.request_body == b""
    stage.bound[0].filter.port.resume(REQUEST)
    stage.host.turn()
    assert stage.host.calls[-2:] == ["request_data 2", "request_trailers"]


def test_a_filter_without_trailers_callback_gets_the_end_with_its_data() -> None:
    phases = Phase.REQUEST_DATA
    stage = Stage(Scripted("a", phases, request_data=[until_end, until_end]))
    stage.ask(end=False)
    stage.run.request_data(b"ab", False)
    stage.run.request_trailers([(b"t", b"1")])
    assert stage.log == ["a request_data 2", "a request_data 2 end"]
    assert stage.host.calls[-2:] == ["request_data 2", "request_trailers"]

    stage = Stage(Scripted("a", phases, request_data=[PAUSE, PAUSE]))
    stage.ask(end=False)
    stage.run.request_data(b"ab", False)
    stage.run.request_trailers([(b"t", b"1")])
    assert stage.host.calls == ["request_head", "request_needs_body"]
    stage.bound[0].filter.port.resume(REQUEST)
    stage.host.turn()
    assert stage.host.calls[-2:] == ["request_data 2", "request_trailers"]


def test_trailers_can_be_created_in_the_last_data_callback() -> None:
    def create(actor: ScriptedFilter) -> Action:
        actor.port.set_response_trailers([(b"x", b"1")])
        return CONTINUE

    stage = Stage(Scripted("a"), Scripted("b", response_data=[create, create]))
    stage.ask()
    stage.answer(end=False)
    stage.run.response_data(b"ab", False)
    stage.run.response_data(b"cd", True)
    assert stage.log[4:] == [
        "b response_data 2",
        "a response_data 2",
        "b response_data 2 end",
        "a response_data 2",
        "a response_trailers",
    ]
    assert stage.host.response_trailers == [(b"x", b"1")] and stage.host.response_body == b"abcd"


def test_trailers_created_before_a_pause_go_out_when_it_ends() -> None:
    def create(actor: ScriptedFilter) -> Action:
        actor.port.set_request_trailers([(b"x", b"1")])
        return PAUSE

    stage = Stage(Scripted("a", request_data=[create]))
    stage.ask(end=False)
    stage.run.request_data(b"ab", True)
    stage.bound[0].filter.port.resume(REQUEST)
    stage.host.turn()
    assert stage.host.calls[-2:] == ["request_data 2", "request_trailers"]
    assert stage.host.request_trailers == [(b"x", b"1")]


def test_trailers_cannot_be_created_elsewhere() -> None:
    def create(actor: ScriptedFilter) -> Action:
        actor.port.set_request_trailers([(b"x", b"1")])
        return CONTINUE

    stage = Stage(Scripted("a", request_head=[create], request_data=[create]))
    stage.ask(end=False)
    stage.run.request_data(b"ab", False)
    stage.run.request_data(b"", True)
    assert stage.host.calls[-1] == "request_data 0 end" and stage.host.request_trailers is None


def test_two_filters_hold_at_once_and_nothing_is_mixed_up() -> None:
    stage = Stage(
        Scripted("a", request_data=[PAUSE]), Scripted("b", request_head=[PAUSE], request_data=[PAUSE])
    )
    stage.ask(end=False)
    stage.run.request_data(b"ab", True)
    stage.bound[0].filter.port.resume(REQUEST)
    stage.host.turn()
    assert stage.host.calls == []
    stage.bound[1].filter.port.resume(REQUEST)
    stage.host.turn()
    assert stage.log[-1] == "b request_data 2 end" and stage.host.request_body == b""
    stage.bound[1].filter.port.resume(REQUEST)
    stage.host.turn()
    assert stage.host.request_body == b"ab" and stage.host.request_ended


def test_a_request_body_over_the_limit_is_413_and_passes_every_filter() -> None:
    stage = Stage(Scripted("a"), Scripted("b", body_bytes=8, request_data=[PAUSE, PAUSE, PAUSE]))
    stage.ask(end=False)
    stage.run.request_data(b"x" * 8, False)
    assert "reply_won 413" not in stage.host.calls
    stage.run.request_data(b"x", False)
    assert stage.host.calls[:4] == [
        "request_head",
        "request_needs_body",
        "reply_won 413",
        "response_head 413",
    ]
    assert "b response_head" in stage.log and stage.run.flag == "LM"


def test_the_smallest_limit_of_a_chain_counts_for_what_all_hold() -> None:
    stage = Stage(
        Scripted("a", body_bytes=8, request_data=[CONTINUE, PAUSE]),
        Scripted("b", request_data=[PAUSE]),
    )
    stage.ask(end=False)
    stage.run.request_data(b"x" * 5, False)
    stage.run.request_data(b"x" * 5, False)
    assert "reply_won 413" in stage.host.calls


def test_a_response_body_over_the_limit_resets_as_its_head_is_out() -> None:
    stage = Stage(Scripted("a", body_bytes=8, response_data=[PAUSE]))
    stage.ask()
    stage.answer(end=False)
    stage.run.response_data(b"x" * 9, False)
    assert stage.host.calls[-1] == "reset LM"


def test_a_response_body_over_the_limit_is_500_while_its_head_is_held() -> None:
    stage = Stage(Scripted("a", response_head=[PAUSE]), Scripted("b", body_bytes=8, response_data=[PAUSE]))
    stage.ask()
    stage.answer(end=False)
    stage.run.response_data(b"x" * 9, False)
    assert stage.host.calls[1:3] == ["reply_won 500", "response_head 500"]
    assert stage.log[-2:] == ["a response_head", "a response_data 14 end"]


@pytest.mark.parametrize("direction", [REQUEST, RESPONSE])
def test_reading_stops_at_64_kib_unread_behind_a_held_head(direction: Direction) -> None:
    side = ("request", "response")[direction]
    stage = Stage(Scripted("a", **{f"{side}_head": [PAUSE]}))
    stage.ask(end=False)
    stage.answer(end=False)
    push = (stage.run.request_data, stage.run.response_data)[direction]
    push(b"x" * 65535, False)
    assert not stage.host.paused[side]
    push(b"x", False)
    assert stage.host.paused[side]
    push(b"x" * 100, False)
    stage.bound[0].filter.port.resume(direction)
    stage.host.turn()
    assert not stage.host.paused[side]
    assert len((stage.host.request_body, stage.host.response_body)[direction]) == 65636


def test_while_a_filter_buffers_reading_goes_on() -> None:
    stage = Stage(Scripted("a", request_data=[PAUSE] * 20))
    stage.ask(end=False)
    for _ in range(16):
        stage.run.request_data(b"x" * 65536, False)
    assert stage.host.calls == ["request_head", "request_needs_body"]
    stage.run.request_data(b"x", False)
    assert stage.host.calls[2] == "reply_won 413"


def test_a_source_that_was_paused_reads_on_when_a_reply_wins() -> None:
    stage = Stage(Scripted("a", request_head=[PAUSE]))
    stage.ask(end=False)
    stage.run.request_data(b"x" * 70000, False)
    assert stage.host.paused["request"]
    stage.bound[0].filter.port.reply(LocalReply(403, [], b""))
    stage.host.turn()
    assert stage.host.calls == [
        "pause_request_source",
        "resume_request_source",
        "reply_won 403",
        "response_head 403 end",
    ]


def test_a_source_may_push_from_inside_resume() -> None:
    stage = Stage(Scripted("a", request_head=[PAUSE]))
    stage.ask(end=False)
    stage.run.request_data(b"x" * 70000, False)
    stage.host.on["resume_request_source"] = lambda: stage.run.request_data(b"tail", True)
    stage.bound[0].filter.port.resume(REQUEST)
    stage.host.turn()
    assert stage.host.request_body == b"x" * 70000 + b"tail" and stage.host.request_ended


def test_a_body_of_another_size_costs_a_held_head_its_length() -> None:
    stage = Stage(
        Scripted("b", request_data=[rewrites(REQUEST, b"longer")]), Scripted("a", request_head=[PAUSE])
    )
    stage.ask(end=False, length=3)
    stage.run.request_data(b"abc", True)
    stage.bound[1].filter.port.resume(REQUEST)
    stage.host.turn()
    assert stage.host.request is not None and stage.host.request.length is None
    assert stage.host.request_body == b"longer"


def test_a_body_of_another_size_resets_when_the_head_left_with_a_length() -> None:
    stage = Stage(Scripted("a", response_data=[rewrites(RESPONSE, b"longer")]))
    stage.ask()
    stage.answer(end=False, length=3)
    stage.run.response_data(b"abc", True)
    assert stage.host.calls == ["request_head end", "response_head 200", "reset FE"]
    assert stage.run.failure is not None and "content-length 3" in stage.run.failure.detail


@pytest.mark.parametrize("new", [b"xyz", b"longer"])
def test_a_rewritten_body_that_fits_its_head_goes_out(new: bytes) -> None:
    def promise(actor: ScriptedFilter) -> Action:
        assert actor.port.response is not None
        actor.port.response.length = len(new)
        return CONTINUE

    stage = Stage(
        Scripted(
            "a", response_head=[promise], response_data=[rewrites(RESPONSE, new), rewrites(RESPONSE, new)]
        )
    )
    stage.ask()
    stage.answer(end=False, length=3)
    stage.run.response_data(b"ab", False)
    stage.run.response_data(b"c", True)
    assert stage.host.response_body == new and stage.host.response_ended


def test_splices_are_clipped_and_can_prepend_insert_and_append() -> None:
    def edit(actor: ScriptedFilter) -> Action:
        body = actor.port.body(REQUEST)
        assert body is not None and body.read(1, 99) == b"bcd"
        body.splice(0, 0, b"<")
        body.splice(99, 99, b">")
        body.splice(2, 1, b"--")
        return CONTINUE

    stage = Stage(Scripted("a", request_data=[edit]))
    stage.ask(end=False)
    stage.run.request_data(b"abcd", True)
    assert stage.host.request_body == b"<a--cd>"


def test_a_filter_that_blows_up_the_body_is_stopped_with_500() -> None:
    stage = Stage(Scripted("a"), Scripted("b", body_bytes=10, request_data=[rewrites(REQUEST, b"x" * 11)]))
    stage.ask(end=False)
    stage.run.request_data(b"abc", True)
    assert stage.host.calls[:3] == ["request_head", "reply_won 500", "response_head 500"]
    assert stage.host.request_body == b""


def test_a_filter_may_swallow_a_chunk() -> None:
    def swallow(actor: ScriptedFilter) -> Action:
        body = actor.port.body(REQUEST)
        assert body is not None
        body.splice(0, len(body), b"")
        return CONTINUE

    stage = Stage(Scripted("a", request_data=[swallow, swallow]), Scripted("b"))
    stage.ask(end=False)
    stage.run.request_data(b"abc", False)
    stage.run.request_data(b"abc", True)
    assert stage.log[2:] == ["a request_data 3", "a request_data 3 end", "b request_data 0 end"]
    assert stage.host.calls == ["request_head", "request_data 0 end"]


def test_a_head_is_open_only_where_it_is() -> None:
    seen: list[tuple[str, bool, bool]] = []

    def look(actor: ScriptedFilter) -> Action:
        port = actor.port
        seen.append((actor.bound.name, port.head_is_open(REQUEST), port.head_is_open(RESPONSE)))
        return CONTINUE

    scripts = {name: [look] for name in ("request_head", "request_data", "response_head", "response_data")}
    stage = Stage(Scripted("a", **scripts), Scripted("b", **scripts))
    stage.ask(end=False)
    stage.run.request_data(b"x", True)
    stage.answer(end=False)
    stage.run.response_data(b"x", True)
    assert seen == [
        ("a", True, False),
        ("b", True, False),
        ("a", False, False),
        ("b", False, False),
        ("b", False, True),
        ("a", False, True),
        ("b", False, False),
        ("a", False, False),
    ]


def test_a_held_head_stays_open_for_its_filter_until_it_moves() -> None:
    stage = Stage(Scripted("a"), Scripted("b", request_head=[PAUSE]), Scripted("c"))
    stage.ask()
    a, b = (bound.filter.port for bound in stage.bound[:2])
    assert b.head_is_open(REQUEST) and not a.head_is_open(REQUEST)
    b.resume(REQUEST)
    stage.host.turn()
    assert not b.head_is_open(REQUEST)


def test_one_filter_may_resume_another_of_its_exchange() -> None:
    stage = Stage(Scripted("a", request_data=[PAUSE]), Scripted("b"))

    def free(actor: ScriptedFilter) -> Action:
        stage.bound[0].filter.port.resume(REQUEST)
        return CONTINUE

    stage.bound[1].script["response_head"] = [free]
    stage.ask(end=False)
    stage.run.request_data(b"abc", True)
    assert stage.host.request_body == b""
    stage.answer()
    assert stage.host.request_body == b"abc" and stage.host.request_ended


def test_trailers_can_be_replaced_by_none() -> None:
    def clear(actor: ScriptedFilter) -> Action:
        actor.port.set_request_trailers([])
        return CONTINUE

    stage = Stage(Scripted("a", request_trailers=[clear]))
    stage.ask(end=False)
    stage.run.request_trailers([(b"t", b"1")])
    assert stage.host.request_trailers == []

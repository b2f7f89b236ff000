"""How long a filter may hold an exchange."""

from __future__ import annotations

from edge.chain.filter import Action
from tests.unit.chain.scripted import REQUEST, RESPONSE, Scripted, ScriptedFilter, Stage

PAUSE = Action.PAUSE


def waits_then_pauses(actor: ScriptedFilter) -> Action:
    actor.port.waiting(1)
    return PAUSE


def test_a_held_head_expires_with_504_that_passes_every_filter() -> None:
    stage = Stage(Scripted("a"), Scripted("b", request_head=[PAUSE]))
    stage.ask(end=False)
    assert stage.host.deadline == stage.host.time + 5
    stage.pass_time(5)
    assert stage.host.calls[:2] == ["reply_won 504", "response_head 504"]
    assert stage.log[2:4] == ["b response_head", "a response_head"] and stage.run.flag == "FP"
    assert stage.host.deadline is None


def test_a_filter_that_fails_open_is_passed_over_when_it_expires() -> None:
    stage = Stage(Scripted("a", fail_open=True, pause_s=2.0, request_head=[PAUSE]))
    stage.ask(end=False)
    stage.run.request_data(b"abc", True)
    stage.pass_time(1.9)
    assert stage.host.calls == []
    stage.pass_time(0.2)
    assert stage.host.calls == ["request_head", "request_data 3 end"] and stage.run.failure is None


def test_the_clock_stands_still_while_a_callout_is_pending() -> None:
    stage = Stage(Scripted("a", request_head=[waits_then_pauses]))
    stage.ask()
    assert stage.host.deadline is None
    stage.pass_time(60)
    stage.bound[0].filter.port.waiting(-1)
    assert stage.host.deadline == stage.host.time + 5
    stage.pass_time(3)
    stage.bound[0].filter.port.waiting(1)
    assert stage.host.deadline is None
    stage.pass_time(60)
    stage.bound[0].filter.port.waiting(-1)
    assert stage.host.deadline == stage.host.time + 2
    stage.pass_time(2)
    assert stage.host.calls[0] == "reply_won 504"


def test_the_clock_stands_still_while_a_buffering_filter_waits_for_body() -> None:
    stage = Stage(Scripted("a", request_data=[PAUSE, PAUSE]))
    stage.ask(end=False)
    stage.run.request_data(b"x", False)
    assert stage.host.deadline is None
    stage.run.request_data(b"", True)
    assert stage.host.deadline == stage.host.time + 5
    stage.pass_time(5)
    assert "reply_won 504" in stage.host.calls


def test_body_behind_a_held_head_is_none_the_filter_can_get() -> None:
    stage = Stage(Scripted("a", request_head=[PAUSE]))
    stage.ask(end=False)
    stage.pass_time(4)
    stage.run.request_data(b"x", False)
    assert stage.host.deadline == stage.host.time + 1


def test_held_trailers_expire() -> None:
    stage = Stage(Scripted("a", request_trailers=[PAUSE]))
    stage.ask(end=False)
    stage.run.request_trailers([(b"t", b"1")])
    stage.pass_time(5)
    assert "reply_won 504" in stage.host.calls


def test_a_held_response_head_expires_with_504_for_the_filters_before() -> None:
    stage = Stage(Scripted("a"), Scripted("b", response_head=[PAUSE, PAUSE]), Scripted("c"))
    stage.ask()
    stage.answer(end=False)
    stage.pass_time(5)
    assert stage.host.calls[1:3] == ["reply_won 504", "response_head 504"]
    assert stage.log[3:6] == ["c response_head", "b response_head", "a response_head"]


def test_a_response_body_held_too_long_resets() -> None:
    stage = Stage(Scripted("a", response_data=[PAUSE]))
    stage.ask()
    stage.answer(end=False)
    stage.run.response_data(b"x", True)
    stage.pass_time(5)
    assert stage.host.calls[-1] == "reset FP"


def test_a_filter_that_holds_the_504_too_is_overruled() -> None:
    stage = Stage(Scripted("a", request_head=[PAUSE], response_head=[PAUSE, PAUSE, PAUSE]))
    stage.ask()
    stage.pass_time(5)
    assert stage.host.calls == ["reply_won 504"]
    stage.pass_time(5)
    assert stage.host.calls[:2] == ["reply_won 504", "response_head 504"]


def test_each_hold_has_a_clock_of_its_own_and_a_new_hold_a_new_one() -> None:
    stage = Stage(Scripted("a", pause_s=3.0, request_head=[PAUSE], request_data=[PAUSE]))
    stage.ask(end=False)
    stage.run.request_data(b"x", True)
    stage.pass_time(2)
    stage.bound[0].filter.port.resume(REQUEST)
    stage.host.turn()
    assert stage.host.deadline == stage.host.time + 3


def test_the_deadline_goes_when_nothing_is_held() -> None:
    stage = Stage(Scripted("a", response_head=[PAUSE]))
    stage.ask()
    stage.answer()
    assert stage.host.deadline is not None
    stage.bound[0].filter.port.resume(RESPONSE)
    stage.host.turn()
    assert stage.host.deadline is None and stage.host.response_ended


def test_a_timer_that_fires_early_is_set_again() -> None:
    stage = Stage(Scripted("a", request_head=[PAUSE]))
    stage.ask()
    stage.host.time += 1
    stage.host.deadline = None
    stage.run.pause_expired()
    assert stage.host.calls == [] and stage.host.deadline == stage.host.time + 4

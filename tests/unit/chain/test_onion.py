"""The order of callbacks, and the way back of replies."""

from __future__ import annotations

import gc
import weakref

import pytest

from edge.chain.filter import Action, LocalReply, Phase, Port
from edge.chain.run import ChainRun
from edge.errors import FilterTrap, FilterUnavailable
from edge.head import RequestHead
from tests.unit.chain.scripted import REQUEST, RESPONSE, NotingHost, Scripted, ScriptedFilter, Stage, Step


def replies(status: int = 401, body: bytes = b"no") -> Step:
    """A step: reply, whatever the port says to it."""

    def step(actor: ScriptedFilter) -> Action:
        actor.port.reply(LocalReply(status, [(b"x-by", actor.bound.name.encode())], body))
        return Action.REPLY

    return step


def test_the_request_passes_first_to_last_and_the_response_last_to_first() -> None:
    stage = Stage(Scripted("a"), Scripted("b"))
    stage.ask(end=False)
    stage.run.request_data(b"abc", True)
    stage.answer(end=False)
    stage.run.response_data(b"xy", False)
    stage.run.response_trailers([(b"t", b"1")])
    assert stage.finish() == [
        "a request_head",
        "b request_head",
        "a request_data 3 end",
        "b request_data 3 end",
        "b response_head",
        "a response_head",
        "b response_data 2",
        "a response_data 2",
        "b response_trailers",
        "a response_trailers",
        "a done",
        "b done",
    ]
    assert stage.host.calls == [
        "request_head",
        "request_data 3 end",
        "response_head 200",
        "response_data 2",
        "response_trailers",
    ]


def test_a_phase_nobody_wants_is_not_called_and_loses_nothing() -> None:
    stage = Stage(Scripted("a", Phase.RESPONSE_HEAD), Scripted("b", Phase(0)))
    stage.ask(end=False)
    stage.run.request_data(b"abc", False)
    stage.run.request_trailers([(b"t", b"1")])
    stage.answer()
    assert stage.finish() == ["a response_head end", "a done", "b done"]
    assert stage.host.request_body == b"abc"
    assert stage.host.request_trailers == [(b"t", b"1")]


def test_an_empty_chain_passes_everything_on() -> None:
    stage = Stage()
    stage.ask()
    stage.answer()
    assert stage.host.calls == ["request_head end", "response_head 200 end"]


def test_a_reply_in_the_request_passes_only_the_filters_before_its_sender() -> None:
    stage = Stage(Scripted("a"), Scripted("b", request_head=[replies()]), Scripted("c"))
    stage.ask()
    assert stage.finish() == [
        "a request_head end",
        "b request_head end",
        "a response_head",
        "a response_data 2 end",
        "a done",
        "b done",
    ]
    assert stage.host.calls == ["reply_won 401", "response_head 401", "response_data 2 end"]
    assert stage.host.response is not None and stage.host.response.length == 2


def test_a_reply_in_the_response_replaces_it_while_its_head_is_not_out() -> None:
    stage = Stage(Scripted("a"), Scripted("b", response_head=[replies(500)]), Scripted("c"))
    stage.ask()
    stage.answer(end=False)
    stage.run.response_data(b"secret", True)
    assert stage.host.calls == [
        "request_head end",
        "reply_won 500",
        "response_head 500",
        "response_data 2 end",
    ]
    assert stage.log[3:] == ["c response_head", "b response_head", "a response_head", "a response_data 2 end"]
    assert stage.host.response_body == b"no"


def test_a_reply_after_the_response_head_left_resets() -> None:
    stage = Stage(Scripted("a"), Scripted("b", response_data=[replies(500)]))
    stage.ask()
    stage.answer(end=False)
    stage.run.response_data(b"x", True)
    assert stage.host.calls == ["request_head end", "response_head 200", "reset FR"]
    assert stage.run.flag == "FR"


def test_a_reply_from_request_data_replaces_an_early_response_that_is_held() -> None:
    stage = Stage(Scripted("a", response_head=[Action.PAUSE]), Scripted("b", request_data=[replies(403)]))
    stage.ask(end=False)
    stage.answer()
    stage.run.request_data(b"bad", False)
    assert stage.host.calls == ["request_head", "reply_won 403", "response_head 403", "response_data 2 end"]
    assert stage.log.count("a response_head") == 1 and stage.log.count("a response_head end") == 1


def test_exactly_one_reply_wins_and_a_second_one_does_not_pause() -> None:
    second: list[bool] = []

    def again(actor: ScriptedFilter) -> Action:
        second.append(actor.port.reply(LocalReply(418, [], b"")))
        return Action.REPLY

    stage = Stage(Scripted("a", response_head=[again]), Scripted("b", request_head=[replies()]))
    stage.ask()
    assert second == [False]
    assert stage.host.calls == ["reply_won 401", "response_head 401", "response_data 2 end"]


def test_edges_own_reply_passes_every_filter_whose_request_head_ran() -> None:
    stage = Stage(Scripted("a"), Scripted("b", request_head=[Action.PAUSE]), Scripted("c"))
    stage.ask()
    assert stage.run.reply(LocalReply(504, [], b"", source="edge"))
    assert stage.log == [
        "a request_head end",
        "b request_head end",
        "b response_head end",
        "a response_head end",
    ]
    assert stage.host.calls == ["reply_won 504", "response_head 504 end"]


def test_edges_own_reply_is_refused_when_the_head_is_out_or_nothing_began() -> None:
    stage = Stage(Scripted("a"))
    assert not stage.run.reply(LocalReply(404, [], b""))
    stage.ask()
    stage.answer(end=False)
    assert not stage.run.reply(LocalReply(502, [], b""))
    assert stage.host.calls == ["request_head end", "response_head 200"]


def test_the_host_may_reply_from_inside_the_call_that_gives_it_the_head() -> None:
    stage = Stage(Scripted("a"), Scripted("b"))
    taken: list[bool] = []
    stage.host.on["request_head"] = lambda: taken.append(stage.run.reply(LocalReply(503, [], b"full")))
    stage.ask(end=False)
    stage.run.request_data(b"late", True)
    assert taken == [True]
    assert stage.host.calls == ["request_head", "reply_won 503", "response_head 503", "response_data 4 end"]
    assert stage.log[2:4] == ["b response_head", "a response_head"]


def test_an_upstream_that_answers_inside_the_forward_call_is_served_in_order() -> None:
    stage = Stage(Scripted("a"))

    def at_once() -> None:
        stage.answer(end=False)
        stage.run.response_data(b"hi", True)

    stage.host.on["request_head"] = at_once
    stage.ask()
    assert stage.host.calls == ["request_head end", "response_head 200", "response_data 2 end"]


def test_upstreams_response_is_ignored_once_a_reply_won() -> None:
    stage = Stage(Scripted("a", response_head=[Action.PAUSE]), Scripted("b", request_head=[replies()]))
    stage.ask(end=False)
    stage.answer()
    stage.run.response_data(b"x", True)
    stage.run.request_data(b"x", True)
    stage.bound[0].filter.port.resume(RESPONSE)
    stage.host.turn()
    assert stage.host.calls == ["reply_won 401", "response_head 401", "response_data 2 end"]


def test_a_reply_outside_callbacks_is_carried_out_at_the_end_of_the_turn() -> None:
    stage = Stage(Scripted("a"), Scripted("b", request_head=[Action.PAUSE]))
    stage.ask()
    assert stage.bound[1].filter.port.reply(LocalReply(302, [], b""))
    assert stage.host.calls == []
    stage.host.turn()
    assert stage.host.calls == ["reply_won 302", "response_head 302 end"]
    assert stage.log[2:] == ["a response_head end"]


def test_an_event_that_comes_before_the_turn_ends_finds_the_wishes_carried_out() -> None:
    stage = Stage(Scripted("a", request_head=[Action.PAUSE]))
    stage.ask(end=False)
    stage.bound[0].filter.port.resume(REQUEST)
    stage.run.request_data(b"abc", True)
    assert stage.host.calls == ["request_head", "request_data 3 end"]
    stage.host.turn()
    assert stage.host.calls == ["request_head", "request_data 3 end"]


@pytest.mark.parametrize("status", [0, 100, 101, 199, 600, 999])
def test_a_reply_with_a_status_outside_200_to_599_becomes_500(status: int) -> None:
    stage = Stage(Scripted("a"), Scripted("b", request_head=[replies(status)]))
    stage.ask()
    assert stage.host.calls[:2] == ["reply_won 500", "response_head 500"]
    assert stage.log[2] == "a response_head"


@pytest.mark.parametrize("status", [101, 103, 199, 600, 999])
def test_a_response_made_into_a_status_outside_200_to_599_becomes_500(status: int) -> None:
    def spoil(actor: ScriptedFilter) -> Action:
        assert actor.port.response is not None
        actor.port.response.status = status
        return Action.CONTINUE

    stage = Stage(Scripted("a"), Scripted("b", response_head=[spoil]))
    stage.ask()
    stage.answer()
    assert stage.host.calls[1:3] == ["reply_won 500", "response_head 500"]


@pytest.mark.parametrize("status", [204, 304])
def test_a_reply_that_may_have_no_body_gets_none(status: int) -> None:
    stage = Stage(Scripted("a", request_head=[replies(status)]))
    stage.ask()
    assert stage.host.calls == [f"reply_won {status}", f"response_head {status} end"]
    assert stage.host.response is not None and stage.host.response.length is None


def test_a_reply_to_head_keeps_its_length_and_has_no_body() -> None:
    stage = Stage(Scripted("a", request_head=[replies()]))
    stage.ask(method=b"HEAD")
    assert stage.host.calls == ["reply_won 401", "response_head 401 end"]
    assert stage.host.response is not None and stage.host.response.length == 2


def test_framing_fields_of_a_reply_are_dropped() -> None:
    def step(actor: ScriptedFilter) -> Action:
        fields = [(b"content-length", b"999"), (b"x", b"1"), (b"transfer-encoding", b"chunked")]
        actor.port.reply(LocalReply(200, fields, b"ok"))
        return Action.REPLY

    stage = Stage(Scripted("a", request_head=[step]))
    stage.ask()
    assert stage.host.response is not None and stage.host.response.fields == [(b"x", b"1")]


def test_a_reply_body_over_the_limit_becomes_500() -> None:
    stage = Stage(Scripted("a", body_bytes=10, request_head=[replies(200, b"x" * 11)]))
    stage.ask()
    assert stage.host.calls[:2] == ["reply_won 500", "response_head 500"]


def test_done_comes_once_in_request_order_and_nothing_after_it() -> None:
    stage = Stage(Scripted("a"), Scripted("b", request_head=[Action.PAUSE]), Scripted("c"))
    stage.ask(end=False)
    stage.run.done()
    stage.run.done()
    stage.host.over = True
    port = stage.bound[1].filter.port
    port.resume(REQUEST)
    assert not port.reply(LocalReply(200, [], b""))
    port.reset()
    port.fail(FilterTrap("late", "b"))
    port.waiting(1)
    assert port.property(b"x") is None and not port.set_backend("c")
    stage.run.request_data(b"x", True)
    stage.run.request_trailers([])
    stage.answer()
    stage.run.pause_expired()
    stage.host.turn()
    assert stage.log == ["a request_head", "b request_head", "a done", "b done"]


def test_properties_can_be_read_in_done() -> None:
    stage = Stage(Scripted("a"))
    stage.host.properties[b"response\0code"] = b"200"
    read: list[bytes | None] = []
    stage.ask()
    actor = stage.bound[0].filter
    actor.done = lambda: read.append(actor.port.property(b"response\0code"))  # type: ignore[method-assign]
    stage.finish()
    assert read == [b"200"] and actor.port.property(b"response\0code") is None


def test_in_done_every_filter_knows_the_response_that_the_client_got() -> None:
    stage = Stage(Scripted("a"), Scripted("b", request_head=[replies(401)]))
    stage.ask()
    assert stage.bound[1].filter.port.response is None
    stage.finish()
    assert [bound.filter.port.response is stage.host.response for bound in stage.bound] == [True, True]


def test_a_reset_ends_both_sides_and_only_done_follows() -> None:
    stage = Stage(Scripted("a"), Scripted("b", request_data=[Action.RESET]))
    stage.ask(end=False)
    stage.run.request_data(b"x", False)
    stage.run.request_data(b"y", True)
    stage.answer()
    assert stage.host.calls == ["request_head", "reset FR"]
    assert stage.finish()[-2:] == ["a done", "b done"]


def test_the_backend_may_be_chosen_until_the_request_head_leaves() -> None:
    chosen: list[bool] = []

    def choose(actor: ScriptedFilter) -> Action:
        chosen.append(actor.port.set_backend("blue"))
        return Action.CONTINUE

    stage = Stage(Scripted("a", request_head=[choose], request_data=[choose]))
    stage.ask(end=False)
    stage.run.request_data(b"x", True)
    assert chosen == [True, False] and stage.host.backend == "blue"
    assert stage.run.request_head_left


def test_a_filter_that_cannot_be_had_is_bypassed_only_if_it_fails_open() -> None:
    gone = FilterUnavailable("no instance", "b")
    stage = Stage(Scripted("a"), Scripted("b", fail_open=True, open_error=gone), Scripted("c"))
    stage.ask()
    stage.answer()
    assert stage.finish() == [
        "a request_head end",
        "c request_head end",
        "c response_head end",
        "a response_head end",
        "a done",
        "c done",
    ]
    stage = Stage(Scripted("a"), Scripted("b", open_error=gone), Scripted("c"))
    stage.ask()
    assert stage.host.calls[:2] == ["reply_won 503", "response_head 503"]
    assert stage.run.flag == "FU" and stage.finish()[-1] == "a done"


def test_a_trap_in_open_is_never_passed_over() -> None:
    stage = Stage(Scripted("a", fail_open=True, open_error=FilterTrap("budget", "a", "cpu")))
    stage.ask()
    assert stage.host.calls[0] == "reply_won 503" and stage.run.flag == "FT"


def test_a_trap_fails_the_exchange_whatever_fail_open_says() -> None:
    def trap(actor: ScriptedFilter) -> Action:
        actor.failure = FilterTrap("unreachable", actor.bound.name, "unreachable")
        return Action.FAIL

    stage = Stage(Scripted("a"), Scripted("b", fail_open=True, request_head=[trap]))
    stage.ask()
    assert stage.host.calls[:2] == ["reply_won 503", "response_head 503"]
    assert stage.log[2] == "a response_head" and stage.run.flag == "FT"
    assert stage.finish()[-2:] == ["a done", "b done"]

    stage = Stage(Scripted("a"), Scripted("b", fail_open=True, response_data=[trap]))
    stage.ask()
    stage.answer(end=False)
    stage.run.response_data(b"x", False)
    assert stage.host.calls == ["request_head end", "response_head 200", "reset FT"]


def test_a_trap_on_a_replys_way_replaces_the_reply() -> None:
    def trap(actor: ScriptedFilter) -> Action:
        actor.failure = FilterTrap("unreachable", actor.bound.name)
        return Action.FAIL

    stage = Stage(Scripted("a"), Scripted("b", response_head=[trap]), Scripted("c", request_head=[replies()]))
    stage.ask()
    assert stage.host.calls[:2] == ["reply_won 401", "response_head 503"]
    assert stage.host.response_body != b"no" and stage.run.flag == "FT"


def test_an_unavailable_filter_in_the_middle_is_bypassed_if_it_fails_open() -> None:
    def gone(actor: ScriptedFilter) -> Action:
        actor.failure = FilterUnavailable("lost", actor.bound.name)
        return Action.FAIL

    stage = Stage(Scripted("a", fail_open=True, request_data=[Action.PAUSE, gone]))
    stage.ask(end=False)
    stage.run.request_data(b"ab", False)
    stage.run.request_data(b"cd", True)
    stage.answer()
    assert stage.host.request_body == b"abcd" and stage.host.request_ended
    assert "a response_head end" not in stage.finish()


def test_an_instance_that_dies_elsewhere_fails_the_exchange_at_the_end_of_the_turn() -> None:
    stage = Stage(Scripted("a"), Scripted("b", request_head=[Action.PAUSE]))
    stage.ask()
    stage.bound[1].filter.port.fail(FilterTrap("died", "b"))
    assert stage.host.calls == []
    stage.host.turn()
    assert stage.host.calls[:2] == ["reply_won 503", "response_head 503"]


def test_an_instance_that_dies_when_everything_is_through_changes_nothing() -> None:
    stage = Stage(Scripted("a"))
    stage.ask()
    stage.answer()
    stage.bound[0].filter.port.fail(FilterTrap("died", "a"))
    stage.host.turn()
    assert stage.host.calls == ["request_head end", "response_head 200 end"] and stage.run.failure is None


@pytest.mark.parametrize("sampled", [False, True])
def test_a_finished_exchange_leaves_nothing_for_the_garbage_collector(sampled: bool) -> None:
    class Bare:
        def __init__(self, port: Port) -> None:
            self.port = port
            self.failure = None

        def request_head(self, end: bool) -> Action:
            return Action.PAUSE

        def done(self) -> None: ...

    class Bound(Scripted):
        def open(self, port: Port) -> Bare:  # type: ignore[override]
            bare = Bare(port)
            left.append(weakref.ref(bare))
            return bare

    left: list[weakref.ref[Bare] | weakref.ref[NotingHost]] = []
    host = NotingHost()
    run = ChainRun((Bound("a"),), host, sampled, lambda: 0)
    run.request_head(RequestHead(b"GET", b"http", b"a", b"/", []), True)
    left.append(weakref.ref(host))
    run.done()
    gc.disable()
    try:
        del run, host
        assert [ref() for ref in left] == [None, None]
    finally:
        gc.enable()


def test_a_second_request_head_is_ignored() -> None:
    stage = Stage(Scripted("a"))
    stage.ask()
    stage.run.request_head(RequestHead(b"GET", b"http", b"b", b"/", []), True)
    assert stage.host.calls == ["request_head end"]


def test_a_host_that_ends_the_exchange_inside_a_call_hears_no_more() -> None:
    for call in ("resume_request_source", "reply_won", "response_head"):
        stage = Stage(Scripted("a", request_head=[Action.PAUSE]))
        stage.ask(end=False)
        stage.run.request_data(b"x" * 70000, False)

        def end(stage: Stage = stage) -> None:
            stage.run.done()
            stage.host.over = True

        stage.host.on[call] = end
        stage.bound[0].filter.port.reply(LocalReply(403, [], b"no"))
        stage.host.turn()
        assert stage.host.calls[-1].startswith(call) and stage.log[-1] == "a done"

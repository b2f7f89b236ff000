"""What sampled exchanges leave behind for the trace."""

from __future__ import annotations

from edge.chain.filter import Action, Direction, FilterRecord, LocalReply
from edge.errors import FilterTrap, FilterUnavailable
from tests.unit.chain.scripted import REQUEST, Scripted, ScriptedFilter, Stage


def test_no_record_is_made_unless_sampled() -> None:
    stage = Stage(Scripted("a"))
    stage.ask()
    stage.answer()
    stage.finish()
    assert not stage.run.records and stage.bound[0].filter.port.record is None


def test_one_record_per_filter_and_direction_with_times_in_order() -> None:
    stage = Stage(Scripted("a"), Scripted("b"), sampled=True)
    stage.ask(end=False)
    stage.run.request_data(b"x", True)
    stage.answer()
    stage.finish()
    found = [(r.name, r.position, r.direction, r.decision) for r in stage.run.records]
    assert found == [
        ("a", 0, Direction.REQUEST, "continue"),
        ("b", 1, Direction.REQUEST, "continue"),
        ("b", 1, Direction.RESPONSE, "continue"),
        ("a", 0, Direction.RESPONSE, "continue"),
    ]
    assert all(r.start_ns < r.end_ns and r.wait_ns == 0 for r in stage.run.records)
    assert stage.run.records[0].end_ns > stage.run.records[1].start_ns


def test_the_port_shows_the_record_of_the_callback_under_way() -> None:
    shown: list[FilterRecord | None] = []

    def look(actor: ScriptedFilter) -> Action:
        shown.append(actor.port.record)
        return Action.CONTINUE

    stage = Stage(Scripted("a", request_head=[look], response_head=[look]), sampled=True)
    stage.ask()
    stage.answer()
    assert shown == list(stage.run.records) and len(shown) == 2


def test_a_pause_is_counted_as_waiting_and_forgotten_as_decision_when_it_ends() -> None:
    stage = Stage(Scripted("a", request_head=[Action.PAUSE]), sampled=True)
    stage.ask()
    record = stage.run.records[0]
    assert record.decision == "pause"
    stage.ns += 1000
    stage.bound[0].filter.port.resume(REQUEST)
    stage.host.turn()
    assert record.decision == "continue" and record.wait_ns >= 1000 and record.end_ns > 1000


def test_a_pause_that_never_ended_stays_one() -> None:
    stage = Stage(Scripted("a", request_head=[Action.PAUSE]), sampled=True)
    stage.ask()
    stage.ns += 1000
    stage.finish()
    assert stage.run.records[0].decision == "pause" and stage.run.records[0].wait_ns >= 1000


def test_replies_traps_and_bypasses_are_named() -> None:
    def reply(actor: ScriptedFilter) -> Action:
        actor.port.reply(LocalReply(401, [], b""))
        return Action.REPLY

    def trap(actor: ScriptedFilter) -> Action:
        actor.failure = FilterTrap("unreachable executed", actor.bound.name)
        return Action.FAIL

    gone = FilterUnavailable("no instance", "z")
    stage = Stage(
        Scripted("a", response_head=[trap]),
        Scripted("z", fail_open=True, open_error=gone),
        Scripted("b", request_head=[reply]),
        sampled=True,
    )
    stage.ask()
    found = [(r.name, r.position, r.decision, r.error) for r in stage.run.records]
    assert found == [
        ("a", 0, "continue", ""),
        ("z", 1, "bypass", "no instance"),
        ("b", 2, "local_reply", ""),
        ("a", 0, "trap", "unreachable executed"),
    ]


def test_what_a_filter_decides_outside_its_callbacks_is_named_too() -> None:
    stage = Stage(Scripted("a", request_head=[Action.PAUSE]), sampled=True)
    stage.ask()
    stage.bound[0].filter.port.reply(LocalReply(401, [], b""))
    stage.host.turn()
    assert stage.run.records[0].decision == "local_reply"

    stage = Stage(Scripted("a", request_head=[Action.PAUSE]), sampled=True)
    stage.ask()
    stage.bound[0].filter.port.fail(FilterTrap("died", "a"))
    stage.host.turn()
    assert (stage.run.records[0].decision, stage.run.records[0].error) == ("trap", "died")


def test_a_reply_that_came_too_late_is_no_decision() -> None:
    def reply(actor: ScriptedFilter) -> Action:
        actor.port.reply(LocalReply(401, [], b""))
        return Action.REPLY

    stage = Stage(Scripted("a", response_head=[reply]), Scripted("b", request_head=[reply]), sampled=True)
    stage.ask()
    assert [r.decision for r in stage.run.records] == ["continue", "local_reply", "continue"]

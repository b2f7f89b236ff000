"""Several keepers that move from revision to revision together, with workers that do what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from edge import model, wire
from edge.control import handover as handover_module
from edge.control import keeper as keeper_module
from edge.control import link as link_module
from edge.control.fleet import Fleet
from edge.control.handover import Revision
from edge.control.keeper import State
from tests.unit.control.test_keeper import FakeProcess, until


def revision(number: int) -> Revision:
    return Revision(model.Model(revision=number, listeners=[], routes=[], clusters=[]), [])


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeProcess.made = []
    monkeypatch.setattr(keeper_module, "WorkerProcess", FakeProcess)
    monkeypatch.setattr(keeper_module, "BACKOFF_FIRST_S", 0.0)
    monkeypatch.setattr(keeper_module, "BACKOFF_MOST_S", 0.0)


class Group:
    """A fleet of two, whose present processes are `workers`, both serving revision 1."""

    def __init__(self) -> None:
        self.fleet = Fleet(2, revision(1), lambda message: None)

    def worker(self, number: int) -> FakeProcess:
        return [process for process in FakeProcess.made if process.number == number][-1]

    def states(self) -> list[State]:
        return [keeper.state for keeper in self.fleet.keepers]

    def serving(self) -> list[int | None]:
        return [keeper.handover.serving for keeper in self.fleet.keepers]

    async def told(self, number: int, message: wire.Down) -> None:
        await until(lambda: message in self.worker(number).received)

    async def prepare(self, wanted: Revision) -> asyncio.Task[list[str]]:
        task = asyncio.create_task(self.fleet.prepare(wanted))
        await asyncio.sleep(0)
        return task


def run(conversation: Callable[[Group], Awaitable[None]]) -> None:
    async def main() -> None:
        group = Group()
        group.fleet.start()
        for process in list(FakeProcess.made):
            process.say(wire.Prepared(1))
        await until(lambda: group.serving() == [1, 1])
        try:
            await conversation(group)
        finally:
            group.fleet.drain(0)
            group.fleet.kill()
            await until(group.fleet.ended.done)
            for process in FakeProcess.made:
                process.wire.close()
                process.theirs.close()

    asyncio.run(main())


def test_both_are_prepared_before_either_is_activated() -> None:
    async def conversation(group: Group) -> None:
        preparing = await group.prepare(revision(2))
        for number in (0, 1):
            await group.told(number, wire.Prepare(2, revision(2).model))
        group.worker(0).say(wire.Prepared(2))
        await until(lambda: not group.fleet.keepers[0].handover.expects(2))
        assert not preparing.done() and wire.Activate(2) not in group.worker(0).received
        group.worker(1).say(wire.Prepared(2))
        assert await preparing == []
        assert group.serving() == [1, 1]
        group.fleet.activate(revision(2))
        for number in (0, 1):
            await group.told(number, wire.Activate(2))
        assert group.serving() == [2, 2]

    run(conversation)


def test_one_refusal_aborts_all_and_nothing_changes() -> None:
    async def conversation(group: Group) -> None:
        preparing = await group.prepare(revision(2))
        group.worker(0).say(wire.Prepared(2))
        group.worker(1).say(wire.Refused(2, ["bad \x1b rule", "worse rule"]))
        assert await preparing == ["bad \\x1b rule", "worse rule"]
        await group.told(0, wire.Abort(2))
        assert group.serving() == [1, 1] and group.states() == [State.SERVING] * 2
        again = await group.prepare(revision(3))
        for number in (0, 1):
            group.worker(number).say(wire.Prepared(3))
        assert await again == []

    run(conversation)


def test_the_same_refusal_is_said_once() -> None:
    async def conversation(group: Group) -> None:
        preparing = await group.prepare(revision(2))
        for number in (0, 1):
            group.worker(number).say(wire.Refused(2, ["bad rule"]))
        assert await preparing == ["bad rule"]

    run(conversation)


def test_a_worker_that_dies_while_it_prepares_comes_back_and_is_asked_again() -> None:
    async def conversation(group: Group) -> None:
        preparing = await group.prepare(revision(2))
        group.worker(0).say(wire.Prepared(2))
        first = group.worker(1)
        await group.told(1, wire.Prepare(2, revision(2).model))
        first.exit(1)
        await until(lambda: group.worker(1) is not first)
        await group.told(1, wire.Prepare(1, revision(1).model))
        assert wire.Prepare(2, revision(2).model) not in group.worker(1).received
        group.worker(1).say(wire.Prepared(1))
        await group.told(1, wire.Prepare(2, revision(2).model))
        group.worker(1).say(wire.Prepared(2))
        assert await preparing == []

    run(conversation)


def test_a_revision_that_kills_its_worker_twice_is_refused() -> None:
    async def conversation(group: Group) -> None:
        preparing = await group.prepare(revision(2))
        group.worker(0).say(wire.Prepared(2))
        for _ in range(handover_module.TRIES):
            present = group.worker(1)
            await group.told(1, wire.Prepare(2, revision(2).model))
            present.exit(-11)
            await until(lambda present=present: group.worker(1) is not present)  # type: ignore[misc]
            group.worker(1).say(wire.Prepared(1))
        assert await preparing == ["worker 1 died 2 times while it prepared"]
        await group.told(0, wire.Abort(2))

    run(conversation)


def test_a_worker_that_dies_before_the_activation_gets_the_new_revision() -> None:
    async def conversation(group: Group) -> None:
        preparing = await group.prepare(revision(2))
        for number in (0, 1):
            group.worker(number).say(wire.Prepared(2))
        assert await preparing == []
        first = group.worker(1)
        first.exit(1)
        await until(lambda: group.worker(1) is not first)
        await group.told(1, wire.Prepare(1, revision(1).model))
        group.fleet.activate(revision(2))
        await group.told(1, wire.Prepare(2, revision(2).model))
        group.worker(1).say(wire.Prepared(1))
        await group.told(1, wire.Abort(1))
        assert wire.Activate(1) not in group.worker(1).received
        group.worker(1).say(wire.Prepared(2))
        await group.told(1, wire.Activate(2))
        assert group.serving() == [2, 2]

    run(conversation)


def test_a_worker_that_dies_after_the_activation_comes_back_with_the_new_revision() -> None:
    async def conversation(group: Group) -> None:
        preparing = await group.prepare(revision(2))
        for number in (0, 1):
            group.worker(number).say(wire.Prepared(2))
        assert await preparing == []
        group.fleet.activate(revision(2))
        first = group.worker(0)
        first.exit(1)
        await until(lambda: group.worker(0) is not first)
        await group.told(0, wire.Prepare(2, revision(2).model))
        assert wire.Prepare(1, revision(1).model) not in group.worker(0).received

    run(conversation)


def test_a_worker_that_cannot_live_has_no_say_and_starts_with_the_new_revision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(handover_module, "ABSENT_S", 0.05)

    async def conversation(group: Group) -> None:
        first = group.worker(1)
        first.exit(1)
        await until(lambda: group.worker(1) is not first)
        preparing = await group.prepare(revision(2))
        group.worker(0).say(wire.Prepared(2))
        assert await preparing == []
        group.fleet.activate(revision(2))
        second = group.worker(1)
        second.exit(1)
        await until(lambda: group.worker(1) is not second)
        await group.told(1, wire.Prepare(2, revision(2).model))
        assert wire.Prepare(1, revision(1).model) not in group.worker(1).received

    run(conversation)


def test_a_worker_that_still_starts_for_the_first_time_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover_module, "ABSENT_S", 0.0)

    async def main() -> None:
        group = Group()
        group.fleet.start()
        preparing = await group.prepare(revision(2))
        group.worker(0).say(wire.Prepared(1))
        group.worker(0).say(wire.Prepared(2))
        await asyncio.sleep(0.02)
        assert not preparing.done()
        group.worker(1).say(wire.Prepared(1))
        await group.told(1, wire.Prepare(2, revision(2).model))
        group.worker(1).say(wire.Refused(2, ["no"]))
        assert await preparing == ["no"]
        group.fleet.kill()
        group.fleet.drain(0)
        await until(group.fleet.ended.done)
        for process in FakeProcess.made:
            process.wire.close()
            process.theirs.close()

    asyncio.run(main())


def test_an_answer_that_comes_after_the_abort_is_no_lie() -> None:
    async def conversation(group: Group) -> None:
        preparing = await group.prepare(revision(2))
        group.worker(0).say(wire.Refused(2, ["no"]))
        await until(lambda: not group.fleet.keepers[0].handover.expects(2))
        group.fleet.abort()
        assert "no" in await preparing
        group.worker(1).say(wire.Prepared(2))
        await group.told(1, wire.Abort(2))
        assert group.states() == [State.SERVING] * 2

    run(conversation)


def test_a_worker_that_does_not_answer_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover_module, "PREPARE_LIMIT_S", 0.05)

    async def conversation(group: Group) -> None:
        preparing = await group.prepare(revision(2))
        group.worker(0).say(wire.Prepared(2))
        assert await preparing == ["worker 1 did not prepare it in 0 s"]

    run(conversation)


def test_both_workers_get_the_same_keys_and_their_successors_too() -> None:
    async def conversation(group: Group) -> None:
        keys = group.worker(0).received[0]
        assert isinstance(keys, wire.GroupKeys) and keys.reset != keys.retry
        assert group.worker(1).received[0] == keys
        first = group.worker(1)
        first.exit(1)
        await until(lambda: group.worker(1) is not first)
        await until(lambda: group.worker(1).received[:1] == [keys])

    run(conversation)


def test_one_worker_that_cannot_live_does_not_end_the_others() -> None:
    async def conversation(group: Group) -> None:
        for _ in range(keeper_module.CRASHES_LIMIT + 2):
            first = group.worker(1)
            first.exit(1)
            await until(lambda first=first: group.worker(1) is not first)  # type: ignore[misc]
        assert not group.fleet.ended.done() and group.fleet.ready is False

    run(conversation)


def test_when_no_worker_lives_the_fleet_ends_with_the_reason() -> None:
    async def conversation(group: Group) -> None:
        while not group.fleet.ended.done():
            for process in list(FakeProcess.made):
                if not process.gone:
                    process.exit(3)
            await asyncio.sleep(0)
        reason = group.fleet.ended.result()
        assert reason is not None and "died 10 times in a row, last with code 3" in reason

    run(conversation)


def test_a_drain_ends_it_when_all_are_gone() -> None:
    async def conversation(group: Group) -> None:
        group.fleet.drain(5.0)
        for number in (0, 1):
            await group.told(number, wire.Drain(5.0))
        group.worker(0).exit(0)
        assert not group.fleet.ended.done()
        group.worker(1).exit(0)
        assert await group.fleet.ended is None

    run(conversation)


def test_what_went_ahead_of_a_revision_too_large_to_send_is_taken_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wire, "ROUTES_AT_ONCE", 1)
    monkeypatch.setattr(link_module, "DOWN_LIMIT_BYTES", 20_000)
    small, large = (
        model.Route(name=name, listeners=[], hostnames=[], rules=[]) for name in ("small", "large" * 5000)
    )

    async def conversation(group: Group) -> None:
        made = msgspec.structs.replace(revision(2).model, routes=[small, large])
        (refusal,) = await group.fleet.prepare(Revision(made, []))
        assert "the limit is 20000" in refusal
        for number in (0, 1):
            await group.told(number, wire.Abort(2))
            received = group.worker(number).received
            assert received.index(wire.Routes(2, [small])) < received.index(wire.Abort(2))
        assert group.serving() == [1, 1]

    run(conversation)

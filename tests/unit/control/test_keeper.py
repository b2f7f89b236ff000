"""The keeper of one worker, with a worker that does what the test says."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from edge import model, wire
from edge.control import keeper as keeper_module
from edge.control.handover import Revision
from edge.control.keeper import Keeper, State

REVISION = Revision(model.Model(revision=4, listeners=[], routes=[], clusters=[]), [])


class FakeProcess:
    """Dies when killed or told to; everything the keeper sends is in `received`."""

    made: list[FakeProcess] = []  # noqa: RUF012

    def __init__(self, number: int, workers: int, on_exit: Callable[[int], None]) -> None:
        self.number = number
        self.gone = False
        self.wire, self.theirs = socket.socketpair()
        self.theirs.setblocking(False)
        self.pid = 100 + len(self.made)
        self.killed = False
        self._on_exit = on_exit
        self._frames = wire.FrameReader(wire.DOWN_LIMIT_BYTES)
        self._received: list[wire.Down] = []
        self.made.append(self)

    @property
    def received(self) -> list[wire.Down]:
        try:
            data = self.theirs.recv(1 << 20)
        except OSError:
            data = b""
        decode = msgspec.msgpack.Decoder(wire.Down).decode
        self._received += [decode(payload) for payload, _ in self._frames.feed(data)]
        return self._received

    def say(self, message: wire.Up) -> None:
        payload = msgspec.msgpack.encode(message)
        self.theirs.sendall(wire.HEADER.pack(len(payload), 0) + payload)

    def kill(self) -> None:
        if not self.killed and not self.gone:
            self.killed = True
            asyncio.get_running_loop().call_soon(self.exit, -9)

    def exit(self, code: int) -> None:
        if self.gone:
            return
        self.gone = True
        self.theirs.close()
        self._on_exit(code)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeProcess.made = []
    monkeypatch.setattr(keeper_module, "WorkerProcess", FakeProcess)
    monkeypatch.setattr(keeper_module, "BACKOFF_FIRST_S", 0.0)
    monkeypatch.setattr(keeper_module, "BACKOFF_MOST_S", 0.0)
    monkeypatch.setattr(keeper_module, "CHECK_PERIOD_S", 0.005)


class Run:
    def __init__(self) -> None:
        self.messages: list[wire.Up] = []
        self.exits: list[int] = []
        self.keeper = Keeper(0, REVISION, self.messages.append, self.exits.append)
        self.keeper.start()

    @property
    def worker(self) -> FakeProcess:
        return FakeProcess.made[-1]

    async def serving(self) -> None:
        self.worker.say(wire.Prepared(4))
        await until(lambda: self.keeper.state is State.SERVING)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0)


def run(conversation: Callable[[Run], Awaitable[None]]) -> None:
    async def main() -> None:
        kept = Run()
        try:
            await conversation(kept)
        finally:
            kept.keeper.drain(0)
            kept.keeper.kill()
            await until(kept.keeper.ended.done)
            for process in FakeProcess.made:
                process.wire.close()
                process.theirs.close()

    asyncio.run(main())


def test_a_worker_is_prepared_then_activated() -> None:
    async def conversation(kept: Run) -> None:
        await until(lambda: kept.worker.received[1:] == [wire.Prepare(4, REVISION.model)])
        assert kept.keeper.state is State.STARTING and not kept.keeper.ready.is_set()
        await kept.serving()
        assert kept.keeper.ready.is_set()
        await until(lambda: kept.worker.received[2:] == [wire.Activate(4)])

    run(conversation)


def test_health_is_kept_and_the_rest_is_passed_on() -> None:
    async def conversation(kept: Run) -> None:
        await kept.serving()
        kept.worker.say(wire.Health(0, 4, 7, 2))
        kept.worker.say(wire.Spans(1, 0, b"x"))
        kept.worker.say(wire.Counters(0, []))
        await until(lambda: len(kept.messages) == 2)
        assert kept.keeper.health == wire.Health(0, 4, 7, 2)
        assert kept.messages == [wire.Spans(1, 0, b"x"), wire.Counters(0, [])]

    run(conversation)


LIES = [wire.Health(1, 4, 0, 0), wire.Counters(9, []), wire.Prepared(5), wire.Refused(3, ["no"])]


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: type(lie).__name__)
def test_a_worker_that_speaks_for_another_is_replaced(lie: wire.Up) -> None:
    async def conversation(kept: Run) -> None:
        first = kept.worker
        first.say(lie)
        await until(lambda: kept.worker is not first)
        assert first.killed and kept.messages == [] and kept.keeper.restarts == 1

    run(conversation)


def test_a_message_that_is_none_gets_the_worker_replaced() -> None:
    async def conversation(kept: Run) -> None:
        first = kept.worker
        first.theirs.sendall(wire.HEADER.pack(3, 0) + b"\xc1\xc1\xc1")
        await until(lambda: kept.worker is not first)
        assert first.killed

    run(conversation)


def test_a_refusal_ends_it_with_words_that_are_safe_to_print() -> None:
    async def conversation(kept: Run) -> None:
        kept.worker.say(wire.Refused(4, ["bad \x1b[31m rule\n" + "x" * 2000] * 30))
        reason = await kept.keeper.ended
        assert reason is not None and reason.startswith(
            "the worker refused the configuration: bad \\x1b[31m rule"
        )
        assert "\x1b" not in reason and "\n" not in reason
        assert len(reason) < 25 * 600

    run(conversation)


def test_a_death_is_told_and_the_next_worker_gets_the_same_revision() -> None:
    async def conversation(kept: Run) -> None:
        await kept.serving()
        first = kept.worker
        first.exit(1)
        assert not kept.keeper.ready.is_set() and kept.exits == [0]
        await until(lambda: kept.worker is not first)
        await until(lambda: kept.worker.received[1:] == [wire.Prepare(4, REVISION.model)])
        await kept.serving()
        assert kept.keeper.restarts == 1

    run(conversation)


def test_a_silent_worker_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_module, "SILENCE_LIMIT_S", 0.05)

    async def conversation(kept: Run) -> None:
        await kept.serving()
        first = kept.worker
        await until(lambda: kept.worker is not first)
        assert first.killed

    run(conversation)


def test_a_worker_that_does_not_prepare_in_time_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_module, "START_LIMIT_S", 0.05)

    async def conversation(kept: Run) -> None:
        first = kept.worker
        while kept.worker is first:
            if not first.killed:
                first.say(wire.Health(0, 0, 0, 0))
            await asyncio.sleep(0)
        assert first.killed

    run(conversation)


def test_ten_deaths_in_a_row_end_it_but_calm_in_between_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_module, "CALM_S", 0.0)

    async def conversation(kept: Run) -> None:
        for _ in range(keeper_module.CRASHES_LIMIT + 2):
            first = kept.worker
            await kept.serving()
            await until(lambda: kept.keeper.crashes == 0)
            first.exit(1)
            await until(lambda first=first: kept.worker is not first)  # type: ignore[misc]
        for _ in range(keeper_module.CRASHES_LIMIT):
            first = kept.worker
            first.exit(3)
            await until(lambda first=first: kept.worker is not first or kept.keeper.ended.done())  # type: ignore[misc]
        reason = await kept.keeper.ended
        assert reason == f"worker 0 died {keeper_module.CRASHES_LIMIT} times in a row, last with code 3"

    run(conversation)


def test_a_drained_worker_ends_it_without_a_reason() -> None:
    async def conversation(kept: Run) -> None:
        await kept.serving()
        kept.keeper.drain(7.0)
        await until(lambda: kept.worker.received[-1:] == [wire.Drain(7.0)])
        assert not kept.keeper.ready.is_set()
        kept.worker.exit(0)
        assert await kept.keeper.ended is None
        assert len(FakeProcess.made) == 1

    run(conversation)


def test_a_worker_that_does_not_drain_is_killed_after_the_grace() -> None:
    async def conversation(kept: Run) -> None:
        await kept.serving()
        kept.keeper.drain(-1.0)
        assert await kept.keeper.ended is None
        assert kept.worker.killed

    run(conversation)

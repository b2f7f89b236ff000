"""Instance life with a clock and a warm thread of our own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge.abi.life import BACKOFF_S, QUARANTINE_FAILURES, QUARANTINE_S, Life
from edge.errors import FilterUnavailable


class World:
    """Warm jobs wait in `jobs` until `run`; timers wait in `timers` until `pass_time`."""

    def __init__(self, shared: bool = True) -> None:
        self.now = 1000.0
        self.jobs: list[tuple[Callable[[], Any], Callable[[Any], None]]] = []
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.made: list[bool] = []
        self.fail_warm: Exception | None = None
        self.fail_inline: Exception | None = None
        self.life: Life[str] = Life("f", self.make, self, self, shared)

    def make(self, inline: bool) -> str:
        error = self.fail_inline if inline else self.fail_warm
        if error is not None:
            raise error
        self.made.append(inline)
        return f"{'fresh' if inline else 'warm'}-{len(self.made)}"

    def submit(self, job: Callable[[], Any], done: Callable[[Any], None]) -> None:
        self.jobs.append((job, done))

    def clock(self) -> float:
        return self.now

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> object:
        self.timers.append((self.now + delay_s, callback))
        return None

    def run(self) -> None:
        """Everything ordered from `warm`, and what that orders."""
        while self.jobs:
            job, done = self.jobs.pop(0)
            result: Any
            try:
                result = job()
            except Exception as error:
                result = error
            done(result)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        due = [callback for when, callback in self.timers if when <= self.now]
        self.timers = [timer for timer in self.timers if timer[0] > self.now]
        for callback in due:
            callback()

    def trap_current(self) -> None:
        assert self.life.current is not None
        self.life.trapped(self.life.current)

    def use(self) -> str | FilterUnavailable:
        """What an exchange does to have an instance."""
        return self.life.current or self.life.acquire()


def ready(shared: bool = True) -> World:
    world = World(shared)
    errors: list[Exception | None] = []
    world.life.prepare(errors.append)
    world.run()
    assert errors == [None]
    return world


def test_preparing_makes_one_instance_and_one_spare_on_warm() -> None:
    world = ready()
    assert world.life.current == "warm-1"
    assert world.made == [False, False]
    assert world.life.state == "ready"


def test_preparing_again_answers_at_once() -> None:
    world = ready()
    errors: list[Exception | None] = []
    world.life.prepare(errors.append)
    assert errors == [None]


def test_two_who_prepare_at_once_are_both_answered() -> None:
    world = World()
    errors: list[Exception | None] = []
    world.life.prepare(errors.append)
    world.life.prepare(errors.append)
    world.run()
    assert errors == [None, None]


def test_after_a_trap_the_spare_is_used_at_once_and_replaced() -> None:
    world = ready()
    world.trap_current()
    assert world.life.current == "warm-2"
    world.run()
    world.trap_current()
    assert world.life.current == "warm-3"


def test_a_trap_before_the_spare_is_ready_gives_fresh_instances_meanwhile() -> None:
    world = ready()
    world.trap_current()
    world.trap_current()
    assert world.life.current is None
    assert world.use() == "fresh-3"
    world.run()
    assert world.use() == "warm-4"


def test_three_traps_in_ten_seconds_give_each_exchange_its_own_instance() -> None:
    world = ready()
    for _ in range(3):
        world.trap_current()
        world.run()
    assert world.life.current is None
    assert world.life.state == "storm"
    assert str(world.use()).startswith("fresh")
    assert world.use() != world.use()


def test_the_storm_ends_after_sixty_seconds_without_a_trap() -> None:
    world = ready()
    for _ in range(3):
        world.trap_current()
        world.run()
    world.pass_time(59)
    fresh = world.use()
    assert isinstance(fresh, str) and fresh.startswith("fresh")
    world.life.trapped(fresh)
    world.pass_time(59)
    assert str(world.use()).startswith("fresh")
    world.pass_time(2)
    assert str(world.use()).startswith("warm")
    assert world.life.current is not None


def test_three_traps_over_more_than_ten_seconds_are_no_storm() -> None:
    world = ready()
    for _ in range(12):
        world.trap_current()
        world.run()
        world.pass_time(5.1)
    assert world.life.current is not None


def test_a_thousand_trapping_requests_hit_at_most_three_shared_instances() -> None:
    world = ready()
    shared_hit = 0
    honest_failures = 0
    for _ in range(1000):
        instance = world.use()
        assert isinstance(instance, str)
        shared_hit += instance.startswith("warm")
        world.life.trapped(instance)
        honest_failures += isinstance(world.use(), FilterUnavailable)
        world.run()
        world.pass_time(0.001)
    assert shared_hit == 3
    assert honest_failures == 0
    assert world.life.traps == 1000


def test_an_instance_too_slow_to_be_made_inline_is_shared_even_in_a_storm() -> None:
    world = ready()
    for _ in range(3):
        world.trap_current()
        world.run()
    world.fail_inline = TimeoutError("10 ms")
    assert str(world.use()).startswith("warm")
    made = len(world.made)
    assert str(world.use()).startswith("warm")
    assert len(world.made) == made


def test_a_start_too_slow_for_an_exchange_is_not_tried_for_each_one() -> None:
    world = ready()
    world.trap_current()
    world.trap_current()
    world.fail_inline = TimeoutError("10 ms")
    assert isinstance(world.use(), FilterUnavailable)
    world.fail_inline = None
    assert isinstance(world.use(), FilterUnavailable)
    assert world.made == [False, False]
    world.pass_time(1)
    assert world.use() == "fresh-3"
    world.run()
    assert str(world.use()).startswith("warm")


def test_it_keeps_shared_instances_and_no_fresh_ones() -> None:
    world = ready()
    shared = world.use()
    assert isinstance(shared, str) and world.life.keeps(shared)
    for _ in range(3):
        world.trap_current()
        world.run()
    fresh = world.use()
    assert isinstance(fresh, str) and not world.life.keeps(fresh)
    assert not world.life.keeps(shared)
    world.fail_inline = TimeoutError("10 ms")
    resting = world.use()
    assert isinstance(resting, str) and world.life.keeps(resting)


def test_a_failed_start_is_reported_and_tried_again_with_growing_pauses() -> None:
    world = World()
    world.fail_warm = ValueError("bad configuration")
    errors: list[Exception | None] = []
    world.life.prepare(errors.append)
    world.run()
    assert [str(error) for error in errors] == ["bad configuration"]
    pauses = []
    for _ in range(QUARANTINE_FAILURES):
        assert len(world.timers) == 1
        pauses.append(round(world.timers[0][0] - world.now, 3))
        world.pass_time(pauses[-1])
        world.run()
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, BACKOFF_S[1], QUARANTINE_S]
    assert world.life.state == "quarantine"
    refused = world.use()
    assert isinstance(refused, FilterUnavailable) and "bad configuration" in str(refused)
    world.fail_warm = None
    world.pass_time(QUARANTINE_S)
    world.run()
    assert world.life.state == "ready"
    assert world.use() == "warm-1"


def test_a_spare_that_does_not_start_leaves_the_instance_in_use_alone() -> None:
    world = ready()
    world.fail_warm = ValueError("no memory")
    world.trap_current()
    world.run()
    assert world.use() == "warm-2"
    assert world.life.state == "backoff"


def test_with_request_isolation_every_exchange_has_its_own_instance() -> None:
    world = ready(shared=False)
    assert world.life.current is None
    assert [world.use(), world.use()] == ["fresh-2", "fresh-3"]


def test_with_request_isolation_traps_never_stop_new_instances() -> None:
    world = ready(shared=False)
    for _ in range(1000):
        instance = world.use()
        assert isinstance(instance, str)
        world.life.trapped(instance)
    assert isinstance(world.use(), str)


def test_with_request_isolation_failed_starts_are_not_repeated_for_each_request() -> None:
    world = ready(shared=False)
    world.fail_inline = ValueError("no")
    assert isinstance(world.use(), FilterUnavailable)
    world.fail_inline = None
    assert isinstance(world.use(), FilterUnavailable)
    world.pass_time(0.2)
    assert isinstance(world.use(), str)


def test_a_retired_life_gives_nothing_and_answers_who_waits() -> None:
    world = World()
    errors: list[Exception | None] = []
    world.life.prepare(errors.append)
    world.life.retire()
    world.run()
    assert isinstance(errors[0], FilterUnavailable) and len(errors) == 1
    assert isinstance(world.use(), FilterUnavailable)
    assert world.life.state == "retired"
    assert world.jobs == []

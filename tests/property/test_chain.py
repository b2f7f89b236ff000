"""Random filters, chunkings and interleavings: nothing is lost, doubled, stuck or called too late.

Body bytes start below 16. Filter `i` sets bit `16 << i` in every byte that it sees for the first
time (and doubles it, if told so), so that what comes out shows who saw each byte, once.
"""

from __future__ import annotations

from dataclasses import dataclass
from unittest import mock

from hypothesis import event, given, settings
from hypothesis import strategies as st

from edge.chain.filter import Action, Direction, LocalReply, Phase, Port
from edge.chain.hold import HEAD
from edge.chain.run import ChainRun
from edge.errors import FilterError, FilterTrap, FilterUnavailable
from edge.head import Fields, RequestHead, ResponseHead
from tests.unit.chain.scripted import REQUEST, RESPONSE, NotingHost

EXAMPLES = 300
SIDES = ("request", "response")
CALLBACKS = tuple(f"{side}_{event}" for side in SIDES for event in ("head", "data", "trailers"))
GENTLE = ("continue", "pause", "resume", "callout", "resume_other")
HARSH = (*GENTLE, "reply", "reply_and_go_on", "reset", "fail", "unavailable", "grow")


@dataclass(frozen=True)
class Plan:
    """What one filter is and does: per callback, actions for its first calls, then continue."""

    phases: int
    doubles: bool
    creates_trailers: bool
    fail_open: bool
    opens: bool
    script: dict[str, list[str]]


@dataclass(frozen=True)
class Case:
    filters: list[Plan]
    request: list[bytes]
    response: list[bytes]
    request_trailers: bool
    response_trailers: bool
    ops: list[int]
    hasty: bool
    body_bytes: int


def cases(actions: tuple[str, ...], *, gentle: bool) -> st.SearchStrategy[Case]:
    """Each case draws its actions from a few kinds only, so that the same kinds meet often."""
    kinds = st.lists(st.sampled_from(actions), min_size=1, max_size=4)
    return kinds.flatmap(lambda few: _cases_of(few, gentle))


def _cases_of(kinds: list[str], gentle: bool) -> st.SearchStrategy[Case]:
    steps = st.lists(st.sampled_from(["continue", *kinds]), max_size=4)
    plan = st.builds(
        Plan,
        phases=st.one_of(st.just(63), st.integers(0, 63)),
        doubles=st.booleans() if gentle else st.just(False),
        creates_trailers=st.booleans(),
        fail_open=st.booleans(),
        opens=st.just(True) if gentle else st.integers(0, 9).map(bool),
        script=st.fixed_dictionaries(dict.fromkeys(CALLBACKS, steps)),
    )
    body = st.lists(st.binary(max_size=9).map(lambda b: bytes(x & 15 for x in b)), max_size=6)
    return st.builds(
        Case,
        filters=st.lists(plan, min_size=1, max_size=4),
        request=body,
        response=body,
        request_trailers=st.booleans(),
        response_trailers=st.booleans(),
        ops=st.lists(st.integers(0, 7), max_size=30),
        hasty=st.just(False) if gentle else st.booleans(),
        body_bytes=st.just(1 << 20) if gentle else st.sampled_from([12, 1 << 20]),
    )


class Actor:
    """A filter that follows its plan, marks bytes and checks that callbacks come in order."""

    def __init__(self, world: World, index: int, port: Port) -> None:
        self.world = world
        self.index = index
        self.plan = world.case.filters[index]
        self.port = port
        self.failure: FilterError | None = None
        self.script = {name: list(steps) for name, steps in self.plan.script.items()}
        self.stage = [-1, -1]
        self.ended = [False, False]
        self.callouts = 0

    def _called(self, direction: Direction, stage: int, end: bool) -> None:
        world = self.world
        world.callbacks += 1
        assert not world.done, "callback after done"
        assert not world.inside, "callback inside a callback"
        if stage == 0 and direction is RESPONSE:
            self.stage[1], self.ended[1] = -1, False  # a response that replaces another
        assert not self.ended[direction], "callback after the end"
        assert self.stage[direction] < stage or stage == self.stage[direction] == 1
        self.stage[direction] = stage
        self.ended[direction] = end

    def _act(self, callback: str, direction: Direction) -> Action:
        steps = self.script[callback]
        step = steps.pop(0) if steps else "continue"
        port = self.port
        if step == "pause":
            return Action.PAUSE
        if step == "resume":
            port.resume(direction)
            return Action.PAUSE
        if step == "callout":
            self.callouts += 1
            port.waiting(1)
            return Action.PAUSE
        if step == "resume_other":
            for actor in self.world.actors:
                actor.port.resume(Direction(1 - direction))
        elif step.startswith("reply"):
            port.reply(LocalReply(200 + self.index, [], bytes([self.index])))
            return Action.REPLY if step == "reply" else Action.CONTINUE
        elif step == "reset":
            return Action.RESET
        elif step in ("fail", "unavailable"):
            self.failure = (FilterTrap if step == "fail" else FilterUnavailable)("planned", str(self.index))
            return Action.FAIL
        elif step == "grow":
            body = port.body(direction)
            if body is not None:
                body.splice(len(body), 0, bytes([self.index | 16 << self.index]) * 9)
                self.world.grown = True
        return Action.CONTINUE

    def _head(self, callback: str, direction: Direction, end: bool) -> Action:
        self._called(direction, 0, end)
        assert self.port.body(direction) is None
        assert self.port.head_is_open(direction)
        return self._inside(callback, direction)

    def _data(self, callback: str, direction: Direction, size: int, end: bool) -> Action:
        trailers_follow = not self.plan.phases & (4 if direction is REQUEST else 32)
        self._called(direction, 1, end and not trailers_follow)
        body = self.port.body(direction)
        assert body is not None and len(body) == size
        mark(body, self.index, self.plan.doubles)
        if end and self.plan.creates_trailers:
            create = (
                self.port.set_request_trailers if direction is REQUEST else self.port.set_response_trailers
            )
            create([(b"by", b"%d" % self.index)])
        return self._inside(callback, direction)

    def _inside(self, callback: str, direction: Direction) -> Action:
        self.world.inside = True
        action = self._act(callback, direction)
        self.world.inside = False
        return action

    def request_head(self, end: bool) -> Action:
        return self._head("request_head", REQUEST, end)

    def request_data(self, size: int, end: bool) -> Action:
        return self._data("request_data", REQUEST, size, end)

    def request_trailers(self) -> Action:
        self._called(REQUEST, 2, True)
        assert self.port.request_trailers is not None
        return self._inside("request_trailers", REQUEST)

    def response_head(self, end: bool) -> Action:
        return self._head("response_head", RESPONSE, end)

    def response_data(self, size: int, end: bool) -> Action:
        return self._data("response_data", RESPONSE, size, end)

    def response_trailers(self) -> Action:
        self._called(RESPONSE, 2, True)
        assert self.port.response_trailers is not None
        return self._inside("response_trailers", RESPONSE)

    def done(self) -> None:
        self.world.done.append(self.index)


def mark(body: object, index: int, doubles: bool) -> None:
    """Change each byte that lacks this filter's bit, where it lies."""
    bit = 16 << index
    at = 0
    while at < len(body):  # type: ignore[arg-type]
        byte = body.read(at, 1)[0]  # type: ignore[attr-defined]
        width = 1
        if not byte & bit:
            width = 2 if doubles else 1
            body.splice(at, 1, bytes([byte | bit]) * width)  # type: ignore[attr-defined]
        at += width


class Bound:
    digest = ""
    abi = "random"
    pause_s = 5.0

    def __init__(self, world: World, index: int) -> None:
        plan = world.case.filters[index]
        self.world = world
        self.index = index
        self.name = str(index)
        self.phases = Phase(plan.phases)
        self.fail_open = plan.fail_open
        self.body_bytes = world.case.body_bytes

    def open(self, port: Port) -> Actor | FilterError:
        if not self.world.case.filters[self.index].opens:
            return FilterUnavailable("planned", self.name)
        actor = Actor(self.world, self.index, port)
        self.world.actors.append(actor)
        return actor


class World(NotingHost):
    """One exchange: the host, both peers, and the order in which things happen."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.case = case
        self.actors: list[Actor] = []
        self.done: list[int] = []
        self.inside = False
        self.callbacks = 0
        self.grown = False
        self.response_begun = False
        self.run = ChainRun(tuple(Bound(self, i) for i in range(len(case.filters))), self, True, lambda: 0)
        self.inputs = {
            REQUEST: inputs(case.request, case.request_trailers),
            RESPONSE: inputs(case.response, case.response_trailers),
        }

    def _note(self, call: str) -> None:
        assert not self.inside or call == "request_needs_body", f"{call} inside a callback"
        super()._note(call)
        if call.startswith("reset") or (self.case.hasty and self.response_ended):
            self.end()

    def end(self) -> None:
        self.run.done()
        self.over = True

    def start(self) -> None:
        chunks = self.inputs[REQUEST]
        self.run.request_head(RequestHead(b"POST", b"http", b"a", b"/", [], None), not chunks)

    def feed(self, direction: Direction, pushy: bool = False) -> None:
        """The next event of that side, if it may come now."""
        side = SIDES[direction]
        if self.over or (self.paused[side] and not pushy):
            return
        if direction is RESPONSE:
            if self.request is None or self.won is not None:
                return
            if not self.response_begun:
                self.response_begun = True
                self.run.response_head(ResponseHead(200, [], None), not self.inputs[RESPONSE])
                return
        if not self.inputs[direction]:
            return
        item = self.inputs[direction].pop(0)
        end = not self.inputs[direction]
        data, trailers = (
            (self.run.request_data, self.run.request_trailers),
            (self.run.response_data, self.run.response_trailers),
        )[direction]
        if isinstance(item, bytes):
            data(item, end)
        else:
            trailers(item)

    def resume_all(self, direction: Direction) -> None:
        for actor in self.actors:
            actor.port.resume(direction)

    def callouts_come(self) -> None:
        for actor in self.actors:
            while actor.callouts:
                actor.callouts -= 1
                actor.port.waiting(-1)
                actor.port.resume(REQUEST)
                actor.port.resume(RESPONSE)

    def pass_time(self) -> None:
        if self.deadline is not None and not self.over:
            self.time = self.deadline
            self.deadline = None
            self.run.pause_expired()

    def turn(self) -> None:
        if not self.over:
            super().turn()

    def play(self, op: int) -> None:
        (
            lambda: self.feed(REQUEST),
            lambda: self.feed(RESPONSE),
            self.turn,
            lambda: self.resume_all(REQUEST),
            lambda: self.resume_all(RESPONSE),
            self.callouts_come,
            lambda: self.feed(REQUEST, pushy=True),
            self.pass_time if self.case.body_bytes != 12 else lambda: self.feed(RESPONSE, pushy=True),
        )[op]()
        self.check_limits()

    def check_limits(self) -> None:
        """What filters hold back knowingly stays within the limit, in each direction."""
        for direction in (REQUEST, RESPONSE):
            holds = [h for walk, _, h in self.run.held() if walk.direction is direction and h.stage != HEAD]
            assert sum(len(hold.body) for hold in holds) <= self.case.body_bytes

    def drain(self) -> None:
        """Everybody lets go, everything arrives: after this nothing may be left inside."""
        for _ in range(200):
            before = self._progress()
            self.callouts_come()
            self.resume_all(REQUEST)
            self.resume_all(RESPONSE)
            self.turn()
            self.feed(REQUEST)
            self.feed(RESPONSE)
            if before == self._progress():
                return
        raise AssertionError("it never settles")

    def _progress(self) -> tuple[int, ...]:
        return (self.callbacks, len(self.calls), *map(len, self.inputs.values()))


def inputs(chunks: list[bytes], trailers: bool) -> list[bytes | Fields]:
    listed: list[bytes | Fields] = list(chunks)
    if trailers:
        listed.append([(b"by", b"peer")])
    return listed


def expected_body(chunks: list[bytes], filters: list[tuple[int, Plan]], wants: int) -> bytes:
    body = b"".join(chunks)
    for index, plan in filters:
        if plan.phases & wants:
            body = b"".join(bytes([byte | 16 << index]) * (2 if plan.doubles else 1) for byte in body)
    return body


def expected_trailers(case: Case, direction: Direction, filters: list[tuple[int, Plan]]) -> Fields | None:
    chunks = case.request if direction is REQUEST else case.response
    given = case.request_trailers if direction is REQUEST else case.response_trailers
    trailers: Fields | None = [(b"by", b"peer")] if given else None
    data, wanted = (2, 4) if direction is REQUEST else (16, 32)
    for index, plan in filters:
        ends_with_data = trailers is None or not plan.phases & wanted
        if plan.creates_trailers and plan.phases & data and (chunks or given) and ends_with_data:
            trailers = [(b"by", b"%d" % index)]
    return trailers


def play(case: Case) -> World:
    world = World(case)
    with mock.patch("edge.chain.holding.UNREAD_BYTES", 8):
        world.start()
        for op in case.ops:
            world.play(op)
        world.drain()
    return world


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(GENTLE, gentle=True))
def test_every_byte_meets_every_filter_once_and_goes_out_in_order(case: Case) -> None:
    case = Case(**{**case.__dict__, "ops": [op for op in case.ops if op != 7]})
    world = play(case)
    forwards = list(enumerate(case.filters))
    backwards = forwards[::-1]
    assert world.request_body == expected_body(case.request, forwards, 2)
    assert world.response_body == expected_body(case.response, backwards, 16)
    assert world.request_ended and world.response_ended
    assert world.request_trailers == expected_trailers(case, REQUEST, forwards)
    assert world.response_trailers == expected_trailers(case, RESPONSE, backwards)
    assert world.paused == {"request": False, "response": False}
    assert world.won is None and world.error is None and world.deadline is None
    world.end()
    assert world.done == list(range(len(case.filters)))


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(HARSH, gentle=False))
def test_whatever_filters_do_there_is_one_outcome(case: Case) -> None:
    world = play(case)
    event("reset" if world.error else "reply" if world.won else "response")
    if world.error is None:
        assert world.response is not None and world.response_ended, "stuck"
        assert world.paused == {"request": False, "response": False}
        assert world.over or world.deadline is None
    if world.error is None and world.won is None and not world.grown:
        assert bytes(byte & 15 for byte in world.response_body) == b"".join(case.response)
        if not case.hasty:
            assert bytes(byte & 15 for byte in world.request_body) == b"".join(case.request)
            assert world.request_ended
    if world.won is not None and world.error is None and world.run.failure is None and not world.grown:
        assert world.response is not None
        assert world.response.status == world.won.status
        assert bytes(byte & 15 for byte in world.response_body) == world.won.body
    sent = b"".join(case.request)
    assert world.grown or sent.startswith(bytes(byte & 15 for byte in world.request_body))
    world.end()
    world.turn()
    assert world.done == sorted({actor.index for actor in world.actors})
    assert len(world.done) == len(world.actors)


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(HARSH, gentle=False), st.integers(0, 30))
def test_an_exchange_that_is_cut_off_anywhere_is_silent_afterwards(case: Case, cut: int) -> None:
    world = World(case)
    with mock.patch("edge.chain.holding.UNREAD_BYTES", 8):
        world.start()
        for op in case.ops[:cut]:
            world.play(op)
        world.end()
        calls = list(world.calls)
        for actor in world.actors:
            actor.port.resume(REQUEST)
            actor.port.fail(FilterTrap("late", "x"))
            assert not actor.port.reply(LocalReply(200, [], b""))
        world.run.request_data(b"late", True)
        world.run.response_head(ResponseHead(200, []), True)
        world.run.pause_expired()
        for callback in world.soon:
            callback()
    assert world.calls == calls
    assert world.done == [actor.index for actor in world.actors]

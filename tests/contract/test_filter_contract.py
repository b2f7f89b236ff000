"""What every filter promises the chain, whatever its ABI.

An implementation joins by a subclass of `FilterContract` that binds filters with the behaviours
named in `BEHAVIOURS`; each test then runs that filter in a real `ChainRun`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import pytest

from edge.chain.filter import Action, BoundFilter, Direction, LocalReply, Phase
from edge.chain.run import ChainRun
from edge.errors import FilterError, FilterTrap, FilterUnavailable
from edge.head import RequestHead, ResponseHead
from tests.unit.chain.scripted import REQUEST, RESPONSE, NotingHost, Scripted, ScriptedFilter

BEHAVIOURS = {
    "idle": "continues everywhere, changes nothing, wants every phase",
    "marks": "adds x-contract: 1 to both heads",
    "replies": "answers 401 with x-contract: 1 and body `denied` from the request head",
    "rewrites": "collects each body (PAUSE until the end), then replaces it by itself in brackets: [body]",
    "holds": "PAUSE from the request head until woken",
    "resets": "resets the stream in the request head",
    "traps": "fails with a trap in the request head",
    "unavailable": "cannot be opened",
    "closes": "creates the trailer x-contract: 1 in the last data callback of both directions",
}


class Exchange:
    """A host with a chain of one filter."""

    def __init__(self, bound: BoundFilter, sampled: bool = False) -> None:
        self.host = NotingHost()
        self.ns = 0
        self.run = ChainRun((bound,), self.host, sampled, self.clock_ns)

    def clock_ns(self) -> int:
        self.ns += 1
        return self.ns

    def ask(self, *chunks: bytes) -> None:
        self.run.request_head(RequestHead(b"POST", b"http", b"a", b"/", [(b"x", b"1")]), not chunks)
        for index, chunk in enumerate(chunks):
            self.run.request_data(chunk, index == len(chunks) - 1)

    def answer(self, *chunks: bytes) -> None:
        self.run.response_head(ResponseHead(200, [(b"y", b"2")]), not chunks)
        for index, chunk in enumerate(chunks):
            self.run.response_data(chunk, index == len(chunks) - 1)

    def finish(self) -> None:
        self.run.done()
        self.host.over = True
        self.host.turn()


class FilterContract(ABC):
    """The suite. `wake` makes every `holds` filter resume, as a callout's answer would."""

    @abstractmethod
    def bind(self, behaviour: str) -> BoundFilter: ...
    @abstractmethod
    def wake(self) -> None: ...

    @pytest.mark.parametrize("behaviour", BEHAVIOURS)
    def test_a_bound_filter_says_what_the_chain_must_know(self, behaviour: str) -> None:
        bound = self.bind(behaviour)
        assert bound.name and isinstance(bound.digest, str) and bound.abi
        assert isinstance(bound.phases, Phase) and isinstance(bound.fail_open, bool)
        assert bound.pause_s > 0 and bound.body_bytes > 0

    def test_an_idle_filter_lets_everything_pass_untouched(self) -> None:
        exchange = Exchange(self.bind("idle"))
        exchange.ask(b"ab", b"", b"cd")
        exchange.answer(b"x", b"y")
        exchange.finish()
        host = exchange.host
        assert host.request is not None and host.request.fields == [(b"x", b"1")]
        assert host.response is not None and host.response.fields == [(b"y", b"2")]
        assert (host.request_body, host.response_body) == (b"abcd", b"xy")
        assert host.request_ended and host.response_ended

    def test_an_idle_filter_lets_trailers_pass(self) -> None:
        exchange = Exchange(self.bind("idle"))
        exchange.run.request_head(RequestHead(b"POST", b"http", b"a", b"/", []), False)
        exchange.run.request_trailers([(b"t", b"1")])
        exchange.run.response_head(ResponseHead(200, []), False)
        exchange.run.response_trailers([(b"t", b"2")])
        assert exchange.host.request_trailers == [(b"t", b"1")]
        assert exchange.host.response_trailers == [(b"t", b"2")]

    def test_edits_of_heads_arrive(self) -> None:
        exchange = Exchange(self.bind("marks"))
        exchange.ask()
        exchange.answer()
        host = exchange.host
        assert host.request is not None and host.request.get_all(b"x-contract") == [b"1"]
        assert host.response is not None and host.response.get_all(b"x-contract") == [b"1"]
        assert host.request.get(b"x") == b"1" and host.response.get(b"y") == b"2"

    def test_an_edit_shows_in_the_encoding_for_the_next_guest(self) -> None:
        exchange = Exchange(self.bind("marks"))
        head = RequestHead(b"GET", b"http", b"a", b"/", [])
        before = head.encoded()
        exchange.run.request_head(head, True)
        assert head.encoded()[1] == before[1] + 1 and b"x-contract\0001" in head.encoded()[0]

    def test_a_reply_ends_the_request_and_its_sender_sees_no_response(self) -> None:
        exchange = Exchange(self.bind("replies"))
        exchange.ask(b"body")
        exchange.finish()
        host = exchange.host
        assert host.request is None and host.calls[0] == "reply_won 401"
        assert host.response is not None and host.response.get(b"x-contract") == b"1"
        assert host.response_body == b"denied" and host.response_ended

    @pytest.mark.parametrize("chunks", [(b"abc",), (b"a", b"bc"), (b"a", b"b", b"c"), (b"abc", b"")])
    def test_a_collected_body_is_whole_however_it_was_cut(self, chunks: tuple[bytes, ...]) -> None:
        exchange = Exchange(self.bind("rewrites"))
        exchange.ask(*chunks)
        exchange.answer(*chunks)
        assert exchange.host.request_body == b"[abc]" and exchange.host.request_ended
        assert exchange.host.response_body == b"[abc]" and exchange.host.response_ended

    def test_trailers_can_be_created(self) -> None:
        exchange = Exchange(self.bind("closes"))
        exchange.ask(b"ab", b"c")
        exchange.answer(b"")
        assert exchange.host.request_trailers == [(b"x-contract", b"1")]
        assert exchange.host.response_trailers == [(b"x-contract", b"1")]

    def test_a_held_exchange_goes_on_when_its_filter_is_woken_and_not_before(self) -> None:
        exchange = Exchange(self.bind("holds"))
        exchange.ask(b"ab")
        exchange.host.turn()
        assert exchange.host.request is None
        self.wake()
        exchange.host.turn()
        assert exchange.host.request_body == b"ab" and exchange.host.request_ended

    def test_waking_after_the_end_harms_nobody(self) -> None:
        exchange = Exchange(self.bind("holds"))
        exchange.ask()
        exchange.finish()
        self.wake()
        assert exchange.host.calls == [] and exchange.host.soon == []

    def test_a_reset_reaches_both_sides(self) -> None:
        exchange = Exchange(self.bind("resets"))
        exchange.ask()
        assert exchange.host.calls == ["reset FR"]
        exchange.finish()

    def test_a_trap_is_told_as_one_and_only_its_exchange_fails(self) -> None:
        bound = self.bind("traps")
        for _ in range(3):
            exchange = Exchange(bound)
            exchange.ask(b"x")
            assert exchange.host.calls[0] == "reply_won 503"
            failure = exchange.run.failure
            assert isinstance(failure, FilterTrap) and failure.detail
            exchange.finish()

    def test_a_filter_that_cannot_be_opened_says_why(self) -> None:
        exchange = Exchange(self.bind("unavailable"))
        exchange.ask()
        assert isinstance(exchange.run.failure, FilterUnavailable) and exchange.run.failure.detail
        assert exchange.host.calls[0] == "reply_won 503"

    def test_exchanges_of_one_bound_filter_do_not_mix(self) -> None:
        bound = self.bind("rewrites")
        first, second = Exchange(bound), Exchange(bound)
        for exchange in (first, second):
            exchange.run.request_head(RequestHead(b"POST", b"http", b"a", b"/", []), False)
        first.run.request_data(b"a", False)
        second.run.request_data(b"x", False)
        first.run.request_data(b"b", True)
        second.run.request_data(b"y", True)
        assert (first.host.request_body, second.host.request_body) == (b"[ab]", b"[xy]")

    @pytest.mark.parametrize("behaviour", BEHAVIOURS)
    @pytest.mark.parametrize("steps", range(5))
    def test_done_may_come_at_any_time(self, behaviour: str, steps: int) -> None:
        exchange = Exchange(self.bind(behaviour))
        run = exchange.run
        for step in (
            lambda: run.request_head(RequestHead(b"POST", b"http", b"a", b"/", []), False),
            lambda: run.request_data(b"ab", False),
            lambda: run.response_head(ResponseHead(200, []), False),
            lambda: run.response_data(b"ab", False),
        )[:steps]:
            step()
        exchange.finish()

    @pytest.mark.parametrize("behaviour", ["idle", "marks", "rewrites"])
    def test_a_sampled_exchange_behaves_the_same_and_leaves_records(self, behaviour: str) -> None:
        plain, sampled = Exchange(self.bind(behaviour)), Exchange(self.bind(behaviour), sampled=True)
        for exchange in (plain, sampled):
            exchange.ask(b"a", b"b")
            exchange.answer(b"c")
            exchange.finish()
        assert plain.host.calls == sampled.host.calls and not plain.run.records
        for record in sampled.run.records:
            assert record.start_ns <= record.end_ns and record.decision == "continue"
        assert {record.direction for record in sampled.run.records} == {REQUEST, RESPONSE}


class TestScriptedFilter(FilterContract):
    """The tests' own fake keeps the contract too."""

    def setup_method(self) -> None:
        self.bound: list[Scripted] = []

    def bind(self, behaviour: str) -> BoundFilter:
        bound = SCRIPTS[behaviour]()
        self.bound.append(bound)
        return bound

    def wake(self) -> None:
        for bound in self.bound:
            bound.filter.port.resume(REQUEST)


def _mark(direction: Direction) -> object:
    def step(actor: ScriptedFilter) -> Action:
        head = actor.port.request if direction is REQUEST else actor.port.response
        assert head is not None
        head.add(b"x-contract", b"1")
        return Action.CONTINUE

    return step


def _bracket(direction: Direction) -> object:
    def step(actor: ScriptedFilter) -> Action:
        if not actor.end:
            return Action.PAUSE
        body = actor.port.body(direction)
        assert body is not None
        body.splice(0, len(body), b"[%b]" % body.read(0, len(body)))
        return Action.CONTINUE

    return step


def _close(direction: Direction) -> object:
    def step(actor: ScriptedFilter) -> Action:
        if actor.end and direction is REQUEST:
            actor.port.set_request_trailers([(b"x-contract", b"1")])
        elif actor.end:
            actor.port.set_response_trailers([(b"x-contract", b"1")])
        return Action.CONTINUE

    return step


def _deny(actor: ScriptedFilter) -> Action:
    actor.port.reply(LocalReply(401, [(b"x-contract", b"1")], b"denied"))
    return Action.REPLY


def _trap(actor: ScriptedFilter) -> Action:
    actor.failure = FilterTrap("unreachable", actor.bound.name, "unreachable")
    return Action.FAIL


def _scripted(request: object = None, response: object = None, event: str = "head") -> Scripted:
    """Every call of one event is answered by the same step."""
    script = {
        f"{side}_{event}": [step] * 9 for side, step in (("request", request), ("response", response)) if step
    }
    return Scripted("fake", **script)  # type: ignore[arg-type]


SCRIPTS = {
    "idle": _scripted,
    "marks": lambda: _scripted(_mark(REQUEST), _mark(RESPONSE)),
    "replies": lambda: _scripted(_deny),
    "rewrites": lambda: _scripted(_bracket(REQUEST), _bracket(RESPONSE), "data"),
    "holds": lambda: _scripted(Action.PAUSE),
    "resets": lambda: _scripted(Action.RESET),
    "traps": lambda: _scripted(_trap),
    "unavailable": lambda: Scripted("fake", open_error=FilterUnavailable("quarantined", "fake")),
    "closes": lambda: _scripted(_close(REQUEST), _close(RESPONSE), "data"),
}


def test_every_behaviour_of_the_contract_has_a_fake() -> None:
    assert set(SCRIPTS) == set(BEHAVIOURS)
    assert issubclass(FilterTrap, FilterError)

"""The express lane against the general run: random guests, nobody outside can tell which one it was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge import model
from edge.abi.proxy_wasm import Group, bind_group
from edge.abi.proxy_wasm.cell import FINISH_S
from edge.chain.express import ExpressRun, open_run
from edge.chain.filter import FilterRecord, LocalReply
from edge.chain.plan import ChainPlan
from edge.chain.run import ChainRun
from edge.head import RequestHead, ResponseHead
from tests.conformance.proxy_wasm import build
from tests.conformance.proxy_wasm.rig import FakeServices, request_head, response_head
from tests.conformance.proxy_wasm.script import Script, cell, configuration, pairs
from tests.conformance.proxy_wasm.scripted import CALL
from tests.contract.proxy_wasm.test_inner_host_against_oracle import calls
from tests.unit.chain.scripted import NotingHost

EXAMPLES = 400
CALLBACKS = ("create", "request_headers", "response_headers", "call_response", "done", "log", "delete")
seen = {"handed over": 0, "on the lane": 0, "trapped": 0, "passed whole": 0}


@dataclass(frozen=True)
class Step:
    """A callback's host calls; ends with an answer, a trap, or emitting nothing."""

    calls: list[tuple[str, tuple[Any, ...], bool]]
    quiet: bool
    answer: int
    traps: bool

    def script(self) -> Script:
        script = Script()
        for wanted, arguments, gives in self.calls:
            name = wanted
            if name == "set_effective_context" and arguments[0] in (2, 3):
                name, arguments = "set_own_context", ()
            script.poke(cell(0), b"\0" * 16).call(name, *arguments)
            if gives and arguments[-2:] == (cell(0), cell(1)):
                script.follow(cell(0), cell(1))
        if self.traps:
            script.trap()
        if self.quiet:
            script.quiet()
        return script.answer(self.answer)


@st.composite
def steps(draw: st.DrawFn) -> Step:
    source = draw(st.sampled_from([calls(), _ACTS, _EDITS, _EDITS]))
    return Step(
        draw(st.lists(source, max_size=4)),
        draw(st.integers(0, 3)) > 0,
        draw(st.sampled_from([*[0] * 9, 1])),
        draw(st.integers(0, 40)) == 0,
    )


_FIELDS = st.sampled_from([b"x-in", b"x-new", b"cookie", b"x-latin", b"server"])
_TEXTS = st.sampled_from([b"", b"v", b"hello", b"other", b"h\xc3\xa9", b"w" * 300])
_EDITS = st.one_of(
    st.tuples(
        st.sampled_from(["add_header_map_value", "replace_header_map_value"]),
        st.tuples(st.sampled_from([0, 2]), _FIELDS, _TEXTS),
        st.just(False),
    ),
    st.tuples(
        st.just("remove_header_map_value"), st.tuples(st.sampled_from([0, 2]), _FIELDS), st.just(False)
    ),
)
_ACTS = st.sampled_from(
    [
        ("send_local_response", (403, b"why", b"no", pairs((b"x-r", b"1")), 0xFFFFFFFF), False),
        ("send_local_response", (200, b"", b"", b"", 0xFFFFFFFF), False),
        ("http_call", (b"auth", CALL, b"body", b"", 250, cell(5)), False),
        ("http_call", (b"auth", CALL, b"", b"", 250, cell(5)), False),
        ("set_own_context", (), False),
        ("set_effective_context", (1,), False),
        ("continue_stream", (0,), False),
        ("continue_stream", (1,), False),
        ("close_stream", (0,), False),
        ("set_property", (b"edge\0backend", b"blue"), False),
        ("replace_header_map_value", (0, b":path", b"/other"), False),
        ("replace_header_map_value", (2, b":status", b"204"), False),
        ("remove_header_map_value", (0, b"content-length"), False),
        ("add_header_map_value", (0, b"x-odd", b"\xff"), False),
        ("log", (2, b"a line"), False),
    ]
)
GUESTS = st.lists(
    st.dictionaries(st.sampled_from(CALLBACKS), steps(), min_size=1, max_size=5), min_size=1, max_size=4
)
EVENTS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from(["data", "trailers", "response", "whole", "edge_reply", "turn", "callout"]),
    ),
    max_size=10,
)
ODD = st.sampled_from([b"plain", b"plain", b"caf\xe9", b"h\xc3\xa9", b"v" * 60_000])


class Side:
    """Two exchanges over one group, on the express lane or not."""

    def __init__(
        self, guests: list[dict[str, Step]], non_utf8: str, host_calls: int, sampled: bool, express: bool
    ) -> None:
        self.services = FakeServices()
        self.sampled = sampled
        module = build.module(build.compiled("script_heads"))
        made = [
            model.Filter(
                name=f"f{k}",
                module=module.digest,
                abi=module.abi,
                config=configuration(**{name: step.script() for name, step in guest.items()}),
                allow=model.Allow(backends=["blue"], callouts=["auth"]),
                non_utf8=non_utf8,
                limits=model.FilterLimits(host_calls=host_calls),
            )
            for k, guest in enumerate(guests)
        ]
        self.group: Group = bind_group(made, [module] * len(made), self.services)
        assert self.group.fits_express()
        errors: list[Exception | None] = []
        self.group.prepare(errors.append)
        self.services.warm.run()
        self.services.warm.run()
        assert errors == [None]
        self.plan = ChainPlan(self.group.filters, self.group.express if express else None)
        self.hosts = [NotingHost(), NotingHost()]
        self.runs: list[ChainRun | ExpressRun] = []
        self.answers = 0

    def begin(self, odd: bytes, end: bool, nested: str) -> None:
        """Two requests; while the host takes the head of one, `nested` happens to it."""
        for which, host in enumerate(self.hosts):
            run = open_run(self.plan.express, self.plan, host, self.sampled, lambda: 1)
            self.runs.append(run)
            if nested:
                host.on["request_head"] = partial(self._happen, which, nested, odd)
            run.request_head(request_head((b"x-latin", odd), length=None if end else 23), end)
            self._turn()

    def happen(self, which: int, event: str, odd: bytes) -> object:
        result = self._happen(which, event, odd)
        self._turn()
        return result

    def _happen(self, which: int, event: str, odd: bytes) -> object:
        run, host = self.runs[which], self.hosts[which]
        result: object = None
        if host.over:
            return None
        if event == "data":
            run.request_data(b"abc", False)
        elif event == "trailers":
            run.request_trailers([(b"x-t", b"1")])
        elif event == "response":
            if host.request is not None:
                run.response_head(response_head((b"x-latin", odd), length=None), False)
                run.response_data(b"xyz", True)
        elif event == "whole":
            if host.request is not None:
                self._answer_whole(run, host, response_head((b"x-latin", odd), length=None))
        elif event == "edge_reply":
            result = run.reply(LocalReply(502, [(b"x-e", b"1")], b"failed", "why", "edge"))
        elif event == "callout":
            done = self.services.callouts.done
            if self.answers < len(done):
                self.answers += 1
                done[self.answers - 1](ResponseHead(200, [(b"x-a", b"1")]), b"body", [])
        return result

    def _answer_whole(self, run: ChainRun | ExpressRun, host: NotingHost, head: ResponseHead) -> None:
        """As an exchange does."""
        if not run.response_passes(head):
            run.response_data(b"xyz", True)
            return
        seen["passed whole"] += 1
        host.forward_response_head(head, False)
        host.forward_response_data(b"xyz", True)

    def _turn(self) -> None:
        self.services.turn()
        for host in self.hosts:
            if not host.over:
                host.turn()

    def finish(self) -> None:
        for run, host in zip(self.runs, self.hosts, strict=True):
            run.done()
            run.done()
            host.over = True
            host.soon.clear()
        self.services.turn()

    def retire(self) -> None:
        """Its Stores go now: the collector does not see that each is gigabytes of addresses."""
        self.group.retire()
        self.services.turn()
        self.services.advance(FINISH_S)
        self.runs.clear()
        self.services.callouts.done.clear()
        for host in self.hosts:
            host.on.clear()

    def outcome(self) -> dict[str, object]:
        """Everything that somebody outside can see."""
        services = self.services
        return {
            "exchanges": [
                (
                    *(host.calls, _request(host.request), _response(host.response), host.request_body),
                    *(host.response_body, host.request_trailers, host.response_trailers, host.backend),
                    *(_reply(host.won), host.error and _cause(str(host.error)), host.deadline, host.paused),
                    *(
                        run.flag,
                        run.failure and _cause(run.failure.detail),
                        _reply(run.won),
                        run.request_head_left,
                        [_record(record) for record in run.records],
                    ),
                )
                for run, host in zip(self.runs, self.hosts, strict=True)
            ],
            "lines": services.lines,
            "metrics": (services.metrics.names, services.metrics.values, services.metrics.observed),
            "callouts": [(c[0], c[1].fields, c[2], c[3], c[4]) for c in services.callouts.started],
            "dropped": [(b.lines_dropped, b.metrics_dropped, b.traps) for b in self.group.filters],
            "traps": self.group.life.traps,
            "open": sorted(len(cell.lanes) for cell in self.group._cells if not cell.dead),
        }


def _cause(text: str) -> str:
    """A trap without its frames, which name the driver."""
    return text.partition(" (")[0]


def _request(head: RequestHead | None) -> object:
    if head is None:
        return None
    return head.method, head.path, head.authority, head.scheme, head.fields, head.length, head.encoded()


def _response(head: ResponseHead | None) -> object:
    return None if head is None else (head.status, head.fields, head.length, head.encoded())


def _record(record: FilterRecord) -> object:
    """All but the times."""
    return (
        *(record.name, record.position, record.direction, record.decision, _cause(record.error)),
        *(record.edits, record.attributes, record.calls, record.host_calls, record.bytes_in),
        *(record.bytes_out, record.memory_bytes),
    )


def _reply(reply: LocalReply | None) -> object:
    if reply is None:
        return None
    return reply.status, reply.fields, reply.body, _cause(reply.details), reply.source, reply.source_name


@pytest.fixture(scope="module")
def _all_ways_were_taken() -> Iterator[None]:
    """In the process that ran the property: one that never reached the lane would prove nothing."""
    yield
    assert min(seen.values()) >= EXAMPLES // 40, seen


@pytest.mark.usefixtures("_all_ways_were_taken")
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
@given(
    guests=GUESTS,
    events=EVENTS,
    odd=ODD,
    end=st.booleans(),
    non_utf8=st.sampled_from(["transcode", "transcode", "raw", "reject"]),
    nested=st.sampled_from(["", "", "edge_reply", "response", "data"]),
    host_calls=st.sampled_from([10_000, 10_000, 10]),
    sampled=st.booleans(),
    last=st.sampled_from(["turn", "whole", "whole", "whole"]),
)
def test_the_lane_and_the_general_run_cannot_be_told_apart(
    guests: list[dict[str, Step]], events: list[tuple[int, str]], odd: bytes, end: bool, non_utf8: str,
    nested: str, host_calls: int, sampled: bool, last: str,
) -> None:  # fmt: skip
    lane, general = (Side(guests, non_utf8, host_calls, sampled, express) for express in (True, False))
    try:
        _compare(lane, general, [*events, (0, last), (1, last)], odd, end, nested)
    finally:
        for side in (lane, general):
            side.retire()


def _compare(
    lane: Side, general: Side, events: list[tuple[int, str]], odd: bytes, end: bool, nested: str
) -> None:
    for side in (lane, general):
        side.begin(odd, end, nested)
    assert all(isinstance(run, ExpressRun) for run in lane.runs) or general.group.life.traps
    for which, event in events:
        assert lane.happen(which, event, odd) == general.happen(which, event, odd), event
    for run in lane.runs:
        if isinstance(run, ExpressRun):
            seen["on the lane" if run.run is None else "handed over"] += 1
    for side in (lane, general):
        side.finish()
    seen["trapped"] += lane.group.life.traps
    assert lane.outcome() == general.outcome()

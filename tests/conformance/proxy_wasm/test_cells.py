"""Filters that share a Store: what each keeps for itself, what they share, and how it ends."""

from __future__ import annotations

import gc
from weakref import ref

import pytest

from edge import model
from edge.abi.proxy_wasm import Group, bind_group, grouped
from edge.chain.express import ExpressRun, open_run
from edge.chain.filter import LocalReply
from edge.chain.plan import ChainPlan
from edge.chain.run import ChainRun
from edge.errors import FilterUnavailable
from edge.head import RequestHead
from tests.conformance.proxy_wasm import build
from tests.conformance.proxy_wasm.rig import (
    FakePort,
    FakeServices,
    Output,
    request_head,
    response_head,
)
from tests.conformance.proxy_wasm.script import Script, cell, configuration
from tests.conformance.proxy_wasm.scripted import opened
from tests.unit.chain.scripted import NotingHost


def bound_together(services: FakeServices, *guests: dict[str, Script], heads: bool = True) -> Group:
    """A started group; `heads`: of guests without callbacks for bodies."""
    module = build.module(build.compiled("script_heads" if heads else "script"))
    made = [
        model.Filter(
            name=f"f{k}",
            module=module.digest,
            abi=module.abi,
            env={"WHO": str(k) * (k + 1)},
            config=configuration(**scripts),
        )
        for k, scripts in enumerate(guests)
    ]
    group = bind_group(made, [module] * len(made), services)
    errors: list[Exception | None] = []
    group.prepare(errors.append)
    services.warm.run()
    assert errors == [None]
    return group


def on_the_lane(group: Group, host: NotingHost, sampled: bool = False) -> ExpressRun:
    run = open_run(group.express, ChainPlan(group.filters, group.express), host, sampled, lambda: 1)
    assert isinstance(run, ExpressRun)
    return run


def spec(name: str, **fields: object) -> model.Filter:
    return model.Filter(**{"name": name, "module": "m", "abi": "proxy-wasm/0.2.1", **fields})  # type: ignore[arg-type]


def test_filters_side_by_side_share_a_store_where_bounds_and_handling_are_equal() -> None:
    tight = model.FilterLimits(host_calls=5)
    chain = [
        *(spec("a"), spec("b", config=b"other"), spec("c", limits=tight), spec("d", limits=tight)),
        *(spec("e", fail_open=True), spec("f", isolation="Request"), spec("g", isolation="Request")),
        *(spec("h"), spec("i", non_utf8="raw"), spec("j")),
    ]
    assert ["".join(one.name for one in group) for group in grouped(chain)] == [
        *("ab", "cd", "e", "f", "g", "h", "i", "j"),
    ]
    assert [len(group) for group in grouped([spec(str(k)) for k in range(18)])] == [8, 8, 2]


def test_each_of_eight_guests_has_its_own_configuration_environment_and_metrics() -> None:
    services = FakeServices()
    ask = Script().call("define_metric", 0, b"m", cell(0)).call("environ_sizes_get", cell(1), cell(2))
    ask.peek(cell(2), 4).get("get_property", b"plugin_name")
    group = bound_together(services, *[{"request_headers": ask}] * 8)
    for number, bound in enumerate(group.filters):
        stream = opened(bound, FakePort(request_head()))
        assert stream.request_head(True) == 0
        output = Output(services)
        assert output.words(2) == [0, 0]
        assert output.bytes() == (len("WHO=") + number + 2).to_bytes(4, "little")
        assert (output.word(), output.bytes()) == (0, b"f%d" % number)
    assert sorted(services.metrics.names) == [(f"f{k}", 0, "m") for k in range(8)]
    assert len({id(bound.life.current) for bound in group.filters}) == 1


def test_a_trap_ends_what_is_in_flight_in_the_whole_cell_and_the_spare_goes_on() -> None:
    services = FakeServices()
    trap = Script().call("get_header_map_value", 0, b"x-die", cell(0), cell(1))
    group = bound_together(services, {}, {"request_headers": trap, "response_headers": Script().trap()}, {})
    services.warm.run()
    hosts = [NotingHost() for _ in range(3)]
    runs = [on_the_lane(group, host) for host in hosts]
    for run in runs:
        run.request_head(request_head(), True)
    runs[1].response_head(response_head(), True)
    for host in hosts:
        host.turn()
    assert [host.won and host.won.status for host in hosts] == [503, 503, 503]
    assert hosts[1].won is not None and hosts[1].won.source_name == "f1"
    assert [bound.traps for bound in group.filters] == [0, 1, 0]
    again = NotingHost()
    on_the_lane(group, again).request_head(request_head(), True)
    assert again.calls == ["request_head end"]


def test_a_cell_ends_with_its_last_exchange_and_every_root_context_hears_of_it() -> None:
    services = FakeServices()
    ends = {"done": Script().call("log", 2, b"done"), "delete": Script().call("log", 2, b"delete")}
    group = bound_together(services, ends, ends)
    run = on_the_lane(group, NotingHost())
    run.request_head(request_head(), True)
    gone = ref(group.life.current)
    group.retire()
    services.lines.clear()
    run.done()
    lines = [text for _, text in services.lines if text in ("done", "delete")]
    assert lines == ["done", "delete"] * 4
    del run
    assert gone() is None


def test_a_group_that_is_over_is_freed_by_count() -> None:
    """A worker freezes what it has: cycles of a revision that is over would stay for hundreds of reloads."""
    services = FakeServices()
    group = bound_together(services, {}, {})
    services.warm.run()
    on_the_lane(group, NotingHost()).done()
    gone = [ref(group), ref(group.life), *map(ref, group.filters)]
    gc.collect()
    gc.disable()
    try:
        group.retire()
        del group
        assert [each() for each in gone] == [None] * 4
    finally:
        gc.enable()


def test_a_root_context_that_puts_off_its_end_is_asked_once() -> None:
    services = FakeServices()
    group = bound_together(services, {"done": Script().call("log", 2, b"done").answer(0)}, {})
    run = on_the_lane(group, NotingHost())
    run.request_head(request_head(), True)
    group.retire()
    services.lines.clear()
    run.done()
    # One for the exchange, one for the root.
    assert [text for _, text in services.lines if text == "done"] == ["done", "done"]
    (instance, _) = next(iter(group._cells)).instances
    assert instance.root.done_pending


class Slow(NotingHost):
    """Says when it has dealt with the request's head."""

    def forward_request_head(self, head: RequestHead, end: bool) -> None:
        super().forward_request_head(head, end)
        self.calls.append("taken")


def test_what_comes_while_the_host_takes_the_head_waits_until_it_has() -> None:
    services = FakeServices()
    group = bound_together(services, {}, {})
    host = Slow()
    run = on_the_lane(group, host)
    host.on["request_head"] = lambda: run.reply(LocalReply(502, [], b"failed", "why", "edge"))
    run.request_head(request_head(), True)
    assert host.calls[:3] == ["request_head end", "taken", "reply_won 502"]


def test_a_whole_response_passes_the_lane_at_once_and_the_host_sends_it() -> None:
    services = FakeServices()
    edit = Script().call("replace_header_map_value", 2, b"x-seen", b"yes")
    group = bound_together(services, {}, {"response_headers": edit})
    host = NotingHost()
    run = on_the_lane(group, host)
    run.request_head(request_head(), True)
    head = response_head()
    assert run.response_passes(head)
    assert head.fields[-1] == (b"x-seen", b"yes")
    assert not run.reply(LocalReply(502, [], b"late", "why", "edge"))
    run.done()
    assert [call for call in host.calls if call.startswith("response")] == []


def test_what_guests_add_is_remembered_within_bounds() -> None:
    cell = bound_together(FakeServices(), {}).life.current
    assert cell is not None
    for number in range(1000):
        fields, names = cell.note_added(b"x-user\0%d\0x-two\0" % number)
        assert (fields, names) == ([(b"x-user", b"%d" % number), (b"x-two", b"")], (b"x-user", b"x-two"))
        assert 0 < len(cell.added) <= 256
    kept = len(cell.added)
    cell.note_added(b"x-long\0" + b"v" * 2000)
    assert len(cell.added) == kept


def test_a_dead_cell_leaves_no_cycles() -> None:
    services = FakeServices()
    group = bound_together(services, {}, {"response_headers": Script().trap()})
    gc.collect()
    gc.disable()
    try:
        gone = ref(group.life.current)
        run = on_the_lane(group, NotingHost())
        run.request_head(request_head(), True)
        run.response_head(response_head(), True)
        run.done()
        del run
        assert gone() is None
    finally:
        gc.enable()


def test_a_tick_can_answer_an_exchange_that_is_on_the_lane() -> None:
    services = FakeServices()
    tick = Script().call("set_own_context").call("send_local_response", 403, b"", b"no", b"", 0xFFFFFFFF)
    group = bound_together(
        services,
        {"response_headers": Script().call("add_header_map_value", 2, b"x-f", b"0")},
        {"configure": Script().call("set_tick_period_milliseconds", 100), "tick": tick},
    )
    host = NotingHost()
    run = on_the_lane(group, host)
    run.request_head(request_head(), True)
    assert run.run is None
    services.advance(0.1)
    host.turn()
    assert host.won is not None and host.won.source_name == "f1"
    assert host.response is not None and host.response.fields[-1] == (b"x-f", b"0")


def test_filters_that_want_bodies_do_not_take_the_lane() -> None:
    services = FakeServices()
    assert not bound_together(services, {}, {}, heads=False).fits_express()
    group = bound_together(services, {})
    assert group.fits_express()
    plan = ChainPlan(group.filters, group.express)
    for sampled in (False, True):
        assert isinstance(open_run(plan.express, plan, NotingHost(), sampled, lambda: 1), ExpressRun)


def test_without_a_started_cell_the_filters_of_an_exchange_share_a_fresh_one() -> None:
    services = FakeServices()
    group = bound_together(services, {}, {"request_headers": Script().trap()}, {})
    host = NotingHost()
    on_the_lane(group, host).request_head(request_head(), True)
    plan = ChainPlan(group.filters, group.express)
    assert open_run(plan.express, plan, host, False, lambda: 1).__class__ is ChainRun
    port = FakePort(request_head())
    streams = [opened(bound, port) for bound in group.filters]
    assert len({id(stream.instance.cell) for stream in streams}) == 1
    other = opened(group.filters[0], FakePort(request_head()))
    assert other.instance.cell is not streams[0].instance.cell
    for stream in streams:
        stream.done()
    assert streams[0].instance.dead and not other.instance.dead


def test_a_group_names_the_filter_that_cannot_be_had() -> None:
    services = FakeServices()
    group = bound_together(services, {}, {})
    group.retire()
    found = group.filters[1].open(FakePort(request_head()))
    assert isinstance(found, FilterUnavailable) and found.filter_name == "f1"


@pytest.mark.parametrize("sampled", [False, True])
@pytest.mark.parametrize("open_id", [2, 3, 4])
def test_ids_of_contexts_begin_again_and_pass_over_those_in_use(open_id: int, sampled: bool) -> None:
    """2**32 exchanges later one that is still open keeps its id: on the lane, or with contexts of its own."""
    group = bound_together(FakeServices(), {}, {})
    cell_ = group.life.current
    assert cell_ is not None
    cell_.next_id = open_id
    lasting = on_the_lane(group, NotingHost())
    lasting.request_head(request_head(), True)
    alone = opened(group.filters[0], FakePort(request_head()))
    assert set(cell_.lanes) | set(cell_.instances[0].contexts) == {open_id, open_id + 1}
    cell_.next_id = 0xFFFF_FF00 - 2
    taken: list[int] = []
    for _ in range(6):
        run = on_the_lane(group, host := NotingHost(), sampled)
        run.request_head(request_head(), True)
        assert host.calls == ["request_head end"]
        (number,) = set(cell_.lanes) - {open_id}
        taken.append(number)
        run.done()
        stream = opened(group.filters[0], FakePort(request_head()))
        assert stream.request_head(True) == 0
        (number,) = set(cell_.instances[0].contexts) - {open_id + 1}
        taken.append(number)
        stream.done()
    free = [number for number in range(2, 20) if number not in (open_id, open_id + 1)]
    assert taken == [0xFFFF_FEFE, 0xFFFF_FEFF, *free[:10]]
    alone.done()
    lasting.done()

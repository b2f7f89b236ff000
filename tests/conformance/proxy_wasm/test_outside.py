"""What needs the world: callouts, ticks, shared data, metrics."""

from __future__ import annotations

import pytest

from edge import model
from edge.abi.proxy_wasm.cell import FINISH_S
from edge.chain.filter import Action, Direction
from edge.errors import FilterTrap
from edge.head import ResponseHead
from tests.conformance.proxy_wasm.rig import (
    FakePort,
    FakeServices,
    Output,
    request_head,
)
from tests.conformance.proxy_wasm.script import Script, cell, pairs
from tests.conformance.proxy_wasm.scripted import CALL, opened, scripted

OK = 0


def test_a_callout_pauses_is_answered_and_resumes_the_exchange_that_started_it() -> None:
    services = FakeServices()
    call = (
        Script().call("http_call", b"auth", CALL, b"question", pairs((b"x-t", b"1")), 250, cell(0)).answer(1)
    )
    answered = Script().get("get_header_map_value", 6, b":status").get("get_buffer_bytes", 4, 0, 100)
    answered.get("get_header_map_value", 7, b"x-end").call("set_effective_context", 2)
    answered.call("replace_header_map_value", 0, b"x-user", b"bob").call("continue_stream", 0)
    bound = scripted(services, request_headers=call, call_response=answered)
    port = FakePort(request_head())
    stream = opened(bound, port)
    assert stream.request_head(True) is Action.PAUSE
    assert (port.waits, port.resumed) == (1, [])
    ((cluster, head, body, trailers, timeout_s),) = services.callouts.started
    assert (cluster, body, trailers, timeout_s) == ("auth", b"question", [(b"x-t", b"1")], 0.25)
    assert (head.method, head.authority, head.path, head.fields) == (
        b"POST",
        b"auth.local",
        b"/check",
        [(b"x-a", b"1")],
    )
    Output(services)
    services.callouts.done[0](ResponseHead(200, [(b"x", b"y")], 3), b"yes", [(b"x-end", b"1")])
    output = Output(services)
    assert output.words(4) == [1, 3, 3, 1]
    assert [output.word(), output.bytes(), output.word(), output.bytes()] == [0, b"200", 0, b"yes"]
    assert [output.word(), output.bytes()] == [0, b"1"]
    assert output.words(3) == [0, 0, 0]
    assert (port.waits, port.resumed) == (0, [Direction.REQUEST])
    assert port.request.get(b"x-user") == b"bob"


def test_a_failed_callout_has_no_headers_at_all() -> None:
    services = FakeServices()
    call = Script().call("http_call", b"auth", CALL, b"", b"", 0, cell(0)).answer(1)
    bound = scripted(services, request_headers=call, call_response=Script())
    stream = opened(bound, FakePort(request_head()))
    stream.request_head(True)
    Output(services)
    services.callouts.done[0](None, b"", [])
    assert Output(services).words(4) == [1, 0, 0, 0]


def test_an_exchange_may_start_so_many_callouts_and_no_more() -> None:
    services = FakeServices()
    call = Script()
    for _ in range(5):
        call.call("http_call", b"auth", CALL, b"", b"", 0, cell(0))
    bound = scripted(services, {"limits": model.FilterLimits(callouts=3)}, request_headers=call)
    opened(bound, FakePort(request_head())).request_head(True)
    assert Output(services).words(5) == [0, 0, 0, 10, 10]
    assert len(services.callouts.started) == 3


def test_an_answer_for_an_exchange_that_is_over_reaches_the_root_and_nobody_else() -> None:
    services = FakeServices()
    call = Script().call("http_call", b"auth", CALL, b"", b"", 0, cell(0))
    bound = scripted(services, request_headers=call, call_response=Script().call("set_effective_context", 2))
    port = FakePort(request_head())
    stream = opened(bound, port)
    stream.request_head(True)
    stream.done()
    waits = port.waits
    Output(services)
    services.callouts.done[0](ResponseHead(200, []), b"", [])
    output = Output(services)
    assert output.words(5) == [1, 1, 0, 0, 2]
    assert port.waits == waits


def test_a_callout_of_the_start_goes_out_when_the_instance_serves() -> None:
    services = FakeServices()
    ask = Script().call("http_call", b"auth", CALL, b"", b"", 0, cell(0))
    bound = scripted(services, configure=ask)
    assert len(services.callouts.started) == 1, "the spare is not serving"
    services.warm.run()
    assert len(services.callouts.started) == 1
    services.callouts.done[0](ResponseHead(204, []), b"", [])
    assert bound.life.traps == 0


def test_ticks_come_at_their_period_but_not_more_often_than_ten_times_a_second() -> None:
    services = FakeServices()
    bound = scripted(
        services,
        configure=Script().call("set_tick_period_milliseconds", 1),
        tick=Script().call("log", 3, b"tick"),
    )
    services.advance(0.05)
    assert services.lines.count((3, "tick")) == 0
    for _ in range(3):
        services.advance(0.1)
    assert services.lines.count((3, "tick")) == 3
    bound.retire()
    services.advance(1.0)
    assert services.lines.count((3, "tick")) == 3


def test_a_tick_may_resume_a_paused_exchange() -> None:
    services = FakeServices()
    resume = Script().call("set_effective_context", 2).call("continue_stream", 0)
    bound = scripted(
        services,
        configure=Script().call("set_tick_period_milliseconds", 100),
        request_headers=Script().answer(1),
        tick=resume,
    )
    port = FakePort(request_head())
    assert opened(bound, port).request_head(True) is Action.PAUSE
    services.advance(0.1)
    assert port.resumed == [Direction.REQUEST]


@pytest.mark.parametrize(
    ("singleton", "first", "ticks"), [(True, True, 1), (True, False, 0), (False, False, 1)]
)
def test_a_singleton_ticks_in_the_first_worker_only(singleton: bool, first: bool, ticks: int) -> None:
    services = FakeServices()
    services.first = first
    configure = Script().call("set_tick_period_milliseconds", 100).quiet()
    tick = Script().call("get_log_level", cell(0))
    bound = scripted(services, {"singleton": singleton}, configure=configure, tick=tick)
    services.advance(0.1)
    output = Output(services)
    assert [output.word() for _ in range(ticks)] == [OK] * ticks
    assert output.at_end()
    assert bound.life.traps == 0


def test_shared_data_is_swapped_only_with_the_right_number() -> None:
    services = FakeServices()
    script = Script().call("set_shared_data", b"k", b"one", 0)
    script.call("get_shared_data", b"k", cell(0), cell(1), cell(2)).follow(cell(0), cell(1)).peek(cell(2), 4)
    script.call("set_shared_data", b"k", b"two", 1).call("set_shared_data", b"k", b"three", 1)
    script.call("set_shared_data", b"k", b"V" * 1_100_000, 0)
    bound = scripted(services, {"limits": model.FilterLimits(bytes_copied=4 << 20)}, request_headers=script)
    opened(bound, FakePort(request_head())).request_head(True)
    output = Output(services)
    assert output.words(2) == [0, 0]
    assert (output.bytes(), output.bytes()) == (b"one", b"\1\0\0\0")
    assert output.words(3) == [0, 8, 10]
    assert services.shared.get("", b"k") == (b"two", 2)


def test_metrics_arrive_as_changes() -> None:
    services = FakeServices()
    script = Script()
    for kind, name in ((0, b"count"), (1, b"level"), (2, b"times")):
        script.call("define_metric", kind, name, cell(kind))
    script.call("increment_metric", 0, 2, 0).call("increment_metric", 0, 3, 0).call("record_metric", 5, 40, 0)
    script.call("increment_metric", 5, 0xFFFFFFFF, 0xFFFFFFFF).call("record_metric", 10, 7, 0)
    script.call("get_metric", 5, cell(3)).peek(cell(3), 8).call("increment_metric", 0, 0xFFFFFFFF, 0xFFFFFFFF)
    opened(scripted(services, request_headers=script), FakePort(request_head())).request_head(True)
    output = Output(services)
    assert output.words(9) == [0] * 9
    assert output.bytes() == (39).to_bytes(8, "little")
    assert output.word() == 2
    assert services.metrics.values == [5, 39, 0]
    assert services.metrics.observed == [(2, 7)]


def test_a_root_context_may_put_off_its_end_until_proxy_done() -> None:
    services = FakeServices()
    bound = scripted(
        services,
        configure=Script().call("set_tick_period_milliseconds", 100),
        done=Script().call("log", 3, b"done").answer(0),
        tick=Script().call("log", 3, b"tick").call("done"),
        delete=Script().call("log", 3, b"delete"),
    )
    bound.retire()
    services.advance(0.1)
    services.advance(1.0)
    assert [text for level, text in services.lines if level == 3] == ["done", "tick", "delete"]


def test_a_root_context_that_never_comes_to_its_end_is_ended() -> None:
    services = FakeServices()
    bound = scripted(
        services,
        configure=Script().call("set_tick_period_milliseconds", 100),
        done=Script().answer(0),
        tick=Script().call("log", 3, b"tick"),
        delete=Script().call("log", 3, b"delete"),
    )
    current = bound.life.current
    assert current is not None
    bound.retire()
    services.advance(FINISH_S - 0.1)
    assert not current.dead
    services.advance(0.1)
    assert current.dead
    ticks = services.lines.count((3, "tick"))
    late = "on_done put off the end of the root context and proxy_done did not come within 10 s: ended"
    assert services.lines.count((3, late)) == 1
    services.advance(1.0)
    assert services.lines.count((3, "tick")) == ticks


def test_a_trap_in_a_tick_fails_the_exchanges_in_flight_and_the_spare_goes_on_ticking() -> None:
    services = FakeServices()
    bound = scripted(
        services,
        configure=Script().call("set_tick_period_milliseconds", 100),
        tick=Script().call("log", 3, b"tick").trap(),
    )
    services.warm.run()
    port = FakePort(request_head())
    stream = opened(bound, port)
    stream.request_head(True)
    services.advance(0.1)
    assert [type(failure) for failure in port.failures] == [FilterTrap]
    stream.done()
    assert bound.life.current is not None and bound.life.current is not stream.instance
    assert services.lines.count((3, "tick")) == 1
    services.advance(0.1)
    assert bound.life.traps == 2
    assert services.lines.count((3, "tick")) == 2

"""Callbacks, edits, pauses, bodies, replies, records, and what follows a trap."""

from __future__ import annotations

import gc
from weakref import ref

import pytest

from edge import model
from edge.chain.filter import Action, Direction, FilterRecord, Phase
from edge.errors import FilterTrap, FilterUnavailable
from edge.head import RequestHead
from tests.conformance.proxy_wasm import build
from tests.conformance.proxy_wasm.rig import (
    FakeBody,
    FakePort,
    FakeServices,
    Output,
    request_head,
    response_head,
    started,
)
from tests.conformance.proxy_wasm.script import Script, cell, configuration, pairs
from tests.conformance.proxy_wasm.scripted import opened, scripted


def test_the_phases_of_a_filter_are_its_exports() -> None:
    bound = started(build.module(build.compiled("three_calls")))
    assert bound.phases == Phase.REQUEST_HEAD | Phase.RESPONSE_HEAD


def test_additions_extend_the_cached_encoding() -> None:
    bound = started(build.module(build.compiled("three_calls")))
    port = FakePort(request_head())
    stream = opened(bound, port)
    assert stream.request_head(True) is Action.CONTINUE
    cached = port.request.encoded()
    port.request.touch()
    assert cached == port.request.encoded()
    assert cached[0].endswith(b"x-user\0alice")


def test_a_changed_path_is_made_canonical_and_a_wrong_one_fails_the_request() -> None:
    for given, path in ((b"/a/%61/../b", b"/a/b"), (b"/a%00b", None)):
        port = FakePort(request_head())
        stream = opened(
            scripted(request_headers=Script().call("replace_header_map_value", 0, b":path", given)), port
        )
        action = stream.request_head(True)
        if path is None:
            assert action is Action.FAIL
            assert stream.failure is not None and "path" in stream.failure.detail
        else:
            assert (action, port.request.path) == (Action.CONTINUE, path)


def test_another_content_length_means_that_the_length_is_not_known() -> None:
    for write, length in ((b"23", 23), (b"24", None)):
        port = FakePort(request_head(length=23))
        script = Script().call("replace_header_map_value", 0, b"content-length", write)
        opened(scripted(request_headers=script), port).request_head(False)
        assert port.request.length == length


def test_values_that_are_no_utf8_are_shown_as_latin1_and_forwarded_as_they_are() -> None:
    read = Script().get("get_header_map_value", 0, b"x-odd").call("add_header_map_value", 0, b"x-new", b"1")
    for mode, seen, action in (
        ("transcode", "été".encode(), Action.CONTINUE),
        ("raw", b"\xe9t\xe9", Action.CONTINUE),
        ("reject", None, Action.REPLY),
    ):
        services = FakeServices()
        port = FakePort(request_head((b"x-odd", b"\xe9t\xe9")))
        stream = opened(scripted(services, {"non_utf8": mode}, request_headers=read), port)
        assert stream.request_head(True) is action
        if seen is None:
            assert port.replies[0].status == 400
            continue
        output = Output(services)
        assert (output.word(), output.bytes()) == (0, seen)
        assert port.request.get(b"x-odd") == b"\xe9t\xe9"
        assert port.request.get(b"x-new") == b"1"


def test_a_body_is_buffered_read_in_windows_and_replaced() -> None:
    services = FakeServices()
    read = Script().call("get_buffer_bytes", 0, 0, 0x7FFFFFFF, cell(0), cell(1)).peek(cell(1), 4)
    read.call("get_buffer_bytes", 0, 149_995, 10, cell(0), cell(1)).follow(cell(0), cell(1))
    read.call("set_buffer_bytes", 0, 0, 200_000, b"short").call("set_buffer_bytes", 0, 100, 0, b" end")
    fields = {"limits": model.FilterLimits(bytes_copied=1000)}
    bound = scripted(services, fields, request_body=read.call("remove_header_map_value", 0, b"x-in"))
    port = FakePort(request_head())
    stream = opened(bound, port)
    assert stream.request_head(False) is Action.CONTINUE
    port.bodies[Direction.REQUEST] = FakeBody(b"a" * 149_996 + b"tail")
    assert stream.request_data(150_000, True) is Action.CONTINUE
    output = Output(services)
    assert [output.word(), output.bytes()] == [0, (150_000).to_bytes(4, "little")]
    assert [output.word(), output.bytes()] == [0, b"atail"]
    assert output.words(3) == [0, 0, 0]
    body = port.bodies[Direction.REQUEST]
    assert body is not None and body.data == b"short end"
    assert port.request.get(b"x-in") is None


def test_pausing_a_body_asks_again_with_the_whole() -> None:
    port = FakePort(request_head())
    stream = opened(scripted(), port)
    stream.request_head(False)
    port.bodies[Direction.REQUEST] = FakeBody(b"12345")
    assert stream.request_data(5, False) is Action.PAUSE
    port.bodies[Direction.REQUEST] = FakeBody(b"1234567890")
    assert stream.request_data(10, True) is Action.CONTINUE


def test_edits_of_a_head_that_has_gone_are_ignored_out_loud() -> None:
    services = FakeServices()
    late = Script().call("replace_header_map_value", 0, b"x-late", b"1")
    port = FakePort(request_head())
    stream = opened(scripted(services, response_headers=late), port)
    stream.request_head(True)
    port.open[Direction.REQUEST] = False
    port.response = response_head()
    assert stream.response_head(True) is Action.CONTINUE
    assert Output(services).word() == 0
    assert port.request.get(b"x-late") is None
    assert services.lines == [(3, "1 edits ignored: that head or trailer had already gone on")]


def test_trailers_are_read_changed_and_created() -> None:
    port = FakePort(request_head())
    change = (
        Script()
        .call("replace_header_map_value", 1, b"x-sum", b"2")
        .call("add_header_map_value", 1, b"x-b", b"3")
    )
    create = Script().call("add_header_map_value", 3, b"x-made", b"1")
    stream = opened(scripted(request_trailers=change, response_body=create), port)
    stream.request_head(False)
    port.request_trailers = [(b"x-sum", b"1")]
    assert stream.request_trailers() is Action.CONTINUE
    assert port.request_trailers == [(b"x-sum", b"2"), (b"x-b", b"3")]
    port.response = response_head()
    stream.response_head(False)
    port.bodies[Direction.RESPONSE] = FakeBody(b"x")
    assert stream.response_data(1, False) is Action.PAUSE
    assert port.response_trailers is None
    assert stream.response_data(1, True) is Action.CONTINUE
    assert port.response_trailers == [(b"x-made", b"1")]


def test_the_first_local_reply_wins_and_a_refused_one_does_not_pause() -> None:
    reply = Script().call(
        "send_local_response", 403, b"denied\n", b"no", pairs((b"X-Why", b"1"), (b"Connection", b"x")), -1
    )
    reply.call("send_local_response", 500, b"", b"", b"", -1).answer(1)
    for takes, action in ((True, Action.REPLY), (False, Action.CONTINUE)):
        port = FakePort(request_head())
        port.takes_replies = takes
        assert opened(scripted(request_headers=reply), port).request_head(True) is action
        if takes:
            (made,) = port.replies
            assert (made.status, made.fields, made.body) == (403, [(b"x-why", b"1")], b"no")
            assert (made.details, made.source, made.source_name) == ("denied\\n", "filter", "f")


def test_a_grpc_reply_is_trailers_only() -> None:
    reply = Script().call("send_local_response", 403, b"denied", b"no", b"", 7)
    port = FakePort(request_head((b"content-type", b"application/grpc+proto")))
    opened(scripted(request_headers=reply), port).request_head(True)
    (made,) = port.replies
    assert (made.status, made.body) == (200, b"")
    assert made.fields == [(b"grpc-status", b"7"), (b"grpc-message", b"denied")]


def test_closing_a_stream_resets_the_exchange() -> None:
    port = FakePort(request_head())
    assert (
        opened(scripted(request_headers=Script().call("close_stream", 0)), port).request_head(True)
        is Action.RESET
    )
    assert port.resets == 1


def test_a_trap_fails_the_exchanges_of_that_instance_and_a_spare_takes_over() -> None:
    services = FakeServices()
    bound = scripted(services, response_headers=Script().call("log", 4, b"last words").trap())
    services.warm.run()
    first, second = FakePort(request_head()), FakePort(request_head())
    one, other = opened(bound, first), opened(bound, second)
    assert [one.request_head(True), other.request_head(True)] == [Action.CONTINUE] * 2
    first.response = second.response = response_head()
    assert one.response_head(True) is Action.FAIL
    assert isinstance(one.failure, FilterTrap)
    assert services.lines == [(4, "last words")]
    assert [type(failure) for failure in second.failures] == [FilterTrap]
    assert first.failures == []
    assert other.response_head(True) is Action.FAIL
    one.done()
    other.done()
    third = opened(bound, FakePort(request_head()))
    assert third.instance is not one.instance
    assert third.request_head(True) is Action.CONTINUE


def test_with_request_isolation_every_exchange_has_an_instance_of_its_own() -> None:
    bound = scripted(fields={"isolation": "Request"}, response_headers=Script().trap())
    streams = [opened(bound, FakePort(request_head())) for _ in range(3)]
    assert len({id(stream.instance) for stream in streams}) == 3
    assert [stream.request_head(True) for stream in streams] == [Action.CONTINUE] * 3
    streams[0]._port.response = response_head()
    assert streams[0].response_head(True) is Action.FAIL
    assert streams[1].failure is None


def test_a_guest_that_will_not_start_says_why() -> None:
    module = build.module(build.compiled("script"))
    for callback, script, words in (
        ("configure", Script().answer(0), "proxy_on_configure answered false"),
        ("configure", Script().trap(), "unreachable"),
        ("configure", Script().loop(), "cpu_budget"),
    ):
        with pytest.raises(FilterUnavailable, match=words):
            started(module, config=configuration(**{callback: script}))


def test_on_done_on_log_and_on_delete_come_once_in_that_order() -> None:
    services = FakeServices()
    log = {name: Script().call("log", 3, name.encode()) for name in ("done", "log", "delete")}
    port = FakePort(request_head())
    stream = opened(scripted(services, **log), port)
    stream.request_head(True)
    stream.done()
    assert [text for level, text in services.lines if level == 3] == ["done", "log", "delete"]


def test_an_exchange_that_the_guest_never_saw_leaves_no_trace_in_it() -> None:
    services = FakeServices()
    stream = opened(scripted(services, done=Script().call("log", 3, b"done")), FakePort(request_head()))
    stream.done()
    assert services.lines == []
    assert stream.instance.contexts == {}


def test_a_sampled_exchange_is_recorded() -> None:
    port = FakePort(request_head())
    port.record = record = FilterRecord("f", 0, Direction.REQUEST, 0)
    edits = (
        Script()
        .call("replace_header_map_value", 0, b"x-in", b"1")
        .call("remove_header_map_value", 0, b"cookie")
    )
    edits.get("get_property", b"source\0address")
    opened(scripted(request_headers=edits), port).request_head(True)
    assert record.edits == ["x-in", "cookie"]
    assert record.calls == 1
    assert record.host_calls == 4
    assert record.guest_ns > 0 and record.host_ns > 0
    assert record.memory_bytes >= 1 << 20 and record.bytes_out > 0


def test_a_property_edge_backend_chooses_the_backend() -> None:
    port = FakePort(request_head())
    opened(
        scripted(request_headers=Script().call("set_property", b"edge\0backend", b"blue")), port
    ).request_head(True)
    assert port.backend == "blue"


def test_retiring_ends_the_root_context_when_the_last_exchange_is_over() -> None:
    services = FakeServices()
    ends = {name: Script().call("log", 3, name.encode()) for name in ("done", "delete")}
    bound = scripted(services, **ends)
    stream = opened(bound, FakePort(request_head()))
    stream.request_head(True)
    bound.retire()
    assert services.lines == []
    assert isinstance(bound.open(FakePort(RequestHead(b"GET", b"http", b"a", b"/", []))), FilterUnavailable)
    stream.done()
    assert [text for level, text in services.lines if level == 3] == ["done", "delete", "done", "delete"]


def test_an_instance_goes_with_its_last_user_and_not_with_the_garbage_collector() -> None:
    services = FakeServices()
    traps = scripted(services, response_headers=Script().trap())
    fresh = scripted(fields={"isolation": "Request"})
    retired = scripted()
    gc.collect()
    gc.disable()
    try:
        gone = []
        for bound in (traps, fresh, retired):
            port = FakePort(request_head(), response_head())
            stream = opened(bound, port)
            gone.append(ref(stream.instance))
            stream.request_head(True)
            stream.response_head(True)
            stream.done()
            bound.retire()
            del stream, port
        assert [instance() for instance in gone] == [None, None, None]
    finally:
        gc.enable()


def test_guests_never_see_more_of_a_body_than_is_there() -> None:
    services = FakeServices()
    read = (
        Script()
        .get("get_buffer_bytes", 0, 3, 100)
        .get("get_buffer_bytes", 0, 50, 1)
        .get("get_buffer_bytes", 1, 0, 9)
    )
    port = FakePort(request_head())
    stream = opened(scripted(services, request_body=read), port)
    port.bodies[Direction.REQUEST] = FakeBody(b"0123456")
    stream.request_data(7, True)
    output = Output(services)
    assert [output.word(), output.bytes()] == [0, b"3456"]
    assert [output.word(), output.bytes()] == [0, b""]
    assert [output.word(), output.bytes()] == [1, b""]


def test_the_last_value_of_a_pseudo_header_counts_and_other_edits_stand() -> None:
    wrong = (
        Script()
        .call("replace_header_map_value", 0, b"host", b"a_b..c:x")
        .call("add_header_map_value", 0, b"x", b"1")
    )
    port = FakePort(request_head())
    assert opened(scripted(request_headers=wrong), port).request_head(True) is Action.FAIL
    assert port.request.fields[-1] == (b"x", b"1")
    put_right = wrong.call("replace_header_map_value", 0, b"host", b"fine.example")
    port = FakePort(request_head())
    assert opened(scripted(request_headers=put_right), port).request_head(True) is Action.CONTINUE
    assert port.request.authority == b"fine.example"

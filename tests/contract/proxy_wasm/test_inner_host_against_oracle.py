"""Both hosts run the same guests and the same host calls, and nobody can tell them apart."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.chain.filter import Direction
from edge.head import ResponseHead
from tests.conformance.proxy_wasm import build
from tests.conformance.proxy_wasm.rig import request_head, response_head
from tests.conformance.proxy_wasm.script import Script, cell, configuration, pairs
from tests.contract.proxy_wasm.pair_of_hosts import Twins

_FREQUENT = (
    b"x-in",
    b"X-In",
    b"x-new",
    b"cookie",
    b"set-cookie",
    b"content-length",
    b":path",
    b":status",
    b"host",
)
NAMES = st.sampled_from(
    [
        *_FREQUENT,
        *_FREQUENT,
        *(b":authority", b":method", b"connection", b"te", b"", b"bad name", b"nul\0", b":", b"x-latin"),
        *(b"transfer-encoding", b":scheme", b"x-" + b"n" * 5000, b"\xff"),
    ]
)
VALUES = st.one_of(
    st.sampled_from(
        [
            *(
                b"",
                b"v",
                b"hello",
                b"/new/path?q=1",
                b"/a/../b",
                b"example.org",
                b"GET",
                b"204",
                b"512",
                b"23",
            ),
            *(
                b"https",
                b"a\r\nb: c",
                b"nul\0",
                b" blank",
                b"h\xc3\xa9",
                b"\xe9t\xe9",
                b"tab\there",
                b"v" * 30_000,
            ),
        ]
    ),
    st.binary(max_size=40),
)
MAPS = st.sampled_from([*[0] * 8, *[2] * 6, 1, 1, 3, 3, 4, 6, 7, 8, 0xFFFFFFFF])
OUT = st.sampled_from([(cell(0), cell(1)), (cell(0), cell(0)), (0xFFFFFFFE, cell(1)), (cell(0), 0xFFFFFFFF)])
BAD_SPANS = st.sampled_from([(0xFFFFFFF0, 32), (0x7FFFFFFF, 0x7FFFFFFF), (65_536, 0xFFFFFFFF), (1 << 28, 1)])
PAIRS = st.lists(
    st.tuples(NAMES.filter(lambda n: len(n) < 100), VALUES.filter(lambda v: len(v) < 100)), max_size=8
)
TAKING: dict[str, int] = {
    "get_header_map_value": 1, "add_header_map_value": 2, "replace_header_map_value": 2,
    "remove_header_map_value": 1,
}  # fmt: skip


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, tuple[Any, ...], bool]:
    """A host call, its arguments, and whether it gives bytes."""
    kind = draw(st.integers(0, 19))
    if kind <= 6:
        name = draw(st.sampled_from(sorted(TAKING)))
        arguments: list[Any] = [draw(MAPS)]
        for source in (NAMES, VALUES)[: TAKING[name]]:
            arguments += [draw(source)] if draw(st.integers(0, 19)) else list(draw(BAD_SPANS))
        if name == "get_header_map_value":
            arguments += draw(OUT)
        return name, tuple(arguments), name == "get_header_map_value"
    if kind <= 8:
        return "get_header_map_pairs", (draw(MAPS), *draw(OUT)), True
    if kind <= 10:
        data = pairs(*draw(PAIRS))
        cut = draw(st.sampled_from([0, 0, 0, 0, 1, 4]))
        return "set_header_map_pairs", (draw(MAPS), data[: len(data) - cut]), False
    return draw(_OTHERS)


PATHS = st.sampled_from(
    [b"source\0address", b"request\0path\0", b"own", b"plugin_name", b"nothing", b"edge\0backend"]
)
SMALL = st.sampled_from([0, 1, 2, 3, 5, 100, 0x7FFFFFFF, 0xFFFFFFFF])
_OTHERS = st.one_of(
    st.tuples(
        st.just("get_header_map_size"),
        st.tuples(MAPS, st.sampled_from([cell(0), 0xFFFFFFFE])),
        st.just(False),
    ),
    st.tuples(st.just("get_property"), st.tuples(PATHS, st.just(cell(0)), st.just(cell(1))), st.just(True)),
    st.tuples(
        st.just("set_property"),
        st.tuples(PATHS, st.sampled_from([b"blue", b"red", b"", b"x" * 100])),
        st.just(False),
    ),
    st.tuples(
        st.just("get_buffer_bytes"),
        st.tuples(st.sampled_from([0, 1, 4, 6, 7, 8, 9]), SMALL, SMALL).map(lambda t: (*t, cell(0), cell(1))),
        st.just(True),
    ),
    st.tuples(
        st.just("set_buffer_bytes"),
        st.tuples(st.sampled_from([0, 1, 4, 7]), SMALL, SMALL, st.sampled_from([b"", b"new", b"B" * 70_000])),
        st.just(False),
    ),
    st.tuples(
        st.just("get_buffer_status"),
        st.tuples(st.sampled_from([0, 1, 4, 7, 9])).map(lambda t: (*t, cell(0), cell(1))),
        st.just(False),
    ),
    st.tuples(st.just("log"), st.tuples(st.sampled_from([0, 2, 5, 6]), VALUES), st.just(False)),
    st.tuples(
        st.just("set_shared_data"),
        st.tuples(
            st.sampled_from([b"k", b"", b"l"]),
            st.sampled_from([b"", b"v1", b"V" * 70_000]),
            st.sampled_from([0, 1, 2]),
        ),
        st.just(False),
    ),
    st.tuples(
        st.just("get_shared_data"),
        st.tuples(st.sampled_from([b"k", b"l", b"none"])).map(lambda t: (*t, cell(0), cell(1), cell(2))),
        st.just(False),
    ),
    st.tuples(
        st.just("define_metric"),
        st.tuples(st.sampled_from([0, 1, 2, 3]), st.sampled_from([b"m", b"n"]), st.just(cell(3))),
        st.just(False),
    ),
    st.tuples(
        st.sampled_from(["increment_metric", "record_metric"]),
        st.tuples(
            st.integers(0, 10), st.sampled_from([0, 1, 5, 0xFFFFFFFF]), st.sampled_from([0, 0, 0xFFFFFFFF])
        ),
        st.just(False),
    ),
    st.tuples(st.just("get_metric"), st.tuples(st.integers(0, 10), st.just(cell(4))), st.just(False)),
    st.tuples(
        st.just("send_local_response"),
        st.tuples(
            st.sampled_from([200, 403, 99, 600]),
            st.sampled_from([b"", b"why\n"]),
            st.sampled_from([b"", b"no", b"N" * 70_000]),
            PAIRS.map(lambda items: pairs(*items)),
            st.sampled_from([0xFFFFFFFF, 7]),
        ),
        st.just(False),
    ),
    st.tuples(
        st.just("http_call"),
        st.tuples(
            st.sampled_from([b"auth", b"unknown"]),
            st.just(
                pairs(
                    (b":method", b"GET"),
                    (b":path", b"/check"),
                    (b":authority", b"auth.local"),
                    (b"x-a", b"1"),
                )
            ),
            st.sampled_from([b"", b"body"]),
            st.sampled_from([b"", pairs((b"x-t", b"1"))]),
            st.sampled_from([0, 250, 0xFFFFFFFF]),
            st.just(cell(5)),
        ),
        st.just(False),
    ),
    st.tuples(st.just("set_effective_context"), st.tuples(st.sampled_from([1, 2, 2, 3])), st.just(False)),
    st.tuples(st.just("continue_stream"), st.tuples(st.sampled_from([0, 1, 2, 4])), st.just(False)),
    st.tuples(st.just("get_log_level"), st.tuples(st.just(cell(6))), st.just(False)),
    st.tuples(st.just("get_current_time_nanoseconds"), st.tuples(st.just(cell(6))), st.just(False)),
    st.tuples(
        st.just("get_status"), st.tuples(st.just(cell(6)), st.just(cell(7)), st.just(cell(8))), st.just(False)
    ),
)


SECTIONS = {
    "create": 3,
    "request_headers": 8,
    "request_body": 6,
    "request_trailers": 4,
    "response_headers": 8,
    "response_body": 4,
    "response_trailers": 4,
    "done": 3,
    "log": 4,
    "delete": 2,
}
"""Callbacks and how many calls each makes at most."""


@st.composite
def scripts(draw: st.DrawFn, most: int = 8) -> Script:
    script = Script()
    for name, arguments, gives in draw(st.lists(calls(), min_size=most // 2, max_size=most)):
        pointers = [value for value in arguments[-2:] if isinstance(value, int)]
        script.poke(cell(0), b"\0" * 16)
        script.call(name, *arguments)
        if gives and pointers == [cell(0), cell(1)]:
            script.follow(cell(0), cell(1))
    script.peek(cell(2), 56)
    if draw(st.booleans()):
        script.answer(draw(st.integers(0, 3)))
    return script


@given(
    data=st.data(),
    odd=st.sampled_from([b"plain", b"\xe9t\xe9", b"\xc3\xa9"]),
    length=st.sampled_from([None, 23]),
)
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
def test_random_host_calls_give_the_same_answers_edits_and_logs(
    data: st.DataObject, odd: bytes, length: int | None
) -> None:
    sections = {name: data.draw(scripts(most), label=name) for name, most in SECTIONS.items()}
    config = configuration(**sections)
    request = request_head((b"x-latin", odd), (b"x-in", b"again"), length=length)
    twins = Twins(build.compiled("script"), config, request)
    twins.request_head(False)
    twins.data(Direction.REQUEST, b"0123456789", False)
    twins.data(Direction.REQUEST, b"0123456789abcdef", True)
    twins.trailers(Direction.REQUEST, [(b"x-check", b"1")])
    twins.response_head(response_head((b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")), False)
    twins.data(Direction.RESPONSE, b"R" * 100, True)
    twins.trailers(Direction.RESPONSE, [(b"x-sum", b"9")])
    twins.done()
    assert twins.steps == 8


@given(
    answer=scripts(),
    status=st.sampled_from([200, 503, None]),
    body=st.sampled_from([b"", b"ok", b"B" * 70_000]),
)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_callouts_are_answered_alike(answer: Script, status: int | None, body: bytes) -> None:
    call = Script().call(
        "http_call",
        b"auth",
        pairs((b":method", b"GET"), (b":path", b"/"), (b":authority", b"a")),
        b"",
        b"",
        100,
        cell(0),
    )
    switched = Script().call("set_effective_context", 2)
    config = configuration(request_headers=call.answer(1), call_response=_joined(switched, answer))
    twins = Twins(build.compiled("script"), config, request_head())
    twins.request_head(False)
    head = ResponseHead(status, [(b"x-user", b"u")], None) if status is not None else None
    twins.callout_answered(
        0, head, body if head is not None else b"", [(b"x-t", b"1")] if head is not None else []
    )
    twins.done()
    assert twins.steps == 3


def _joined(*parts: Script) -> Script:
    whole = Script()
    whole._code = [piece for part in parts for piece in part._code]
    return whole

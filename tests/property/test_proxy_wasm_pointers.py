"""W17: whatever a guest passes to a host call, it is answered or the guest is ended; nothing else happens."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.abi.proxy_wasm.exchange import StreamContext
from edge.abi.proxy_wasm.layout import TRAPS
from edge.chain.filter import Action
from edge.errors import FilterTrap
from tests.conformance.proxy_wasm import build
from tests.conformance.proxy_wasm.rig import FakePort, Output, request_head, started
from tests.conformance.proxy_wasm.script import FUNCTIONS, Script, configuration

WORDS = st.one_of(
    st.integers(0, 0xFFFFFFFF),
    st.sampled_from([0, 1, 8, 4096, 65_535, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFF]),
)
CALLS = st.lists(
    st.tuples(st.sampled_from(sorted(FUNCTIONS)), st.lists(WORDS, min_size=12, max_size=12)), max_size=6
)
STATUSES = {0, 1, 2, 6, 7, 8, 10, 12}
ERRNOS = {0, 8, 20, 21, 28, 44, 52, 58}


@given(calls=CALLS)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_arguments_are_answered_or_end_the_guest_with_a_named_code(
    calls: list[tuple[str, list[int]]],
) -> None:
    script = Script()
    for name, words in calls:
        script.call(name, *words)
    bound = started(build.module(build.compiled("script")), config=configuration(request_headers=script))
    port = FakePort(request_head())
    stream = bound.open(port)
    assert isinstance(stream, StreamContext)
    action = stream.request_head(True)
    if action is Action.FAIL:
        assert isinstance(stream.failure, FilterTrap)
        assert stream.failure.code in {*TRAPS.values(), "memory_out_of_bounds", "unreachable", "cpu_budget"}
        assert bound.life.traps == 1
    else:
        output = Output(bound.services)  # type: ignore[arg-type]
        for name, _ in calls:
            assert output.word() in (ERRNOS if FUNCTIONS[name] >= 50 else STATUSES), name
    stream.done()

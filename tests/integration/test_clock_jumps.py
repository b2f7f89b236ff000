"""F25: the wall clock jumps by an hour. Nothing ends early, and nothing that edge tells is nonsense."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest

from tests.integration.authority import Authority
from tests.integration.edge_process import Upstream
from tests.integration.fake_clock import FakeClock
from tests.integration.protocol_site import PROTOCOLS, Site, every_protocol
from tests.integration.raw_client import RawClient, request
from tests.integration.reloading import Reloading
from tests.integration.running_edge import (
    Configuration,
    EdgeProcess,
    configuration,
    rule,
    running_edge,
    through,
    within,
)

WAIT_S = 60.0
HOUR_S = 3600
LONG_S = 1000.0
"""Nothing here takes so long, and no jump is so short."""
HELD = "/ok/held"


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as made:
        yield made


def site_config(upstream: int, authority: Authority) -> Configuration:
    """Every clock there is: timeouts, health, a filter, traces, the access log."""
    config = configuration(
        {"up": [upstream]},
        [rule("up", "/ok", timeouts={"backendRequest": "120s"}, filters=[through("chain")])],
        modules={"headers": {"builtin": "header-transform"}},
        filterChains={
            "chain": [
                {"name": "stamp", "module": "headers", "config": {"response": {"set": {"x-filtered": "yes"}}}}
            ]
        },
        telemetry={"accessLog": {"path": "access.log"}, "tracing": {"sampler": {"ratio": 1.0}}},
    )
    return every_protocol(config, authority)


def written_at(line: dict[str, str]) -> float:
    return datetime.fromisoformat(line["time"]).timestamp()


def until_log_tells(edge: EdgeProcess, clock: FakeClock) -> None:
    """The access log has the time of the wall again."""
    with RawClient(edge.web) as client:
        for _ in within(WAIT_S, "the access log follows the clock"):
            assert client.exchange(request(b"/elsewhere")).status == 404
            if any(abs(written_at(line) - clock.now()) < LONG_S for line in edge.access_log()[-1:]):
                return


def check_log(edge: EdgeProcess, began: float) -> None:
    """Every line: a time near one of the clocks there were, and a duration that can be."""
    for line in edge.access_log():
        assert 0 <= line["duration_ms"] < LONG_S * 1000, line
        ahead = written_at(line) - began
        assert min(abs(ahead - offset) for offset in (-HOUR_S, 0, HOUR_S)) < LONG_S, line


def check_traces(edge: EdgeProcess) -> None:
    traces = edge.traces()
    assert traces
    for trace in traces:
        for span in trace["spans"]:
            assert 0 <= span["durationMs"] < LONG_S * 1000, span


def check_metrics(edge: EdgeProcess) -> None:
    for name in (
        "http_server_request_duration_seconds",
        "http_client_request_duration_seconds",
        "edge_filter_duration_seconds",
    ):
        assert edge.metric(f"{name}_count") > 0
        assert 0 <= edge.metric(f"{name}_sum") < LONG_S


def test_f25_jumps_of_the_wall_clock_end_nothing_early_and_leave_no_nonsense(
    upstream: Upstream, authority: Authority, tmp_path: Path, edge_state: Path
) -> None:
    clock = FakeClock(tmp_path)
    config = site_config(upstream.port, authority)
    with running_edge(tmp_path / "edge", config, edge_state, launcher=clock.launcher) as edge:
        began = clock.now()
        site = Site(edge, authority)
        reloading = Reloading(edge)
        for protocol in PROTOCOLS:
            assert site.ask(protocol, "/ok").status == 200
        for round_, offset_s in enumerate((HOUR_S, 0, -HOUR_S, 0), 1):
            with RawClient(edge.web) as idle, ThreadPoolExecutor(len(PROTOCOLS)) as pool:
                assert idle.exchange(request(b"/ok")).status == 200
                upstream.hold.clear()
                held = [pool.submit(site.ask, protocol, HELD) for protocol in PROTOCOLS]
                for _ in within(WAIT_S, "a request over each protocol is under way"):
                    if edge.metric("http_server_active_requests") == len(held):
                        break
                clock.set(offset_s)
                until_log_tells(edge, clock)
                upstream.hold.set()
                for each in held:
                    answer = each.result(WAIT_S)
                    assert (answer.status, answer.values(b"x-filtered")) == (200, [b"yes"])
                assert idle.exchange(request(b"/ok")).status == 200, "an idle connection was kept"
            for protocol in PROTOCOLS:
                assert site.ask(protocol, "/ok").status == 200, "handshakes go on"
            reloading.push(json.dumps(config))
            assert reloading.attempts == {"unchanged": round_}, edge.errors
            check_traces(edge)
            check_metrics(edge)
        check_log(edge, began)
        for _ in within(WAIT_S, "every held request is in the log"):
            held_lines = [line for line in edge.access_log() if line["path"] == HELD]
            if len(held_lines) == 4 * len(PROTOCOLS):
                break
        assert {line["flags"] for line in held_lines} == {""}

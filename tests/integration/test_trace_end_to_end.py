"""One request through edge over TLS and three filters, found again in Jaeger; and when that must fail."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.builtin import path as builtin_path
from tests.integration.authority import HOSTS, Authority
from tests.integration.jaeger_server import Jaeger, Span, attributes, jaeger_server
from tests.integration.raw_client import RawClient, Response, request
from tests.integration.running_edge import (
    EdgeProcess,
    configuration,
    rule,
    running_edge,
    secured,
    through,
    within,
)
from tests.integration.scripted_upstream import Upstream, answering
from tests.tools import free_port

INTERNAL, SERVER, CLIENT = 1, 2, 3
KEY = b"x-api-key: k-alice"
FILTERS = {"who": "api-key", "polish": "header-transform", "ab": "ab-split"}
SPANS = 2 + 2 * len(FILTERS)
"""Server, client, and one a filter and direction."""


def _config(upstream: int, collector: str, **tracing: Any) -> dict[str, Any]:
    variants = [{"name": "only", "weight": 1, "backend": "up"}]
    settings: dict[str, Any] = {
        "who": {"keys": {"k-alice": "alice"}},
        "polish": {"request": {"set": {"x-from": "${path}"}}, "response": {"set": {"x-served-by": "edge"}}},
        "ab": {"cookie": "side", "variants": variants},
    }
    chain = [{"name": name, "module": FILTERS[name], "config": settings[name]} for name in FILTERS]
    chain[2]["allow"] = {"backends": ["up"]}
    return configuration(
        {"up": [upstream]},
        [rule("up", "/shop", name="shop", filters=[through("shop")]), rule("up")],
        modules={module: {"builtin": module} for module in FILTERS.values()},
        filterChains={"shop": chain},
        telemetry={
            "serviceName": "edge-under-test",
            "accessLog": {"path": "access.log"},
            "tracing": {"otlp": {"endpoint": collector}, "sampler": {"ratio": 1.0}, **tracing},
        },
    )


@pytest.fixture(scope="module")
def jaeger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jaeger]:
    with jaeger_server(tmp_path_factory.mktemp("jaeger")) as server:
        yield server


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with answering(b"hello") as upstream:
        yield upstream


@pytest.fixture(scope="module")
def edge(
    tmp_path_factory: pytest.TempPathFactory,
    edge_state: Path,
    authority: Authority,
    jaeger: Jaeger,
    upstream: Upstream,
) -> Iterator[EdgeProcess]:
    """Trusts 127.0.0.1."""
    config = secured(_config(upstream.port, jaeger.otlp), authority.listener())
    config["telemetry"]["trust"] = ["127.0.0.0/8"]
    with running_edge(tmp_path_factory.mktemp("traced"), config, edge_state) as edge:
        yield edge


def _ask(edge: EdgeProcess, authority: Authority, target: str, *fields: bytes) -> Response:
    with RawClient(edge.ports["secure"], (authority.client(), HOSTS[0])) as client:
        return client.exchange(request(target.encode(), *fields))


def _parent(trace_id: str, span_id: str, flags: str = "01") -> bytes:
    return f"traceparent: 00-{trace_id}-{span_id}-{flags}".encode()


def _times(span: Span) -> tuple[int, int]:
    return int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])


@pytest.fixture(scope="module")
def found(
    edge: EdgeProcess, authority: Authority, jaeger: Jaeger
) -> tuple[dict[str, Any], list[Span], tuple[int, int]]:
    """Resource, spans, and the times around the one request."""
    trace_id, span_id = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    began = time.time_ns()
    response = _ask(edge, authority, "/shop?q=1", KEY, _parent(trace_id, span_id), b"tracestate: a=b")
    around = (began, time.time_ns())
    assert (response.status, response.body) == (200, b"hello")
    resource, spans = jaeger.trace(trace_id, SPANS)
    return resource, spans, around


Found = tuple[dict[str, Any], list[Span], tuple[int, int]]


def _kind(found: Found, kind: int) -> list[Span]:
    return [span for span in found[1] if span["kind"] == kind]


def test_the_trace_has_a_span_for_each_filter_and_direction(found: Found) -> None:
    resource, spans, _ = found
    assert resource["service.name"] == "edge-under-test"
    assert len(spans) == SPANS
    shown = [attributes(span) for span in _kind(found, INTERNAL)]
    ways = sorted((each["edge.filter.name"], each["edge.filter.direction"]) for each in shown)
    assert ways == sorted((name, way) for name in FILTERS for way in ("request", "response"))


def test_parents_lead_from_the_client_over_the_server_span_to_the_filters(
    found: Found, upstream: Upstream
) -> None:
    (server,), (client,) = _kind(found, SERVER), _kind(found, CLIENT)
    assert server["parentSpanId"] == "b7ad6b7169203331"
    assert client["parentSpanId"] == server["spanId"]
    assert {span["parentSpanId"] for span in _kind(found, INTERNAL)} == {server["spanId"]}
    arrived = next(each for each in upstream.requests if each.target == b"/shop?q=1")
    (sent,) = arrived.values(b"traceparent")
    assert sent.decode() == f"00-{server['traceId']}-{client['spanId']}-01"
    assert arrived.values(b"tracestate") == [b"a=b"]


def test_times_are_nested_and_true(found: Found) -> None:
    (server,) = _kind(found, SERVER)
    began, ended = found[2]
    start, end = _times(server)
    slack = 2_000_000_000  # the wall clock is read once a turn of the loop, and a turn may be interrupted
    assert began - slack <= start <= end <= ended + slack
    for span in found[1]:
        assert start <= _times(span)[0] <= _times(span)[1] <= end, span["name"]
    (client,) = _kind(found, CLIENT)
    for span in _kind(found, INTERNAL):
        way = attributes(span)["edge.filter.direction"]
        if way == "request":
            assert _times(span)[1] <= _times(client)[0]
        else:
            assert _times(client)[1] <= _times(span)[0], "what filters do is not the upstream's time"
        parts = [attributes(span)[f"edge.filter.{part}_time"] for part in ("guest", "host", "wait")]
        took_s = (_times(span)[1] - _times(span)[0]) / 1e9
        assert parts[0] > 0
        assert min(parts) >= 0
        assert sum(parts) <= took_s + 1e-4


def test_attributes_tell_what_each_filter_was_and_did(found: Found) -> None:
    shown = {
        (each["edge.filter.name"], each["edge.filter.direction"]): each
        for each in map(attributes, _kind(found, INTERNAL))
    }
    for position, (name, module) in enumerate(FILTERS.items()):
        digest = hashlib.sha256(builtin_path(module).read_bytes()).hexdigest()
        for way in ("request", "response"):
            each = shown[name, way]
            assert each["edge.filter.module.digest"].endswith(digest)
            assert each["edge.filter.decision"] == "continue"
            assert each["edge.filter.position"] == position
            assert each["edge.filter.fail_strategy"] == "FAIL_CLOSE"
    assert sorted(shown["who", "request"]["edge.filter.edits"]) == ["x-api-key", "x-consumer"]
    assert shown["polish", "request"]["edge.filter.edits"] == ["x-from"]
    assert shown["polish", "response"]["edge.filter.edits"] == ["x-served-by"]
    assert "set-cookie" in shown["ab", "response"]["edge.filter.edits"]
    assert shown["who", "request"]["edge.filter.hostcalls"] > 0
    (server,), (client,) = _kind(found, SERVER), _kind(found, CLIENT)
    top = attributes(server)
    assert top["http.response.status_code"] == 200
    assert top["http.route"] == "/shop"
    assert top["edge.chain.name"] == "shop"
    assert top["tls.protocol.version"] in ("1.3", "TLSv1.3")
    assert attributes(client)["edge.cluster.name"] == "up"


def test_the_access_log_names_the_same_trace(edge: EdgeProcess, found: Found) -> None:
    (server,) = _kind(found, SERVER)
    for _ in within(30, "the line is written"):
        lines = [line for line in edge.access_log() if line["trace_id"] == server["traceId"]]
        if lines:
            break
    assert [(line["span_id"], line["status"], line["sampled"]) for line in lines] == [
        (server["spanId"], 200, True)
    ]


def test_admin_shows_the_same_trace(edge: EdgeProcess, found: Found) -> None:
    (server,) = _kind(found, SERVER)
    shown = next(trace for trace in edge.traces() if trace["traceId"] == server["traceId"])
    assert sorted(span["spanId"] for span in shown["spans"]) == sorted(span["spanId"] for span in found[1])


def test_a_refusal_shows_the_filter_that_refused(
    edge: EdgeProcess, authority: Authority, jaeger: Jaeger
) -> None:
    trace_id = "1" * 32
    assert _ask(edge, authority, "/shop", _parent(trace_id, "2" * 16)).status == 401
    _, spans = jaeger.trace(trace_id, 2)
    server, who = sorted(spans, key=lambda span: -int(span["kind"]))
    assert attributes(server)["edge.reply.filter"] == "who"
    assert attributes(server)["http.response.status_code"] == 401
    assert attributes(who)["edge.filter.decision"] == "local_reply"


def test_an_unsampled_request_of_a_trusted_client_leaves_no_spans(
    edge: EdgeProcess, authority: Authority, jaeger: Jaeger, upstream: Upstream
) -> None:
    quiet, loud = "3" * 32, "4" * 32
    assert _ask(edge, authority, "/shop/quiet", KEY, _parent(quiet, "2" * 16, "00")).status == 200
    assert _ask(edge, authority, "/shop/loud", KEY, _parent(loud, "2" * 16)).status == 200
    jaeger.trace(loud, SPANS)
    assert jaeger.get(f"/traces/{quiet}") is None, "the later one is there, the earlier never comes"
    arrived = next(each for each in upstream.requests if each.target == b"/shop/quiet")
    sent = arrived.values(b"traceparent")[0].decode().split("-")
    assert (sent[1], sent[3]) == (quiet, "00")


def test_a_stranger_keeps_its_trace_id_and_does_not_decide(
    tmp_path: Path, edge_state: Path, jaeger: Jaeger, upstream: Upstream
) -> None:
    config = _config(upstream.port, jaeger.otlp, sampler={"ratio": 0.0})
    with running_edge(tmp_path / "edge", config, edge_state) as edge, RawClient(edge.web) as client:
        assert client.exchange(request(b"/shop/stranger", KEY, _parent("5" * 32, "2" * 16))).status == 200
        arrived = next(each for each in upstream.requests if each.target == b"/shop/stranger")
        sent = arrived.values(b"traceparent")[0].decode().split("-")
        assert (sent[1], sent[3]) == ("5" * 32, "00")
    assert jaeger.get(f"/traces/{'5' * 32}") is None


def test_a_dead_collector_costs_no_request_and_no_time(
    tmp_path: Path, edge_state: Path, upstream: Upstream
) -> None:
    config = _config(upstream.port, f"http://127.0.0.1:{free_port()}")
    with running_edge(tmp_path / "edge", config, edge_state) as edge:
        with RawClient(edge.web) as client:
            statuses = [client.exchange(request(b"/shop", KEY)).status for _ in range(200)]
        assert statuses == [200] * 200
        for _ in within(30, "admin shows traces all the same"):
            if edge.traces():
                break
        began = time.monotonic()
        assert edge.end() == 0
        assert time.monotonic() - began < 25, "the SDK's own exporter would wait for 30 s"

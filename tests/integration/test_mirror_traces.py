"""A mirrored request in its trace: one client span for each copy, which the mirror's own spans hang on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.integration.raw_client import RawClient, request
from tests.integration.running_edge import EdgeProcess, configuration, rule, running_edge, within
from tests.integration.scripted_upstream import Conversation, reply, scripted
from tests.tools import free_port

WAIT_S = 60.0


class World:
    """Parents of spans as upstreams were told, by cluster and target; `late` lets the mirror answer /late."""

    def __init__(self) -> None:
        self.told: dict[tuple[str, str], list[bytes]] = {}
        self.late = threading.Event()
        self.edge: EdgeProcess

    async def main(self, it: Conversation) -> None:
        while True:
            asked = await it.request()
            self._keep("main", asked)
            await it.send(reply(asked.target))

    async def copy(self, it: Conversation) -> None:
        while True:
            asked = await it.request()
            self._keep("copy", asked)
            while asked.target.endswith(b"/late") and not self.late.is_set():
                await it.pause()
            status = b"503 Service Unavailable" if asked.target.endswith(b"/unwell") else b"200 OK"
            await it.send(reply(asked.target, status=status))

    def _keep(self, who: str, asked: Any) -> None:
        self.told[who, asked.target.decode()] = asked.values(b"traceparent")

    def ask(self, target: str) -> str:
        """The trace id of a request."""
        with RawClient(self.edge.web) as client:
            response = client.exchange(request(target.encode(), b"x-asked: " + target.encode()))
            assert response.body == target.encode()
        for _ in within(WAIT_S, "the request went up"):
            if ("main", target) in self.told:
                break
        return self.told["main", target][0].split(b"-")[1].decode()

    def spans(self, trace_id: str, number: int) -> list[dict[str, Any]]:
        """When there are so many."""
        for _ in within(WAIT_S, f"{number} spans of {trace_id}"):
            for trace in self.edge.traces():
                if trace["traceId"] == trace_id and len(trace["spans"]) == number:
                    found: list[dict[str, Any]] = trace["spans"]
                    return found
        raise AssertionError


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, edge_state: Path) -> Iterator[World]:
    made = World()
    bare = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["traceparent"]}}
    with ExitStack() as stack:
        main = stack.enter_context(scripted(made.main))
        copy = stack.enter_context(scripted(made.copy))
        config = configuration(
            {"main": [main.port], "copy": [copy.port], "dead": [free_port()]},
            [
                rule("main", filters=[_mirror("copy")]),
                rule("main", "/dead", filters=[_mirror("dead")]),
                rule("main", "/bare", filters=[_mirror("copy"), bare]),
            ],
            telemetry={"tracing": {"sampler": {"ratio": 1.0}}},
        )
        made.edge = stack.enter_context(running_edge(tmp_path_factory.mktemp("mirrors"), config, edge_state))
        try:
            yield made
        finally:
            made.late.set()


def _mirror(name: str) -> dict[str, Any]:
    return {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": name}}}


def parted(spans: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Server span, client span, client span of the copy."""
    (server,) = (span for span in spans if span["kind"] == "server")
    (copy,) = (span for span in spans if span["attributes"].get("edge.mirror"))
    (client,) = (span for span in spans if span["kind"] == "client" and span is not copy)
    return server, client, copy


def test_a_copy_has_a_span_of_its_own_and_its_upstream_hangs_on_that(world: World) -> None:
    trace_id = world.ask("/a")
    server, client, copy = parted(world.spans(trace_id, 3))
    assert copy["kind"] == "client" and copy["parentSpanId"] == client["parentSpanId"] == server["spanId"]
    shown = copy["attributes"]
    assert shown["edge.mirror"] is True and shown["edge.mirror.outcome"] == "answered"
    assert (shown["edge.cluster.name"], shown["http.response.status_code"]) == ("copy", 200)
    assert client["attributes"]["edge.cluster.name"] == "main" and not copy["error"]
    for who, span in (("main", client), ("copy", copy)):
        (parent,) = world.told[who, "/a"]
        assert parent.decode() == f"00-{trace_id}-{span['spanId']}-01"


def test_a_copy_that_is_answered_after_its_request_joins_the_trace_later(world: World) -> None:
    trace_id = world.ask("/late")
    assert len(world.spans(trace_id, 2)) == 2
    world.late.set()
    server, _, copy = parted(world.spans(trace_id, 3))
    assert copy["startMs"] + copy["durationMs"] > server["startMs"] + server["durationMs"]


def test_a_copy_that_fails_shows_why(world: World) -> None:
    _, _, unwell = parted(world.spans(world.ask("/unwell"), 3))
    assert unwell["error"] and unwell["attributes"]["http.response.status_code"] == 503
    _, _, dead = parted(world.spans(world.ask("/dead"), 3))
    assert dead["error"] and dead["attributes"]["edge.mirror.outcome"] == "failed"
    assert dead["attributes"]["error.type"] == "failed"


def test_what_a_rule_took_away_does_not_come_back_in_the_copy(world: World) -> None:
    with RawClient(world.edge.web) as client:
        assert client.exchange(request(b"/bare")).status == 200
    for _ in within(WAIT_S, "both went up"):
        if {("main", "/bare"), ("copy", "/bare")} <= world.told.keys():
            break
    assert world.told["main", "/bare"] == world.told["copy", "/bare"] == []

"""A rule's `retry` and `timeouts` through a running edge. Spec: Gateway API HTTPRouteRetry."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.raw_client import RawClient, request
from tests.integration.running_edge import EdgeProcess, configuration, rule, running_edge, within
from tests.integration.scripted_upstream import Conversation, reply, scripted

LIVENESS_S = 30.0


@dataclass
class Site:
    edge: EdgeProcess
    asked: Counter[str]
    """Requests by target that reached the upstream."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, edge_state: Path) -> Iterator[Site]:
    asked: Counter[str] = Counter()

    async def script(it: Conversation) -> None:
        """`/RULE/HOW/AFTER/ID`: fails as HOW says until it was asked AFTER times."""
        while True:
            target = (await it.request()).target.decode()
            _, _, how, after, _ = target.split("/")
            asked[target] += 1
            if asked[target] > int(after):
                await it.send(reply(b"well"))
            elif how == "reset":
                made = it.writer.get_extra_info("socket")
                made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                it.writer.transport.abort()
                return
            elif how == "hang":
                await it.until_closed()
                return
            else:
                await it.send(reply(b"no", status=how.encode() + b" No"))

    with scripted(script) as upstream:
        three = {"attempts": 3, "codes": [500, 502, 503, 504], "backoff": "10ms"}
        rules = [
            rule("up", "/three", retry=three, timeouts={"backendRequest": "1s"}),
            rule(
                "up", "/slow", retry={**three, "attempts": 10, "backoff": "200ms"}, timeouts={"request": "1s"}
            ),
            rule("up", "/none"),
        ]
        config = configuration({"up": [upstream.port]}, rules)
        config["clusters"][0]["circuitBreaker"] = {"retryBudget": {"minPerSecond": 1000}}
        config["telemetry"] = {"tracing": {"sampler": {"ratio": 1.0}}, "accessLog": {"path": "access.log"}}
        with running_edge(tmp_path_factory.mktemp("retries"), config, edge_state) as edge:
            yield Site(edge, asked)


def ask(site: Site, target: str, method: bytes = b"GET", body: bytes = b"") -> int:
    fields = [b"content-length: %d" % len(body)] if body else []
    with RawClient(site.edge.web) as client:
        return client.exchange(request(target.encode(), *fields, method=method, body=body)).status


@pytest.mark.parametrize("how", ["500", "502", "503", "504", "reset", "hang"])
@pytest.mark.parametrize("after", [1, 3])
def test_what_comes_right_within_the_attempts_is_a_200(site: Site, how: str, after: int) -> None:
    target = f"/three/{how}/{after}/a"
    assert ask(site, target) == 200
    assert site.asked[target] == after + 1


@pytest.mark.parametrize(("how", "status"), [("500", 500), ("503", 503), ("reset", 502), ("hang", 504)])
def test_after_the_last_attempt_its_answer_passes(site: Site, how: str, status: int) -> None:
    target = f"/three/{how}/9/b"
    assert ask(site, target) == status
    # A reset on a reused connection may be a stale one's: it is replaced once beside the attempts.
    assert site.asked[target] == 4 or (how == "reset" and site.asked[target] == 5)


def test_a_status_that_is_not_named_and_a_rule_without_retry_are_tried_once(site: Site) -> None:
    for target, status in (("/three/501/1/c", 501), ("/none/503/1/c", 503)):
        assert ask(site, target) == status
        assert site.asked[target] == 1


@pytest.mark.parametrize("how", ["503", "reset", "hang"])
def test_a_post_is_tried_once_and_a_put_again_with_its_body(site: Site, how: str) -> None:
    target = f"/three/{how}/1/d"
    assert ask(site, target, b"POST", b"x" * 5000) != 200
    assert site.asked[target] == 1
    put = f"/three/{how}/2/e"
    assert ask(site, put, b"PUT", b"x" * 5000) == 200
    assert site.asked[put] == 3


def test_the_request_timeout_cuts_all_attempts(site: Site) -> None:
    target = "/slow/503/99/f"
    began = time.monotonic()
    assert ask(site, target) == 504
    assert 0.9 <= time.monotonic() - began < LIVENESS_S
    reached = site.asked[target]
    assert 1 <= reached <= 6
    assert ask(site, "/three/503/0/f") == 200
    assert site.asked[target] == reached


def test_each_try_is_a_span_and_the_log_counts_them(site: Site) -> None:
    target = "/three/503/2/g"
    assert ask(site, target) == 200
    for _ in within(LIVENESS_S, "the line and the trace are there"):
        lines = [line for line in site.edge.access_log() if line["path"] == target]
        traces = [trace for trace in site.edge.traces() if target in json.dumps(trace)]
        if lines and traces:
            break
    assert [line["attempts"] for line in lines] == [3]
    text = json.dumps(traces)
    assert text.count('"http.request.resend_count"') == 2


def test_a_client_that_leaves_between_two_tries_ends_them(site: Site) -> None:
    target = "/slow/503/99/h"
    with RawClient(site.edge.web) as client:
        client.send(request(target.encode()))
        for _ in within(LIVENESS_S, "the first try"):
            if site.asked[target]:
                break
        client.reset()
    for _ in within(LIVENESS_S, "the request is over"):
        if any(line["path"] == target for line in site.edge.access_log()):
            break
    reached = site.asked[target]
    assert ask(site, "/slow/503/1/i") == 200
    assert site.asked[target] == reached

"""Reloads and the end of edge under load of every protocol. Source: hardening table, F14, F21, F22."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.authority import Authority
from tests.integration.protocol_site import Site, every_protocol
from tests.integration.reloading import Reloading
from tests.integration.revision_load import Load, OriginThread
from tests.integration.running_edge import (
    Configuration,
    EdgeProcess,
    configuration,
    rule,
    running_edge,
    through,
    within,
)

RELOADS = 100
REQUESTS = 100_000 if "EDGE_TEST_LONG" in os.environ else 10_000
RELOAD_S = 60.0
REQUEST_S = 0.02
"""Of a load whose clients are Python, on a machine that has other work."""
BAD_PUSHES = 100
PROTOCOLS = ("h1", "h1s", "h2", "h3")


def stamped(number: int, origin: int, authority: Authority) -> Configuration:
    """Revision `number`: its rule writes it into the request, its filter into the response."""
    asked = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [_pair("x-asked", number)]}}
    config = configuration(
        {"up": [origin]},
        [rule("up", filters=[asked, through("stamp")])],
        modules={"headers": {"builtin": "header-transform"}},
        filterChains={
            "stamp": [
                {"name": "steady", "module": "headers", "config": {"response": {"set": {"x-steady": "1"}}}},
                {
                    "name": "stamp",
                    "module": "headers",
                    "vmId": "of its own",
                    "config": {"response": {"set": {"x-answered": str(number)}}},
                },
            ]
        },
    )
    config["routes"].append(
        {
            "name": f"of-revision-{number}",
            "parentRefs": [{"name": "web"}],
            "rules": [rule("up", f"/only-{number}")],
        }
    )
    return every_protocol(config, authority)


def _pair(name: str, value: int) -> dict[str, str]:
    return {"name": name, "value": str(value)}


class Reloaded(Reloading):
    """Whose revisions are `stamped`."""

    def __init__(self, edge: EdgeProcess, origin: int, authority: Authority) -> None:
        super().__init__(edge)
        self.origin = origin
        self.authority = authority
        self.site = Site(edge, authority)

    def revise(self, number: int) -> None:
        self.apply(stamped(number, self.origin, self.authority))


@pytest.fixture
def reloading(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, edge_state: Path
) -> Iterator[Reloaded]:
    authority = Authority(tmp_path_factory.mktemp("reloaded-authority"))
    with OriginThread() as origin:
        config = stamped(1, origin.port, authority)
        with running_edge(tmp_path / "edge", config, edge_state, "--workers", "2") as edge:
            yield Reloaded(edge, origin.port, authority)


def test_a_hundred_reloads_fail_no_request_and_no_exchange_sees_two_revisions(reloading: Reloaded) -> None:
    calls = reloading.edge.metric("edge_filter_calls_total", 'edge_filter_name="steady"')
    with Load(reloading.site) as load:
        for number in range(2, RELOADS + 2):
            if number % 10 == 0:
                reloading.authority.renew()
            reloading.revise(number)
            for _ in within(RELOAD_S, f"revision {number} answers a request"):
                if str(number).encode() in load.tally.revisions:
                    break
        for _ in within(
            RELOAD_S + REQUESTS * REQUEST_S, f"{REQUESTS} requests are answered: {load.tally.good}"
        ):
            good = load.tally.good
            if sum(good.values()) >= REQUESTS and min(good[each] for each in PROTOCOLS) > REQUESTS / 100:
                break
    tally = load.tally
    assert not tally.bad, (len(tally.bad), tally.bad[:10], tally.good)
    assert not tally.again
    assert len(tally.revisions) >= RELOADS
    assert reloading.attempts["applied"] == RELOADS
    assert reloading.edge.metric("edge_filter_calls_total", 'edge_filter_name="steady"') > calls


def _bad(number: int, good: Configuration, folder: Path) -> str:
    """One of the ways in which a file can be wrong, and a line that shows that it was found."""
    config = json.loads(json.dumps(good))
    kind = number % 7
    if kind == 0:
        return "listeners: ["
    if kind == 1:
        config["listeners"][0]["adress"] = "127.0.0.1:1"
    elif kind == 2:
        config["routes"][0]["rules"][0]["backendRefs"][0]["name"] = "nowhere"
    elif kind == 3:
        config["filterChains"]["stamp"][0]["module"] = "unknown"
    elif kind == 4:
        config["listeners"][1]["tls"]["certificates"][0]["keyFile"] = str(folder / "none.key")
    elif kind == 5:
        certificates = config["listeners"][1]["tls"]["certificates"]
        certificates[0]["keyFile"] = certificates[1]["keyFile"]
    else:
        # Good in itself, but the admin of this very edge is there.
        config["listeners"].append({"name": "taken", "address": f"127.0.0.1:{folder.name}"})
    return json.dumps(config)


def test_a_hundred_bad_files_change_nothing_for_requests(reloading: Reloaded) -> None:
    good = stamped(1, reloading.origin, reloading.authority)
    taken = Path("/nowhere") / str(reloading.edge.ports["admin"])
    with Load(reloading.site) as load:
        for number in range(BAD_PUSHES):
            reloading.push(_bad(number, good, taken))
        for _ in within(RELOAD_S, f"requests are answered: {load.tally.good}"):
            if min(load.tally.good[each] for each in PROTOCOLS) > BAD_PUSHES:
                break
    tally = load.tally
    assert not tally.bad, (len(tally.bad), tally.bad[:10], tally.good)
    assert not tally.again
    assert tally.revisions == {b"1"}
    attempts = reloading.attempts
    assert attempts["invalid"] + attempts["refused"] == BAD_PUSHES
    assert attempts["refused"] == BAD_PUSHES // 7
    assert reloading.edge.metric("edge_config_reloads_total", 'result="refused"') == attempts["refused"]
    shown = json.loads(reloading.edge.get("/config"))
    assert shown["revision"] == 1
    assert shown["reload"]["lastError"]["result"] == "invalid"
    assert "edge.yaml:" in reloading.edge.errors


@pytest.mark.parametrize("collector", ["none", "dead", "silent"])
def test_sigterm_under_load_fails_no_request_and_ends_within_the_grace(
    collector: str, tmp_path: Path, authority: Authority, edge_state: Path
) -> None:
    with OriginThread() as origin, socket.create_server(("127.0.0.1", 0)) as silent:
        config = stamped(1, origin.port, authority)
        port = {"none": 0, "dead": 9, "silent": silent.getsockname()[1]}[collector]
        if port:
            tracing = {"otlp": {"endpoint": f"http://127.0.0.1:{port}"}, "sampler": {"ratio": 1.0}}
            config["telemetry"] = {"tracing": tracing}
        flags = ("--workers", "2", "--grace", "10s")
        with (
            running_edge(tmp_path / "edge", config, edge_state, *flags) as edge,
            Load(Site(edge, authority)) as load,
        ):
            for _ in within(RELOAD_S, f"requests are answered: {load.tally.good}"):
                if min(load.tally.good[each] for each in PROTOCOLS) > 100:
                    break
            load.ending = True
            began = time.monotonic()
            assert edge.end(within_s=60) == 0
            took_s = time.monotonic() - began
            load.gone.set()
    tally = load.tally
    assert not tally.bad, (len(tally.bad), tally.bad[:10], tally.good)
    assert took_s < 11 + 5, "grace, one second, and what a busy machine adds"

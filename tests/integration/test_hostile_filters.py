"""A filter that traps or loops on demand harms the requests it failed on, and no others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.wasm.module import assemble
from tests.integration.raw_client import request
from tests.integration.running_edge import EdgeProcess, configuration, rule, running_edge, through, within
from tests.integration.scripted_upstream import Conversation, reply, scripted

TRAPS = 1000
LOOPS = 30
HONEST = 4
"""Honest clients beside the one that does harm."""
_SLOW_S = 2.0
"""No honest request takes that long; typical are 20 ms, most of it the upstream's."""

GUEST = """
(module
  (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "x-act")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (i32.store (i32.const 4) (i32.const 0))
    (drop (call $get (i32.const 0) (i32.const 16) (i32.const 5) (i32.const 0) (i32.const 4)))
    (if (i32.load (i32.const 4)) (then
      (if (i32.eq (i32.load8_u (i32.load (i32.const 0))) (i32.const 116)) (then unreachable))
      (if (i32.eq (i32.load8_u (i32.load (i32.const 0))) (i32.const 108)) (then (loop (br 0))))))
    (i32.const 0)))
"""
"""`x-act: t` traps, `x-act: l` loops for ever, anything else passes."""


async def _patient(it: Conversation) -> None:
    """Answers after 20 ms, so that honest requests are in flight when another one traps."""
    while True:
        await it.request()
        await asyncio.sleep(0.02)
        await it.send(reply())


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory, edge_state: Path) -> Iterator[EdgeProcess]:
    folder = tmp_path_factory.mktemp("hostile-filters")
    (folder / "guest.wasm").write_bytes(assemble(GUEST))
    chains = {
        name: [{"name": f"act-{name}", "module": "guest", "isolation": isolation}]
        for name, isolation in (("shared", "Shared"), ("request", "Request"), ("loop", "Shared"))
    }
    with scripted(_patient) as upstream:
        rules = [rule("up", f"/{name}", filters=[through(name)]) for name in chains]
        config = configuration(
            {"up": [upstream.port]},
            [*rules, rule("up")],
            modules={"guest": {"url": str(folder / "guest.wasm")}},
            filterChains=chains,
            telemetry={"accessLog": {"path": "access.log"}},
        )
        with running_edge(folder / "edge", config, edge_state) as edge:
            yield edge


class _Client:
    """One keep-alive connection; `failures` are the answers that were not 200."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.answers = 0
        self.failures: list[int] = []
        self.slowest_s = 0.0

    @contextmanager
    def _timed(self) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)

    async def ask(self, data: bytes, times: int = 1, stop: asyncio.Event | None = None) -> None:
        """Send it `times` times one after the other, or until `stop`."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        while not stop.is_set() if stop else self.answers < times:
            with self._timed():
                writer.write(data)
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length))
            self.answers += 1
            if not head.startswith(b"HTTP/1.1 200"):
                self.failures.append(int(head.split()[1]))
            if b"connection: close" in head.lower():
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.close()


async def _beside(port: int, harm: bytes, times: int, honest: bytes) -> tuple[_Client, list[_Client]]:
    """`times` harmful requests one after the other, while honest clients go on."""
    stop = asyncio.Event()
    bad, good = _Client(port), [_Client(port) for _ in range(HONEST)]
    running = [asyncio.create_task(each.ask(honest, stop=stop)) for each in good]
    await bad.ask(harm, times)
    stop.set()
    await asyncio.gather(*running)
    return bad, good


def _run(port: int, chain: str, act: bytes, times: int, other: str) -> tuple[_Client, list[_Client]]:
    harm = request(f"/{chain}".encode(), b"x-act: " + act)
    return asyncio.run(_beside(port, harm, times, request(f"/{other}".encode(), b"x-act: no")))


def test_a_thousand_traps_with_an_instance_per_request_harm_no_other(edge: EdgeProcess) -> None:
    bad, good = _run(edge.web, "request", b"t", TRAPS, "request")
    assert bad.failures == [503] * TRAPS
    assert [each.failures for each in good] == [[]] * HONEST
    assert sum(each.answers for each in good) >= HONEST
    edge.check_sound()


def test_a_thousand_traps_of_a_shared_instance_fail_what_was_in_flight_three_times_at_most(
    edge: EdgeProcess,
) -> None:
    bad, good = _run(edge.web, "shared", b"t", TRAPS, "shared")
    assert bad.failures == [503] * TRAPS
    assert all(len(each.failures) <= 3 and set(each.failures) <= {503} for each in good)
    assert sum(each.answers for each in good) >= HONEST * 4
    edge.check_sound()


def test_a_guest_that_loops_is_ended_and_others_go_on(edge: EdgeProcess) -> None:
    bad, good = _run(edge.web, "loop", b"l", LOOPS, "request")
    assert bad.failures == [503] * LOOPS
    assert bad.slowest_s < _SLOW_S
    assert [each.failures for each in good] == [[]] * HONEST
    assert max(each.slowest_s for each in good) < _SLOW_S
    edge.check_sound()


@pytest.mark.parametrize(("act", "error"), [(b"t", "unreachable"), (b"l", "cpu_budget")])
def test_what_a_filter_did_is_logged_and_counted(edge: EdgeProcess, act: bytes, error: str) -> None:
    labels = f'edge_filter_name="act-request",error_type="{error}"'
    before = edge.metric("edge_filter_errors_total", labels)
    target = f"/request/{act.decode()}"
    client = _Client(edge.web)
    asyncio.run(client.ask(request(target.encode(), b"x-act: " + act)))
    assert client.failures == [503]
    for _ in within(30, "the access log has the request"):
        lines = [line for line in edge.access_log() if line["path"] == target]
        if lines:
            break
    assert [(line["status"], line["flags"], line["filter"]) for line in lines] == [(503, "FT", "act-request")]
    for _ in within(30, f"the failure is counted: {edge.get('/metrics').decode()}"):
        if edge.metric("edge_filter_errors_total", labels) == before + 1:
            break

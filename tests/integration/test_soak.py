"""Honest and hostile clients of every protocol for minutes: nothing grows, nobody honest is failed."""

from __future__ import annotations

import os
import random
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import pytest

from tests.amounts import amount
from tests.hostile.fake_h2 import PREFACE, Heads, rst, settings
from tests.integration.authority import HOSTS, Authority
from tests.integration.protocol_site import Site, every_protocol
from tests.integration.reloading import stamping
from tests.integration.revision_load import Load, OriginThread
from tests.integration.running_edge import EdgeProcess, configuration, rule, running_edge, through, within

SOAK_S = amount("soak: seconds")
WARM_SHARE = 1 / 3
"""Until pools, caches and the allocator have their size."""
SLOPE_BYTES_S = (1 << 20) / 60
SLACK_BYTES = 3 << 20
"""Of one process between two looks a moment apart."""
WAIT_S = 60.0
HOSTILE_THREADS = 4
KEY = b"x-api-key: k\r\n"

Talk = Callable[[socket.socket, random.Random], None]


def _bad_head(sock: socket.socket, chance: random.Random) -> None:
    twice = b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n"
    line = chance.choice((twice, b"GET /\0 HTTP/1.1\r\n\r\n", b"\x16\3\1"))
    sock.sendall(line * chance.randrange(1, 50))
    sock.recv(65536)


def _cut_upload(sock: socket.socket, chance: random.Random) -> None:
    sock.sendall(b"POST /f HTTP/1.1\r\nhost: a\r\n" + KEY + b"content-length: 100000\r\n\r\n")
    sock.sendall(b"x" * chance.randrange(1, 90_000))


def _left_alone(sock: socket.socket, chance: random.Random) -> None:
    sock.sendall(b"GET /f HTTP/1.1\r\nhost: a\r\n" + KEY + b"\r\n")


def _half_head(sock: socket.socket, chance: random.Random) -> None:
    sock.sendall(b"GET / HTTP/1.1\r\nhost: a\r\nx-slow: "[: chance.randrange(1, 35)])


def _rapid_reset(sock: socket.socket, chance: random.Random) -> None:
    heads = Heads()
    sock.sendall(PREFACE + settings({}))
    for stream in range(1, 2 * chance.randrange(10, 400), 2):
        sock.sendall(heads(stream) + rst(stream))
    sock.recv(65536)


def _h2_garbage(sock: socket.socket, chance: random.Random) -> None:
    sock.sendall(PREFACE + settings({}) + chance.randbytes(chance.randrange(9, 4000)))
    sock.recv(65536)


TALKS: tuple[Talk, ...] = (_bad_head, _cut_upload, _left_alone, _half_head, _rapid_reset, _h2_garbage)


class Hostile:
    """Threads that attack from `with` until its end; `talks` counts what they did."""

    def __init__(self, edge: EdgeProcess) -> None:
        self.talks = 0
        self._edge = edge
        self._over = threading.Event()
        self._tls = ssl.create_default_context()
        self._tls.check_hostname = False
        self._tls.verify_mode = ssl.CERT_NONE
        self._threads = [
            threading.Thread(target=self._run, args=(random.Random(seed),)) for seed in range(HOSTILE_THREADS)
        ]

    def __enter__(self) -> Hostile:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self, chance: random.Random) -> None:
        while not self._over.wait(0.02):
            try:
                self._attack(chance)
            except OSError:
                pass  # edge cut it, as it should
            self.talks += 1

    def _attack(self, chance: random.Random) -> None:
        secure = chance.random() < 0.3
        port = self._edge.ports["secure"] if secure else self._edge.web
        if chance.random() < 0.1:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                udp.sendto(chance.randbytes(1200), ("127.0.0.1", self._edge.ports["secure"]))
            return
        with socket.create_connection(("127.0.0.1", port), 5.0) as plain:
            plain.settimeout(0.5)
            if chance.random() < 0.5:
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if not secure:
                chance.choice(TALKS)(plain, chance)
            elif chance.random() < 0.3:
                plain.sendall(chance.randbytes(200))  # no ClientHello
            else:
                with self._tls.wrap_socket(plain, server_hostname=HOSTS[0]) as sock:
                    chance.choice(TALKS[:4])(sock, chance)


class Watched:
    """Resident bytes and open descriptors of every process of edge, looked at once a second."""

    def __init__(self, edge: EdgeProcess) -> None:
        self.pids = [edge.process.pid, *(int(each["pid"]) for each in edge.state()["workers"])]
        self.resident: list[list[int]] = []
        self.descriptors: list[list[int]] = []

    def look(self) -> None:
        page = os.sysconf("SC_PAGE_SIZE")
        statm = (Path(f"/proc/{pid}/statm").read_text().split()[1] for pid in self.pids)
        self.resident.append([int(pages) * page for pages in statm])
        self.descriptors.append([len(os.listdir(f"/proc/{pid}/fd")) for pid in self.pids])

    def growth(self) -> list[float]:
        """Bytes that each process gained from the end of the warm-up to the end, medians of both."""
        few = max(len(self.resident) // 10, 3)
        begin = int(len(self.resident) * WARM_SHARE)
        first, last = self.resident[begin : begin + few], self.resident[-few:]
        both = zip(zip(*first, strict=True), zip(*last, strict=True), strict=True)
        return [median(after) - median(before) for before, after in both]


@pytest.fixture
def site(tmp_path: Path, edge_state: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    authority = Authority(tmp_path_factory.mktemp("soak-authority"))
    with OriginThread() as origin:
        made = configuration(
            {"up": [origin.port]},
            [rule("up", filters=stamping(1)), rule("up", "/f", filters=[*stamping(1), through("all")])],
            modules={"key": {"builtin": "api-key"}, "headers": {"builtin": "header-transform"}},
            filterChains={
                "all": [
                    {"name": "who", "module": "key", "config": {"keys": {"k": "alice"}}},
                    {"name": "polish", "module": "headers", "config": {"response": {"set": {"x-a": "b"}}}},
                ]
            },
            telemetry={"accessLog": {"path": "access.log"}, "tracing": {"sampler": {"ratio": 0.5}}},
            limits={"headTimeout": "2s", "idleTimeout": "10s"},
        )
        every_protocol(made, authority)
        with running_edge(tmp_path / "edge", made, edge_state, "--workers", "2") as edge:
            yield Site(edge, authority)


def test_minutes_of_honest_and_hostile_clients_leave_nothing_behind(site: Site) -> None:
    edge = site.edge
    quiet = [len(os.listdir(f"/proc/{pid}/fd")) for pid in Watched(edge).pids]
    watched = Watched(edge)
    with Load(site) as load, Hostile(edge) as hostile:
        end = time.monotonic() + SOAK_S
        for _ in within(SOAK_S + WAIT_S, "the soak is over"):
            if time.monotonic() >= end:
                break
            if len(watched.resident) < SOAK_S - (end - time.monotonic()):
                watched.look()
    tally = load.tally
    assert not tally.bad, (len(tally.bad), tally.bad[:10], tally.good)
    assert min(tally.good[protocol] for protocol in ("h1", "h1s", "h2", "h3")) > SOAK_S
    assert hostile.talks > SOAK_S
    allowed = SLOPE_BYTES_S * SOAK_S * (1 - WARM_SHARE) + SLACK_BYTES
    growth = watched.growth()
    assert max(growth) < allowed, (growth, allowed, watched.resident[:: max(SOAK_S // 20, 1)])
    for _ in within(WAIT_S, "connections and exchanges are gone"):
        workers = edge.state()["workers"]
        if not any(each["connections"] or each["exchanges"] for each in workers):
            break
    for _ in within(WAIT_S, f"descriptors are as before: {quiet}"):
        watched.look()
        # To the origin a few connections stay ready, and the log has been opened.
        if all(now <= before + 40 for now, before in zip(watched.descriptors[-1], quiet, strict=True)):
            break
    assert edge.metric("edge_worker_unhandled_total") == 0

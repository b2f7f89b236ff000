"""Mutated bytes of HTTP/1.1 and HTTP/2 against a running edge; a judge is its upstream."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings

from tests.amounts import amount
from tests.hostile.fake_h2 import PREFACE
from tests.hostile.fake_h2 import settings as settings_frame
from tests.hostile.live_site import LiveSite, live_site
from tests.property import test_h1_requests as h1
from tests.property import test_h2_requests as h2

EXAMPLES: Final = amount("fuzz against a running edge: conversations a protocol")
_BATCH: Final = 50
_LATEST_S: Final = 30.0
_fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSite]:
    with live_site(tmp_path_factory.mktemp("fuzz")) as site:
        yield site
        site.edge.check_sound()


def _talk(port: int, data: bytes) -> bytes:
    """Send, end our side, and read until edge ends its own."""
    came = b""
    with socket.create_connection(("127.0.0.1", port), _LATEST_S) as client:
        try:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            while more := client.recv(1 << 16):
                came += more
        except (BrokenPipeError, ConnectionResetError):
            pass
    return came


def _check(site: LiveSite, done: int) -> None:
    assert site.upstream.faults == [], "a strict upstream was offended"
    if done % _BATCH == 0:
        site.probe()
        os.kill(site.worker, 0)


def test_http1_bytes(site: LiveSite) -> None:
    done = 0

    @_fuzz
    @given(h1.mutated())
    def fuzz(data: bytes) -> None:
        nonlocal done
        since = len(site.judge.arrived)
        said = _talk(site.edge.web, data)
        complete = [each for each in site.arrived(since) if each.complete]
        assert said.count(b"HTTP/1.1 200 OK\r\n") <= len(complete), "an answer of edge's own is no 200"
        # A client that ends its side before its upgrade was answered is gone for good.
        plain = [each for each in complete if b"upgrade" not in dict(each.fields)]
        assert len(plain) <= said.count(b"HTTP/1.1 "), "a request became two"
        done += 1
        _check(site, done)

    fuzz()
    assert done >= EXAMPLES


def test_http2_bytes(site: LiveSite) -> None:
    done = 0

    @_fuzz
    @given(h2.mutated())
    def fuzz(data: bytes) -> None:
        nonlocal done
        since = len(site.judge.arrived)
        _talk(site.edge.web, PREFACE + settings_frame() + data)
        # No frame of one conversation has more than one head, and none has more than a few.
        assert len(site.arrived(since)) <= len(data) // 9 + 1
        done += 1
        _check(site, done)

    fuzz()
    assert done >= EXAMPLES

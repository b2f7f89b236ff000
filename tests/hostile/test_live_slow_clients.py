"""Slow heads, slow bodies and slow reading over every protocol against a running edge.

They are let go in time, as softly as the protocol allows; what was kept for them is free again; it cost
little more than they spent; others are answered all the while.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, get_args

import pytest

from tests.hostile.live_site import LiveSite, live_site
from tests.hostile.slow_clients import Generous, Kind, Slow, begin
from tests.hostile.spending import harmless
from tests.integration.protocol_site import PROTOCOLS
from tests.integration.running_edge import within

LIMIT_S: Final = 1
SHORT: Final = {
    "headTimeout": f"{LIMIT_S}s",
    "bodyIdleTimeout": f"{LIMIT_S}s",
    "sendTimeout": f"{LIMIT_S}s",
    "minRate": 0,
}
"""A body has to go on within each second; how fast it must be is asked where nothing is configured."""
CLIENTS: Final = 4
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
DRIPPING: Final[list[tuple[str, Kind]]] = [
    *((protocol, kind) for protocol in PROTOCOLS for kind in ("head", "body")),
    ("h2c", "read"),
    ("h2", "read"),
]
"""Not who reads a byte now and then over HTTP/1.1 and HTTP/3: kernel and QUIC grant no room for so little."""
WINDOW_S: Final = 10.0
_DRIP_S: Final = 0.2
_PATIENCE_S: Final = 120.0


def _site(folder: Path, judge: Generous, **more: object) -> Iterator[LiveSite]:
    with live_site(folder, judge, **more) as site:
        yield site
        site.edge.check_sound()


@pytest.fixture(scope="module")
def judge() -> Generous:
    return Generous()


@pytest.fixture(scope="module")
def hurried(tmp_path_factory: pytest.TempPathFactory, judge: Generous) -> Iterator[LiveSite]:
    """Short times for everything, so that no row takes longer than some seconds."""
    yield from _site(tmp_path_factory.mktemp("hurried"), judge, limits=SHORT)


@pytest.fixture
def plain(tmp_path: Path, judge: Generous) -> Iterator[LiveSite]:
    """Nothing is configured: what it asks of clients is what it asks of everybody."""
    yield from _site(tmp_path, judge)


def _until_cut(clients: list[Slow], drips: bool) -> None:
    waiting, due = clients, time.monotonic()
    for _ in within(_PATIENCE_S, "slow clients are let go"):
        waiting = [client for client in waiting if not client.is_over()]
        if not waiting:
            return
        if drips and time.monotonic() >= due:
            due = time.monotonic() + _DRIP_S
            for client in waiting:
                client.drip()


def _nothing_stays(site: LiveSite, judge: Generous) -> None:
    """No request is under way in edge, none upstream."""
    for _ in within(_PATIENCE_S, "requests are over"):
        if judge.under_way == 0 and site.edge.metric("http_server_active_requests") == 0:
            return


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.row(68, live=True)
def test_who_is_slow_is_let_go(hurried: LiveSite, judge: Generous, protocol: str, kind: Kind) -> None:
    """A head may drip as it likes, its time is up all the same; of the others nothing comes."""
    with harmless(hurried) as spent:
        began = time.monotonic()
        clients = [begin(hurried, judge, protocol, kind) for _ in range(CLIENTS)]
        _until_cut(clients, kind == "head")
        assert time.monotonic() - began >= LIMIT_S * 0.9, "not before its time"
        for client in clients:
            client.check(spent)
    _nothing_stays(hurried, judge)


def test_a_byte_now_and_then_keeps_no_place(plain: LiveSite, judge: Generous) -> None:
    """F10, with an empty configuration: less than 500 bytes a second over ten seconds."""
    with harmless(plain) as spent:
        began = time.monotonic()
        clients = [begin(plain, judge, protocol, kind) for protocol, kind in DRIPPING]
        _until_cut(clients, True)
        assert time.monotonic() - began >= WINDOW_S * 0.9, "not before its time"
        for client in clients:
            client.check(spent)
    _nothing_stays(plain, judge)

"""One client cannot have all connections of a cluster: who has its share waits, others go on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from edge.upstream import shares
from edge.upstream.queue import LOOK_S
from edge.upstream.request import PooledRequest
from edge.upstream.shares import RECOUNT_S, Shares
from tests.unit.upstream.fake_h2 import Peer
from tests.unit.upstream.fakes import OK, OK_CALLS, Bench, Recorder, get

GREEDY = "203.0.113.1"
HONEST = "203.0.113.2"


def ask(bench: Bench, client: str, timeout_s: float = 0.0) -> tuple[PooledRequest, Recorder]:
    recorder: Any = Recorder()
    recorder.connection = SimpleNamespace(peer=(client, 4711))
    return bench.cluster.dispatch(recorder, get(), True, timeout_s), recorder


def flood(bench: Bench, client: str, times: int) -> list[tuple[PooledRequest, Recorder]]:
    return [ask(bench, client) for _ in range(times)]


def started(requests: list[tuple[PooledRequest, Recorder]]) -> int:
    return sum(request.attempts for request, _ in requests)


def test_alone_a_client_may_have_three_quarters_of_the_connections() -> None:
    bench = Bench(max_connections=1024)
    assert started(flood(bench, GREEDY, 1100)) == 768
    assert bench.open == 768


def test_the_next_client_is_served_while_the_first_holds_all_it_may() -> None:
    bench = Bench(max_connections=16)
    flood(bench, GREEDY, 50)
    _, exchange = ask(bench, HONEST)
    bench.connect()
    bench.dialer.dials[-1].protocol.data_received(OK)
    assert exchange.calls == OK_CALLS


def test_a_connection_that_came_free_is_not_for_who_has_its_share() -> None:
    bench = Bench(max_connections=16)
    flood(bench, GREEDY, 50)
    ask(bench, HONEST)
    bench.connect()
    bench.dialer.dials[-1].protocol.data_received(OK)
    assert (bench.open, bench.idle) == (13, 1)
    refused, _ = ask(bench, GREEDY)
    served, _ = ask(bench, HONEST)
    assert (refused.attempts, served.attempts) == (0, 1)


def test_each_client_that_comes_finds_something_free() -> None:
    bench = Bench(max_connections=1024)
    shares = [started(flood(bench, f"203.0.113.{number}", 1000)) for number in range(1, 6)]
    assert shares == [768, 192, 48, 12, 3]


def test_many_clients_with_little_each_may_use_every_connection() -> None:
    bench = Bench(max_connections=64)
    assert all(ask(bench, f"203.0.113.{number}")[0].attempts for number in range(64))
    assert ask(bench, "203.0.113.64")[0].attempts == 0, "there are no more"


@pytest.mark.parametrize("most", [1, 2, 3])
def test_of_so_few_connections_one_client_may_have_all(most: int) -> None:
    bench = Bench(max_connections=most)
    assert started(flood(bench, GREEDY, 5)) == most
    assert not bench.cluster.shares.near


def test_who_waits_for_its_own_connections_goes_on_when_one_ends() -> None:
    bench = Bench(max_connections=16)
    requests = flood(bench, GREEDY, 13)
    assert (started(requests), len(bench.cluster.queue)) == (12, 1)
    bench.connect(0)
    bench.time.pass_by(RECOUNT_S)
    bench.dialer.dials[0].protocol.data_received(OK)
    assert (started(requests), len(bench.cluster.queue)) == (13, 0)
    assert requests[12][0].reused


def test_who_waits_for_its_own_connections_holds_up_nobody() -> None:
    """The second client waits as well, in a line of its own, and is not kept by the first one's."""
    bench = Bench(max_connections=16)
    first = flood(bench, GREEDY, 20)
    second = flood(bench, HONEST, 4)
    assert (started(first), started(second)) == (12, 3)
    bench.time.pass_by(RECOUNT_S)
    second[0][0].cancel()
    assert (started(first), started(second)) == (12, 4)


def test_who_waited_in_the_common_line_steps_aside_when_its_share_is_used_up() -> None:
    bench = Bench(max_connections=4)
    clients = [ask(bench, f"203.0.113.{number}") for number in range(1, 5)]
    common = [ask(bench, GREEDY) for _ in range(5)]
    honest, _ = ask(bench, "203.0.113.9")
    assert bench.open == 4
    for request, _ in clients:
        request.cancel()
        bench.time.pass_by(RECOUNT_S)
    assert [request.attempts for request, _ in common] == [1, 1, 1, 0, 0]
    assert honest.attempts == 1


def test_clients_that_are_gone_are_not_counted_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where connections are short for days, and no client ever has its share."""
    monkeypatch.setattr(shares, "MANY_CLIENTS", 20)
    bench = Bench(max_connections=64)
    standing = [ask(bench, f"198.51.100.{number}")[1] for number in range(56)]
    pool: Any = SimpleNamespace(open=56, idle=[], streams=1, receivers=lambda: standing)
    counted = Shares([pool], 64, lambda: bench.time.now)
    for number in range(200):
        receiver: Any = Recorder()
        receiver.connection = SimpleNamespace(peer=(f"203.0.113.{number}", 4711))
        assert not counted.sated(receiver)
        bench.time.pass_by(RECOUNT_S)
        assert len(counted._held or ()) <= len(standing) + 20 + 1


def test_waiting_in_vain_is_counted_with_its_reason() -> None:
    bench = Bench(max_connections=4, max_pending=1)
    flood(bench, GREEDY, 3)
    for index in range(3):
        bench.connect(index)
    _, waiting = ask(bench, GREEDY, timeout_s=2.0)
    _, turned_away = ask(bench, GREEDY)
    assert turned_away.calls == [("failed", "Overloaded", 503)]
    assert bench.cluster.rejected == {"client_share": 1}
    bench.time.pass_by(2.5)
    assert waiting.calls == [("failed", "Overloaded", 503)]
    assert bench.cluster.rejected == {"client_share": 2}
    assert not bench.cluster.queue


def test_one_network_of_ipv6_is_one_client() -> None:
    bench = Bench(max_connections=16)
    assert sum(ask(bench, f"2001:db8::{number:x}")[0].attempts for number in range(16)) == 12
    assert ask(bench, "2001:db8:0:1::1")[0].attempts == 1


def test_what_is_nobodys_is_never_held_back() -> None:
    bench = Bench(max_connections=16)
    assert sum(bench.send(get())[0].attempts for _ in range(20)) == 16


def test_idle_connections_are_nobodys() -> None:
    """All are open, none is used: one client may use three quarters of them."""
    bench = Bench(max_connections=16)
    for number in range(16):
        ask(bench, f"203.0.113.{number}")
        bench.connect()
    for dial in list(bench.dialer.dials):
        dial.protocol.data_received(OK)
    assert (bench.open, bench.idle) == (16, 16)
    assert started(flood(bench, GREEDY, 16)) == 12


def test_nobody_is_counted_while_enough_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(max_connections=16)
    counts: list[int] = []
    pool = bench.cluster.pools[0]
    genuine = type(pool).receivers
    monkeypatch.setattr(type(pool), "receivers", lambda self: counts.append(1) or genuine(self))
    flood(bench, GREEDY, 11)
    assert not counts
    assert not bench.cluster.shares.near
    flood(bench, GREEDY, 100)
    assert len(counts) == 1, "and then once for all that come at the same time"


def test_streams_to_an_http2_endpoint_are_shared_out_too() -> None:
    bench = Bench(max_connections=4, protocol="h2")
    assert started(flood(bench, GREEDY, 500)) == 300
    assert ask(bench, HONEST)[0].attempts == 1


def test_no_streams_at_all_are_a_share_of_one_connection_each() -> None:
    """An endpoint may allow none for a while; nobody is set aside then who holds nothing."""
    bench = Bench(max_connections=4, protocol="h2")
    flood(bench, GREEDY, 300)
    for index in range(3):
        Peer(bench, index, max_concurrent_streams=0)
    assert [pool.streams for pool in bench.cluster.pools] == [0]
    receiver: Any = SimpleNamespace(connection=SimpleNamespace(peer=(HONEST, 4711)))
    bench.time.pass_by(RECOUNT_S)
    assert bench.cluster.shares.sated(receiver) == ""


def test_without_an_endpoint_nobody_has_a_share() -> None:
    receiver: Any = SimpleNamespace(connection=SimpleNamespace(peer=(HONEST, 4711)))
    assert Shares([], 0, lambda: 0.0).sated(receiver) == ""


def test_who_waits_aside_goes_on_when_others_ended_what_it_had_to_share_with() -> None:
    """Its own requests are over, and a connection is idle: no end of a request tells it."""
    bench = Bench(max_connections=8)
    for number in range(6):
        ask(bench, f"203.0.113.{100 + number}")
        bench.connect(number)
    for _ in range(50):
        request, exchange = ask(bench, HONEST)
        if not request.attempts:
            break
        if not request.reused:
            bench.connect()
        bench.dialer.dials[-1].protocol.data_received(OK)
        bench.time.pass_by(0.001)
    assert (request.attempts, bench.idle) == (0, 1), "counted too high: all came within one count"
    bench.time.pass_by(2 * LOOK_S)
    assert request.attempts == 1
    bench.dialer.dials[-1].protocol.data_received(OK)
    assert exchange.calls == OK_CALLS


def test_who_waits_aside_goes_on_though_its_own_ended_within_one_count() -> None:
    bench = Bench(max_connections=8)
    for number in range(4):
        ask(bench, HONEST)
        ask(bench, f"203.0.113.{100 + number}")
    for index in range(8):
        bench.connect(index)
    waiting, _ = ask(bench, HONEST)
    bench.time.pass_by(0.001)
    bench.dialer.dials[0].protocol.data_received(OK)
    ask(bench, "203.0.113.200")
    bench.dialer.dials[2].protocol.data_received(OK)
    assert (waiting.attempts, bench.idle) == (0, 1)
    bench.time.pass_by(2 * LOOK_S)
    assert (waiting.attempts, bench.idle) == (1, 0)


def test_who_has_less_than_its_share_again_waits_no_longer_than_others() -> None:
    """The common line is never empty: who stood aside gets its place in it back."""
    bench = Bench(max_connections=4)
    for index in range(3):
        ask(bench, HONEST)
        bench.connect(index)
    waiting, exchange = ask(bench, HONEST)
    for number in range(1, 21):
        ask(bench, f"198.51.100.{number}")
    bench.connect(3)
    for index in range(3):
        bench.dialer.dials[index].protocol.data_received(OK)
    assert not waiting.attempts
    for step in range(40):
        bench.time.pass_by(0.1)
        ask(bench, f"198.51.101.{step}")
        bench.dialer.dials[step % 4].protocol.data_received(OK)
    assert exchange.calls == OK_CALLS


def test_nothing_comes_up_once_nobody_waits_aside() -> None:
    bench = Bench(max_connections=4)
    flood(bench, GREEDY, 4)[3][0].cancel()
    bench.time.pass_by(5 * LOOK_S)
    assert bench.cluster.queue._look is None

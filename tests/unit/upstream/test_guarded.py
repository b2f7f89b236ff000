"""Clusters that choose by hash, set cookies, and take a limited number of requests."""

from __future__ import annotations

from typing import Any

import pytest

from edge import model
from edge.head import ResponseHead
from edge.upstream.cluster import Cluster
from edge.upstream.guarded import GuardedCluster, cluster_of
from edge.upstream.hashing import Hashing
from tests.unit.upstream.fakes import OK, OK_CALLS, Bench, Recorder, get


class Client:
    """A connection, as far as hashing knows one."""

    def __init__(self, peer: str) -> None:
        self.peer = (peer, 4711)


class Asking(Recorder):
    """An exchange of a client, which keeps the head it got."""

    def __init__(self, peer: str = "198.51.100.1") -> None:
        super().__init__()
        self.connection = Client(peer)
        self.head: ResponseHead | None = None

    def response_head(self, head: ResponseHead, end: bool) -> None:
        self.head = head
        super().response_head(head, end)


def hashing(on: str, name: bytes = b"", **fields: Any) -> model.Balancing:
    return model.Balancing(type="hash", hash_on=on, name=name, table_size=1021, **fields)


def where(bench: Bench, receiver: Recorder | None = None, path: bytes = b"/", **fields: bytes) -> str:
    head = get(path)
    head.fields += [(name.encode(), value) for name, value in fields.items()]
    request = bench.cluster.dispatch(receiver or Recorder(), head, True, 0.0)
    return request.address


def test_a_plain_cluster_pays_for_nothing() -> None:
    bench = Bench()
    plain = model.Cluster(name="plain", endpoints=[])
    made = cluster_of(plain, bench.dialer, bench.deadlines, bench.time.clock, bench.limits)
    assert type(made) is Cluster


@pytest.mark.parametrize(
    ("balancing", "one", "other"),
    [
        (hashing("header", b"x-tenant"), {"x-tenant": b"a"}, "x-tenant"),
        (hashing("cookie", b"sid"), {"cookie": b"theme=dark; sid=a; sidx=b"}, "cookie"),
    ],
)
def test_the_same_value_goes_to_the_same_endpoint(
    balancing: model.Balancing, one: dict[str, bytes], other: str
) -> None:
    bench = Bench(endpoints=8, balancing=balancing)
    first = where(bench, **one)
    assert {where(bench, **one) for _ in range(20)} == {first}
    spread = {where(bench, **{other: b"sid=%d; x=1" % number}) for number in range(100)}
    assert len(spread) == 8


def test_a_query_parameter_is_hashed_by_its_first_value() -> None:
    bench = Bench(endpoints=8, balancing=hashing("query", b"user"))
    first = where(bench, path=b"/a?x=1&user=7&user=8")
    assert {where(bench, path=b"/b/%d?user=7&y" % number) for number in range(20)} == {first}


def test_a_client_goes_to_the_same_endpoint_by_its_address() -> None:
    bench = Bench(endpoints=8, balancing=hashing("source"))
    first = where(bench, Asking("198.51.100.7"))
    assert {where(bench, Asking("198.51.100.7")) for _ in range(20)} == {first}
    assert len({where(bench, Asking(f"198.51.100.{last}")) for last in range(100)}) == 8


def test_who_has_nothing_to_hash_goes_anywhere() -> None:
    bench = Bench(endpoints=4, balancing=hashing("header", b"x-tenant"))
    assert len({where(bench) for _ in range(200)}) == 4
    assert len({where(Bench(endpoints=1, balancing=hashing("source"))) for _ in range(3)}) == 1


def test_a_key_goes_elsewhere_while_its_endpoint_refuses_and_then_comes_back() -> None:
    bench = Bench(endpoints=3, balancing=hashing("header", b"x-tenant"))
    first = where(bench, **{"x-tenant": b"a"})
    bench.dialer.dials[-1].failed("refused")
    assert f"{bench.dialer.dials[-1].host}:80" != first
    assert where(bench, **{"x-tenant": b"a"}) == first


def test_a_client_without_the_cookie_gets_one_that_brings_it_back() -> None:
    cookie = hashing("cookie", b"edge", cookie_ttl_s=3600, cookie_attributes=b"; Path=/; HttpOnly")
    bench = Bench(endpoints=8, balancing=cookie)
    receiver = Asking()
    address = where(bench, receiver)
    bench.connect()
    bench.dialer.dials[-1].protocol.data_received(OK)
    assert receiver.calls == OK_CALLS
    assert receiver.head is not None
    set_cookie = receiver.head.get(b"set-cookie")
    assert set_cookie is not None
    pair, _, attributes = set_cookie.partition(b"; ")
    assert attributes == b"Max-Age=3600; Path=/; HttpOnly"
    assert where(bench, cookie=pair) == address
    again = Asking()
    bench.cluster.dispatch(again, get(), True, 0.0)
    bench.dialer.dials[-1].protocol.data_received(OK)


def test_a_client_that_has_the_cookie_gets_no_other() -> None:
    bench = Bench(endpoints=1, balancing=hashing("cookie", b"edge", cookie_ttl_s=0))
    receiver = Asking()
    where(bench, receiver, cookie=b"edge=abc")
    bench.connect()
    bench.dialer.dials[-1].protocol.data_received(OK)
    assert receiver.head is not None
    assert receiver.head.get(b"set-cookie") is None


def test_the_cookie_is_for_tls_only_where_the_client_speaks_it() -> None:
    made = Hashing(hashing("cookie", b"edge", cookie_ttl_s=0), lambda size: b"\x01" * size)
    head = get()
    assert made.key(Recorder(), head)[1] == (b"set-cookie", b"edge=0101010101010101")
    head.scheme = b"https"
    assert made.key(Recorder(), head)[1] == (b"set-cookie", b"edge=0101010101010101; Secure")


def test_over_the_limit_of_requests_is_a_503_until_one_has_ended() -> None:
    bench = Bench(max_requests=2)
    first, _ = bench.send(get())
    _, second = bench.send(get())
    _, refused = bench.send(get())
    assert refused.calls == [("failed", "Overloaded", 503)]
    assert bench.cluster.rejected == {"max_requests": 1}
    first.cancel()
    first.cancel()
    bench.connect(1)
    bench.dialer.dials[1].protocol.data_received(OK)
    assert second.calls == OK_CALLS
    assert isinstance(bench.cluster, GuardedCluster)
    assert bench.cluster.active == 0
    third, _ = bench.send(get())
    assert third.attempts == 1


def test_requests_that_fail_are_not_under_way_any_more() -> None:
    bench = Bench(max_requests=5, max_connections=1, max_pending=1)
    assert isinstance(bench.cluster, GuardedCluster)
    bench.send(get())
    _, waits = bench.send(get())
    _, refused = bench.send(get())
    assert refused.calls == [("failed", "Overloaded", 503)]
    assert bench.cluster.active == 2
    bench.dialer.dials[0].failed("refused")
    bench.time.pass_by(11.0)
    bench.dialer.dials[-1].failed("refused")
    assert waits.calls
    assert bench.cluster.active == 0


def test_what_passes_between_the_endpoint_and_the_exchange_is_unchanged() -> None:
    bench = Bench(outliers=model.Outliers(), max_requests=10)
    _, exchange = bench.send(get())
    bench.connect()
    bench.dialer.dials[0].protocol.data_received(
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n"
    )
    assert exchange.calls == [
        ("informational", 103),
        ("head", 200, False),
        ("data", b"abc", False),
        ("trailers", [(b"x-sum", b"1")]),
    ]

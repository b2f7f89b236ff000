"""Rules about client certificates hold for hosts, however the connection was made."""

from __future__ import annotations

import pytest

from edge import model
from edge.exchange.arrival import arrivals_of, policy_of
from edge.exchange.identity import ClientIdentity
from edge.head import RequestHead
from tests.unit.exchange.fakes import FakeConnection, World

REQUIRED = model.ClientAuth(required=True, ca_pem=b"ours")
OPTIONAL = model.ClientAuth(required=False, ca_pem=b"ours")
OTHERS = model.ClientAuth(required=True, ca_pem=b"theirs")


def certificate(auth: model.ClientAuth | None, *hostnames: str) -> model.Certificate:
    return model.Certificate(hostnames=list(hostnames), chain_pem=b"", key_pem=b"", client_auth=auth)


LISTENER = model.Listener(
    name="secure",
    host="127.0.0.1",
    port=443,
    certificates=[
        certificate(None, "open.example"),
        certificate(REQUIRED, "closed.example", "*.closed.example"),
        certificate(OPTIONAL, "maybe.example"),
        certificate(OTHERS, "other.example"),
    ],
)


def status(auth: model.ClientAuth | None, authority: bytes) -> int:
    """Of the refusal of a connection that was made under `auth`; 0 = none."""
    arrivals = arrivals_of(LISTENER)
    assert arrivals is not None
    connection = FakeConnection()
    connection.identity = ClientIdentity(policy_of(auth)) if auth is not None else None
    _, refusal = arrivals.enter(connection, RequestHead(b"GET", b"https", authority, b"/", []))
    return refusal.status if refusal is not None else 0


@pytest.mark.parametrize(
    ("auth", "authority", "expected"),
    [
        (None, b"open.example", 0),
        (None, b"unknown.example", 0),
        (None, b"open.example:443", 0),
        (None, b"closed.example", 421),
        (None, b"closed.example:443", 421),
        (None, b"a.closed.example", 421),
        (None, b"a.b.closed.example", 0),
        (None, b"maybe.example", 421),
        (None, b"[::1]:443", 0),
        (REQUIRED, b"closed.example", 0),
        (REQUIRED, b"a.closed.example", 0),
        (REQUIRED, b"open.example", 421),
        (REQUIRED, b"maybe.example", 421),
        (REQUIRED, b"other.example", 421),
        (OTHERS, b"closed.example", 421),
        (OPTIONAL, b"closed.example", 421),
        (OPTIONAL, b"maybe.example", 0),
    ],
)
def test_a_host_is_served_on_connections_made_under_its_rules(
    auth: model.ClientAuth | None, authority: bytes, expected: int
) -> None:
    assert status(auth, authority) == expected


def test_equal_rules_are_one_policy() -> None:
    again = model.ClientAuth(required=True, ca_pem=b"ours")
    assert policy_of(again) == policy_of(REQUIRED) != policy_of(OPTIONAL)
    assert policy_of(None) == b""


def test_a_listener_that_asks_for_nothing_and_believes_nobody_has_no_arrivals() -> None:
    plain = model.Listener(name="web", host="::", port=80)
    assert arrivals_of(plain) is None


def test_a_misdirected_request_is_answered_and_goes_nowhere() -> None:
    world = World()
    world.pipeline.arrivals = arrivals_of(LISTENER)
    made = RequestHead(b"GET", b"https", b"closed.example", b"/x", [])
    exchange = world.pipeline.accept(FakeConnection(), world.client, made, True)
    assert world.client.head.status == 421
    assert (exchange.flag, exchange.finished) == ("MR", True)
    assert world.cluster.requests == []
    assert world.notes.finished_exchanges == [exchange]
    assert world.revision.active == 0


def test_the_exchange_has_the_client_that_hops_tell_of() -> None:
    world = World()
    believed = model.Forwarded(hops=1)
    world.pipeline.arrivals = arrivals_of(model.Listener(name="web", host="::", port=80, forwarded=believed))
    exchange = world.request(
        fields=[(b"x-forwarded-for", b"203.0.113.9"), (b"a", b"b"), (b"x-real-ip", b"1.1.1.1")]
    )
    assert exchange.connection.client == b"203.0.113.9:0"
    assert exchange.head.fields[:3] == [
        (b"a", b"b"),
        (b"x-forwarded-for", b"203.0.113.9, 192.0.2.1"),
        (b"x-forwarded-proto", b"https"),
    ]

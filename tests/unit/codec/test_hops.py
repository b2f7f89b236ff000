"""OPTIONS goes as many hops as it says; the last one answers. Spec: RFC 9110 §7.6.2."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from edge.codec.hops import LastHop
from edge.codec.refusal import ALLOW
from edge.errors import EdgeError
from edge.head import Fields
from tests.hostile.fake_h1 import Edge, FakeExchange
from tests.hostile.fake_h2 import H2Edge
from tests.unit.codec.h3.world import World


@dataclass
class Outcome:
    """What the exchange got (None: there was none), or what the client was answered."""

    forwarded: list[bytes] | None
    status: int | None
    allow: list[bytes]
    refused: list[EdgeError]


def _outcome(exchanges: list[FakeExchange], answer: Fields, refused: list[EdgeError]) -> Outcome:
    forwarded = exchanges[0].head.get_all(b"max-forwards") if exchanges else None
    told = dict(answer)
    status = int(told[b":status"]) if told else None
    return Outcome(forwarded, status, [value for name, value in answer if name == b"allow"], refused)


def over_h1(method: str, values: list[bytes]) -> Outcome:
    edge = Edge(FakeExchange)
    lines = b"".join(b"Max-Forwards: %b\r\n" % value for value in values)
    edge.feed(b"%b /a HTTP/1.1\r\nhost: a\r\n%b\r\n" % (method.encode(), lines))
    answer: Fields = []
    if edge.transport.written:
        line, *rest = bytes(edge.transport.written).partition(b"\r\n\r\n")[0].split(b"\r\n")
        answer = [(b":status", line.split(b" ")[1]), *(_field(each) for each in rest)]
    return _outcome(edge.exchanges, answer, edge.refused)


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b": ")
    return name, value


def _fields(method: str, values: list[bytes]) -> Fields:
    return [
        (b":method", method.encode()),
        (b":scheme", b"https"),
        (b":authority", b"a"),
        (b":path", b"/a"),
        *((b"max-forwards", value) for value in values),
    ]


def over_h2(method: str, values: list[bytes]) -> Outcome:
    edge = H2Edge(FakeExchange)
    edge.send(edge.head(1, _fields(method, values)))
    return _outcome(edge.exchanges, edge.heads.get(1, [[]])[0], edge.refused)


def over_h3(method: str, values: list[bytes]) -> Outcome:
    world = World(FakeExchange)
    client: Any = world.client()
    stream_id = client.request(_fields(method, values))
    world.settle()
    heads = client.heads(stream_id)
    return _outcome(world.exchanges, heads[0] if heads else [], world.refused)


protocols = pytest.mark.parametrize("ask", [over_h1, over_h2, over_h3])
Ask = Callable[[str, list[bytes]], Outcome]


@protocols
@pytest.mark.parametrize("zero", [b"0", b"000"])
def test_the_last_hop_answers_what_it_takes(ask: Ask, zero: bytes) -> None:
    outcome = ask("OPTIONS", [zero])
    assert (outcome.forwarded, outcome.status, outcome.allow) == (None, 200, [ALLOW[1]])
    assert [(type(error), error.status, error.flag) for error in outcome.refused] == [(LastHop, 200, "")]


@protocols
@pytest.mark.parametrize(
    ("came", "goes"), [(b"1", b"0"), (b"10", b"9"), (b"007", b"6"), (b"9" * 5000, b"999999999")]
)
def test_each_hop_takes_one_off(ask: Ask, came: bytes, goes: bytes) -> None:
    outcome = ask("OPTIONS", [came])
    assert (outcome.forwarded, outcome.status) == ([goes], None)


@protocols
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PROPFIND"])
@pytest.mark.parametrize("value", [b"0", b"5", b"many"])
def test_other_methods_go_on_with_what_they_say(ask: Ask, method: str, value: bytes) -> None:
    assert ask(method, [value]).forwarded == [value]


@protocols
def test_options_without_it_goes_on_as_it_came(ask: Ask) -> None:
    assert ask("OPTIONS", []).forwarded == []


@protocols
@pytest.mark.parametrize("values", [[b"-1"], [b"1.5"], [b"many"], [b""], [b"1", b"1"], [b"\xb2"]])
def test_what_is_no_number_is_refused(ask: Ask, values: list[bytes]) -> None:
    outcome = ask("OPTIONS", values)
    assert (outcome.forwarded, outcome.status) == (None, 400)

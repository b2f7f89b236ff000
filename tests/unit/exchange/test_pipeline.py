"""A request's whole way with fakes at both ends, no filters."""

from __future__ import annotations

import pytest

from edge import model
from edge.chain.filter import Action, LocalReply
from edge.errors import BadRequest, ConnectFailed, DownstreamClosed, NoEndpoint, UpstreamClosed
from edge.exchange import properties
from edge.head import ResponseHead
from tests.unit.chain.scripted import RESPONSE, Scripted, ScriptedFilter
from tests.unit.exchange.fakes import FakeCluster, World


def test_a_request_goes_up_and_its_response_comes_down():
    world = World()
    exchange = world.request(b"/a?b=1", end=False)
    exchange.request_data(b"he", False)
    exchange.request_data(b"llo", True)
    assert world.upstream.events == [
        ("head", b"/a?b=1", False),
        ("data", b"he", False),
        ("data", b"llo", True),
    ]
    exchange.response_head(ResponseHead(200, [], 2), False)
    exchange.response_data(b"ok", True)
    assert world.client.events == [("head", 200, False), ("data", b"ok", True)]
    assert world.notes.finished_exchanges == [exchange]
    assert (exchange.status, exchange.bytes_in, exchange.bytes_out) == (200, 5, 2)
    assert world.revision.active == 0


def test_a_whole_response_leaves_in_one_write():
    world = World()
    exchange = world.request()
    exchange.response_whole(ResponseHead(200, [], 2), b"ok")
    assert world.client.events == [("whole", 200, b"ok")]
    assert (exchange.bytes_out, exchange.status) == (2, 200)
    assert len(world.notes.finished_exchanges) == 1


def test_a_whole_response_with_trailers_leaves_in_one_write():
    world = World()
    exchange = world.request()
    exchange.response_whole(ResponseHead(200, []), b"ok", [(b"grpc-status", b"0")])
    assert world.client.events == [("whole", 200, b"ok", [(b"grpc-status", b"0")])]
    assert (exchange.bytes_out, exchange.status, exchange.finished) == (2, 200, True)


def test_filters_see_body_and_trailers_of_a_whole_response():
    def sums(it: ScriptedFilter) -> Action:
        it.port.set_response_trailers([*it.port.response_trailers, (b"x-sum", b"2")])
        return Action.CONTINUE

    world = World(chain=(Scripted(response_trailers=[sums]),))
    exchange = world.request()
    exchange.response_whole(ResponseHead(200, []), b"ok", [(b"grpc-status", b"0")])
    assert world.client.events == [
        ("head", 200, False),
        ("data", b"ok", False),
        ("trailers", [(b"grpc-status", b"0"), (b"x-sum", b"2")]),
    ]
    assert (exchange.bytes_out, exchange.finished) == (2, True)


def test_a_filter_that_waits_holds_body_and_trailers_of_a_whole_response():
    scripted = Scripted(response_head=[Action.PAUSE])
    world = World(chain=(scripted,))
    exchange = world.request()
    exchange.response_whole(ResponseHead(200, []), b"ok", [(b"grpc-status", b"0")])
    assert world.client.events == []
    scripted.filter.port.resume(RESPONSE)
    world.turn()
    assert world.client.events == [
        ("head", 200, False),
        ("data", b"ok", False),
        ("trailers", [(b"grpc-status", b"0")]),
    ]
    assert exchange.finished


def test_a_whole_response_that_a_filter_lets_pass_leaves_in_one_write():
    world = World(chain=(Scripted(),))  # type: ignore[arg-type]
    exchange = world.request()
    exchange.response_whole(ResponseHead(200, [], 2), b"ok")
    assert world.client.events == [("whole", 200, b"ok")]
    assert (exchange.bytes_out, exchange.status) == (2, 200)
    assert len(world.notes.finished_exchanges) == 1


def test_a_whole_response_of_an_exchange_that_ends_is_not_wanted():
    world = World()
    exchange = world.request()
    exchange.closing = True
    exchange.response_whole(ResponseHead(200, [], 2), b"ok")
    assert world.client.events == []


def test_request_id_and_forwarding_headers_are_ours():
    world = World()
    world.request()
    assert world.upstream.head.fields == [
        (b"x-forwarded-for", b"192.0.2.1"),
        (b"x-forwarded-proto", b"https"),
        (b"x-request-id", b"id-1"),
    ]


def test_no_rule_is_404_and_nothing_goes_up():
    rule = model.Rule(name="api", matches=[model.Match(path=b"/api")], cluster="shop")
    world = World(rule)
    exchange = world.request(b"/other")
    assert world.client.events[0][:2] == ("whole", 404)
    assert world.cluster.requests == []
    assert (exchange.flag, exchange.reply_source) == ("NR", "edge")
    assert len(world.notes.finished_exchanges) == 1


def test_a_failed_endpoint_is_502_even_inside_dispatch():
    world = World(cluster=FakeCluster(refuse=ConnectFailed("refused")))
    exchange = world.request()
    assert world.client.events[0][:2] == ("whole", 502)
    assert exchange.flag == "UF"
    assert len(world.notes.finished_exchanges) == 1


def test_an_upstream_that_dies_after_the_head_resets_the_client():
    world = World()
    exchange = world.request()
    exchange.response_head(ResponseHead(200, [], 10), False)
    exchange.response_data(b"half", False)
    exchange.upstream_failed(UpstreamClosed("mid body"))
    assert world.client.events[-1] == ("reset", "UC")
    assert len(world.notes.finished_exchanges) == 1


def test_a_client_that_leaves_cancels_upstream_once():
    world = World()
    exchange = world.request()
    exchange.downstream_failed(DownstreamClosed("gone"))
    exchange.downstream_failed(DownstreamClosed("gone"))
    assert world.upstream.events[-1] == ("cancel",)
    assert world.upstream.events.count(("cancel",)) == 1
    assert (exchange.status, exchange.flag) == (499, "DC")
    assert len(world.notes.finished_exchanges) == 1


def test_a_malformed_body_is_noted_as_the_clients_fault():
    world = World()
    exchange = world.request(end=False)
    exchange.downstream_failed(BadRequest("chunk size"))
    assert world.upstream.events[-1] == ("cancel",)
    assert exchange.status == 400


def test_a_body_over_the_limit_is_413_by_length_and_by_count():
    world = World(body_bytes=10)
    world.request(end=False, length=11)
    assert world.client.events[0][:2] == ("whole", 413)
    world = World(body_bytes=10)
    exchange = world.request(end=False)
    exchange.request_data(b"x" * 11, False)
    assert world.client.events[0][:2] == ("whole", 413)
    assert world.upstream.events[-1] == ("cancel",)


def test_the_request_timeout_is_504_and_cancels():
    rule = model.Rule(
        name="all", matches=[model.Match()], cluster="shop", request_timeout_s=2.0, backend_timeout_s=1.5
    )
    world = World(rule)
    exchange = world.request()
    assert world.cluster.timeout_s == 1.5
    world.advance(1.9)
    assert world.client.events == []
    world.advance(0.3)
    assert world.client.events[0][:2] == ("whole", 504)
    assert world.upstream.events[-1] == ("cancel",)
    assert exchange.flag == "UT"


def test_an_early_response_ends_the_exchange_and_later_body_is_ignored():
    world = World()
    exchange = world.request(end=False)
    exchange.response_head(ResponseHead(401, [], 0), True)
    exchange.request_data(b"late", True)
    assert world.upstream.events == [("head", b"/x", False)]
    assert len(world.notes.finished_exchanges) == 1


def test_a_tunnel_passes_bytes_both_ways_after_101():
    world = World()
    exchange = world.request(end=False, upgrade=b"websocket")
    exchange.response_head(ResponseHead(101, []), False)
    exchange.request_data(b"ping", False)
    exchange.response_data(b"pong", False)
    exchange.response_data(b"", True)
    assert world.upstream.events[-2:] == [("data", b"ping", False), ("cancel",)]
    assert world.client.events == [("head", 101, False), ("data", b"pong", False), ("data", b"", True)]
    assert len(world.notes.finished_exchanges) == 1


def test_informational_heads_pass_and_an_unasked_100_does_not():
    world = World()
    exchange = world.request()
    exchange.response_informational(ResponseHead(103, []))
    exchange.response_informational(ResponseHead(100, []))
    assert world.client.events == [("informational", 103)]


def test_upstreams_100_answers_a_client_that_waits_once():
    world = World()
    exchange = world.request(end=False, expect_continue=True)
    exchange.response_informational(ResponseHead(100, []))
    exchange.response_informational(ResponseHead(100, []))
    exchange.request_needs_body()
    assert world.client.events == [("informational", 100)]


def test_back_pressure_counts_who_holds():
    world = World()
    exchange = world.request(end=False)
    exchange.pause_request()
    exchange.pause_request_source()
    exchange.resume_request()
    assert world.client.events == [("pause",)]
    exchange.resume_request_source()
    assert world.client.events == [("pause",), ("resume",)]
    exchange.pause_response()
    exchange.pause_response()
    exchange.resume_response()
    assert world.upstream.events[1:] == [("pause",), ("resume",)]


def test_rule_edits_and_rewrites_apply_on_the_way_up_and_down():
    rule = model.Rule(
        name="all",
        matches=[model.Match(path=b"/api")],
        cluster="shop",
        request_headers=model.HeaderModifier(set=[(b"x-a", b"1")]),
        response_headers=model.HeaderModifier(remove=[b"server"]),
        rewrite=model.Rewrite(prefix=b"/v2", hostname=b"up.example"),
    )
    world = World(rule)
    exchange = world.request(b"/api/items?q=1")
    assert world.upstream.head.path == b"/v2/items?q=1"
    assert world.upstream.head.authority == b"up.example"
    assert world.upstream.head.get(b"x-a") == b"1"
    assert exchange.path == b"/api/items?q=1"
    exchange.response_head(ResponseHead(200, [(b"server", b"x"), (b"etag", b"1")], 0), True)
    assert world.client.head.fields == [(b"etag", b"1")]


def test_a_draining_revision_tells_when_its_last_exchange_ends():
    world = World()
    exchange = world.request()
    drained = []
    world.revision.drain(drained.append)
    assert drained == []
    exchange.response_head(ResponseHead(204, []), True)
    assert drained == [world.revision]


def test_the_backend_can_be_chosen_until_the_head_has_left():
    world = World()
    exchange = world.request()
    assert exchange.set_backend("other") is False
    assert exchange.set_backend("nowhere") is False


def test_properties_read_what_the_exchange_knows():
    world = World()
    exchange = world.request(b"/a/b?c=d", fields=[(b"x-k", b"1"), (b"x-k", b"2"), (b"user-agent", b"curl")])
    expected = {
        b"request\0path": b"/a/b?c=d",
        b"request\0url_path": b"/a/b",
        b"request\0query": b"c=d",
        b"request\0host": b"shop.example",
        b"request\0method": b"GET",
        b"request\0protocol": b"HTTP/1.1",
        b"request\0headers\0x-k": b"1,2",
        b"request\0useragent": b"curl",
        b"request\0id": b"id-1",
        b"source\0address": b"192.0.2.1:4242",
        b"source\0port": (4242).to_bytes(8, "little"),
        b"connection\0tls_version": b"TLSv1.3",
        b"connection\0requested_server_name": b"shop.example",
        b"route_name": b"route",
        b"cluster_name": b"shop",
        b"upstream\0address": b"192.0.2.9:80",
        b"upstream\0port": (80).to_bytes(8, "little"),
        b"response\0code": None,
        b"no\0such": None,
    }
    assert {path: properties.read(exchange, path) for path in expected} == expected


def test_a_filter_that_turns_a_whole_body_into_trailers_does_not_swallow_the_head():
    def replace(it: ScriptedFilter) -> Action:
        it.port.body(RESPONSE).splice(0, it.size, b"")
        it.port.set_response_trailers([(b"x-sum", b"0")])
        return Action.CONTINUE

    world = World(chain=(Scripted(response_data=[replace]),))
    exchange = world.request()
    head = ResponseHead(200, [])
    exchange.response_whole(head, b"ok")
    assert world.client.events == [("head", 200, False), ("trailers", [(b"x-sum", b"0")])]
    assert len(world.notes.finished_exchanges) == 1


def test_an_exchange_that_ends_inside_dispatch_holds_no_upstream():
    world = World(cluster=FakeCluster(refuse=NoEndpoint("none")))
    exchange = world.request()
    assert exchange.finished
    assert exchange.upstream is None, "they would keep each other alive until a collection"


def test_the_request_timeout_ends_a_reply_that_a_filter_holds_up():
    def waits(it: ScriptedFilter) -> Action:
        it.port.waiting(1)
        return Action.PAUSE

    def replies(it: ScriptedFilter) -> Action:
        it.port.reply(LocalReply(403, [], b""))
        return Action.REPLY

    rule = model.Rule(name="all", matches=[model.Match()], cluster="shop", request_timeout_s=2.0)
    world = World(rule, chain=(Scripted("a", response_head=[waits]), Scripted("b", request_head=[replies])))
    exchange = world.request()
    world.advance(60)
    assert world.client.events == [("reset", "UT")]
    assert exchange.finished
    assert world.revision.active == 0


@pytest.mark.parametrize("method", [b"CONNECT", b"TRACE"])
def test_a_filter_cannot_set_a_method_that_edge_does_not_serve(method):
    def sets(it: ScriptedFilter) -> Action:
        it.port.request.method = method
        return Action.CONTINUE

    world = World(chain=(Scripted(request_head=[sets]),))
    world.request()
    assert world.cluster.requests == []
    assert world.client.events[0][:2] == ("head", 400)

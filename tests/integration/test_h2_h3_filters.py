"""Three filters in three languages decide and trace alike over HTTP/1.1, HTTP/2 and HTTP/3."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.authority import Authority
from tests.integration.jaeger_server import Jaeger, Span, attributes, jaeger_server
from tests.integration.protocol_site import PROTOCOLS, Reply, Site, every_protocol
from tests.integration.running_edge import configuration, rule, running_edge, through
from tests.integration.scripted_upstream import Conversation, Upstream, reply, scripted

SERVER, CLIENT, INTERNAL = 2, 3, 1
FILTERS = {"who": "api-key", "polish": "header-transform", "ab": "ab-split"}
SPANS = 2 + 2 * len(FILTERS)
KEY = (b"x-api-key", b"k-alice")
VERSIONS = {"h1": "1.1", "h1s": "1.1", "h2c": "2", "h2": "2", "h3": "3"}
BODY = bytes(range(256)) * 4096

over_each = pytest.mark.parametrize("protocol", PROTOCOLS)


@dataclass
class Filtered(Site):
    upstreams: dict[str, Upstream]
    jaeger: Jaeger


def _chain() -> list[dict[str, Any]]:
    variants = [
        {"name": "old", "weight": 1, "backend": "first"},
        {"name": "new", "weight": 1, "backend": "second"},
    ]
    settings: dict[str, Any] = {
        "who": {"keys": {"k-alice": "alice"}},
        "polish": {
            "request": {"remove": ["x-debug"], "set": {"x-from": "${method} ${path}"}},
            "response": {"remove": ["server"], "set": {"x-served-by": "edge ${status}"}},
        },
        "ab": {"cookie": "side", "query": "side", "variants": variants},
    }
    chain = [{"name": name, "module": module, "config": settings[name]} for name, module in FILTERS.items()]
    chain[2]["allow"] = {"backends": ["first", "second"]}
    return chain


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, edge_state: Path, authority: Authority
) -> Iterator[Filtered]:
    def script(name: str) -> Any:
        async def serve(it: Conversation) -> None:
            while True:
                request = await it.request()
                upstreams[name].requests.append(request)
                await it.send(reply(request.body or name.encode(), b"server: hidden"))

        return serve

    folder = tmp_path_factory.mktemp("filters")
    with (
        jaeger_server(tmp_path_factory.mktemp("jaeger")) as jaeger,
        scripted(script("first")) as first,
        scripted(script("second")) as second,
    ):
        upstreams = {"first": first, "second": second}
        config = configuration(
            {name: [each.port] for name, each in upstreams.items()},
            [rule("first", filters=[through("three")])],
            modules={module: {"builtin": module} for module in FILTERS.values()},
            filterChains={"three": _chain()},
            telemetry={
                "trust": ["127.0.0.0/8"],
                "tracing": {"otlp": {"endpoint": jaeger.otlp}, "sampler": {"ratio": 1.0}},
            },
        )
        with running_edge(folder / "edge", every_protocol(config, authority), edge_state) as edge:
            yield Filtered(edge, authority, upstreams, jaeger)


def _shown(answer: Reply) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
    """What must not depend on the protocol."""
    own = {b"date", b"alt-svc", b"connection", b"keep-alive", b":status"}
    return answer.status, answer.body, sorted(pair for pair in answer.head if pair[0] not in own)


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/x", []),
        ("/x", [(b"x-api-key", b"wrong")]),
        ("/x", [(b"x-api-key", b"\xff\xfe")]),
        ("/x?side=old", [KEY]),
        ("/x?side=new", [KEY, (b"x-debug", b"1"), (b"x-consumer", b"root")]),
        ("/x/../y//z?side=old", [KEY]),
    ],
)
def test_every_protocol_gets_the_same_answer(
    site: Filtered, path: str, fields: list[tuple[bytes, bytes]]
) -> None:
    answers = {protocol: _shown(site.ask(protocol, path, *fields)) for protocol in PROTOCOLS}
    assert answers["h1"][0] in (200, 401)
    assert {protocol for protocol, answer in answers.items() if answer != answers["h1"]} == set()


@over_each
@pytest.mark.parametrize(("side", "backend"), [("old", "first"), ("new", "second")])
def test_the_chosen_backend_hears_who_it_is(site: Filtered, protocol: str, side: str, backend: str) -> None:
    forged = [(b"x-consumer", b"root"), (b"x-debug", b"1")]
    answer = site.ask(protocol, f"/who?side={side}", KEY, *forged, method="POST", body=BODY)
    assert (answer.status, answer.body) == (200, BODY)
    assert answer.values(b"x-served-by") == [b"edge 200"]
    assert answer.values(b"server") == []
    arrived = site.upstreams[backend].requests[-1]
    assert arrived.target == f"/who?side={side}".encode()
    assert arrived.values(b"x-consumer") == [b"alice"]
    assert arrived.values(b"x-api-key") == arrived.values(b"x-debug") == []
    assert arrived.values(b"x-from") == [f"POST /who?side={side}".encode()]
    assert arrived.body == BODY


@over_each
def test_one_request_is_one_trace_with_a_span_for_each_filter_and_direction(
    site: Filtered, protocol: str
) -> None:
    trace_id, parent = f"{PROTOCOLS.index(protocol) + 1:032x}", "b7ad6b7169203331"
    context = (b"traceparent", f"00-{trace_id}-{parent}-01".encode())
    assert site.ask(protocol, "/traced?side=old", KEY, context).status == 200
    _, spans = site.jaeger.trace(trace_id, SPANS)
    (server,), (client,) = _kind(spans, SERVER), _kind(spans, CLIENT)
    assert server["parentSpanId"] == parent
    assert client["parentSpanId"] == server["spanId"]
    filters = _kind(spans, INTERNAL)
    assert {span["parentSpanId"] for span in filters} == {server["spanId"]}
    shown = [(each["edge.filter.name"], each["edge.filter.direction"]) for each in map(attributes, filters)]
    assert sorted(shown) == sorted((name, way) for name in FILTERS for way in ("request", "response"))
    top = attributes(server)
    assert top["network.protocol.version"] == VERSIONS[protocol]
    assert top["http.response.status_code"] == 200
    assert top["url.scheme"] == ("http" if protocol in ("h1", "h2c") else "https")
    for span in spans:
        assert int(server["startTimeUnixNano"]) <= int(span["startTimeUnixNano"])
        assert int(span["endTimeUnixNano"]) <= int(server["endTimeUnixNano"])


def _kind(spans: list[Span], kind: int) -> list[Span]:
    return [span for span in spans if span["kind"] == kind]

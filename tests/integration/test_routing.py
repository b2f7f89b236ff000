"""Everything a rule can do, over every protocol, against upstreams that show what reached them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.authority import HOSTS, Authority
from tests.integration.protocol_site import PROTOCOLS, STREAMS, Reply, Site, every_protocol
from tests.integration.raw_client import RawClient
from tests.integration.running_edge import Configuration, configuration, running_edge, through, within
from tests.integration.scripted_upstream import Conversation, Request, Upstream, reply, scripted

MIRRORED_S = 20.0
BODY = bytes(range(256)) * 512
ORIGIN = (b"origin", b"https://app.shop.example")
KEY = (b"x-api-key", b"k-alice")

over_each = pytest.mark.parametrize("protocol", PROTOCOLS)


@dataclass
class Routed(Site):
    upstreams: dict[str, Upstream]

    def location(self, protocol: str) -> tuple[str, int]:
        """Scheme and port of the listener that `protocol` asks."""
        plain = protocol in ("h1", "h2c")
        return ("http", self.edge.web) if plain else ("https", self.edge.ports["secure"])


def _match(path: str, kind: str = "PathPrefix", **more: Any) -> Configuration:
    return {"path": {"type": kind, "value": path}, **more}


def _rule(path: str, *filters: Configuration, to: str = "one", **more: Any) -> Configuration:
    backends = {} if more.pop("answers", False) else {"backendRefs": [{"name": to}]}
    return {"matches": [_match(path)], "filters": list(filters), **backends, **more}


def _redirect(**fields: Any) -> Configuration:
    return {"type": "RequestRedirect", "requestRedirect": fields}


def _edit(kind: str, **fields: Any) -> Configuration:
    return {"type": f"{kind}HeaderModifier", f"{kind.lower()}HeaderModifier": fields}


def _set(kind: str, name: str, value: str) -> Configuration:
    return _edit(kind, set=[{"name": name, "value": value}])


def _prefix(replacement: str) -> Configuration:
    return {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": replacement}}


def _cors(**fields: Any) -> Configuration:
    origins = {"allowOrigins": ["https://*.shop.example"]}
    return {"type": "CORS", "cors": {**origins, **fields}}


def _mirror(name: str, **share: Any) -> Configuration:
    return {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": name}, **share}}


def _matching() -> list[Configuration]:
    def header(name: str, value: str, kind: str = "Exact") -> list[Configuration]:
        return [{"name": name, "type": kind, "value": value}]

    to_two = [
        _match("/api", headers=header("api-version", "2")),
        _match("/api", queryParams=header("version", "2")),
        _match("/api", headers=header("cookie", "(.*; *)?side=new(;.*)?", "RegularExpression")),
        _match("/items/[0-9]+", "RegularExpression"),
        _match("/sized", headers=header("content-length", "3")),
        _match("/method", method="POST"),
    ]
    return [
        {"matches": to_two, "backendRefs": [{"name": "two"}]},
        {"matches": [_match("/api"), _match("/items"), _match("/sized")], "backendRefs": [{"name": "one"}]},
        _rule("/method"),
    ]


def _rules() -> list[Configuration]:
    shares = [
        {"name": "one", "weight": 3, "filters": [_set("Request", "x-side", "a")]},
        {"name": "two", "weight": 1, "filters": [_set("Response", "x-side", "b")]},
    ]
    polish = through("polish")
    return [
        *_matching(),
        _rule("/shared", _set("Response", "x-all", "yes"), backendRefs=shares),
        _rule(
            "/all",
            polish,
            _cors(),
            _mirror("three"),
            {"type": "URLRewrite", "urlRewrite": {"hostname": "inner.example", **_prefix("/new")}},
            _set("Request", "x-edited", "yes"),
            _set("Response", "x-all", "yes"),
            backendRefs=shares,
            timeouts={"request": "60s"},
            retry={"attempts": 1, "codes": [503]},
        ),
        _rule("/nobody", backendRefs=[{"name": "one", "weight": 0}]),
        _rule("/chosen", through("split"), backendRefs=shares),
        _rule("/to-https", _redirect(scheme="https", statusCode=301), answers=True),
        _rule("/to-port", _redirect(port=8443, statusCode=308), answers=True),
        _rule("/to-host", _redirect(hostname="other.example"), answers=True),
        _rule("/to-path", _redirect(**_prefix("/new")), _set("Response", "x-why", "moved"), answers=True),
        _rule("/see", _redirect(hostname="other.example", statusCode=303), polish, answers=True),
        _rule("/direct", {"type": "DirectResponse", "directResponse": {"body": "hello"}}, answers=True),
        _rule("/open", _cors(allowMethods=["PUT"], allowHeaders=["x-key"], maxAge=60)),
        _rule("/locked", through("keys"), _cors(allowCredentials=True, allowMethods=["*"])),
        _rule("/copied", _mirror("three"), _mirror("four"), _set("Request", "x-edited", "yes")),
        _rule("/copied/dead", _mirror("dead")),
        _rule("/copied/never", _mirror("three", percent=0)),
        _rule("/copied/half", _mirror("three", fraction={"numerator": 1, "denominator": 2})),
    ]


def _chains() -> dict[str, Any]:
    transform = {"response": {"set": {"x-polished": "${status}"}}}
    variants = [{"name": "two", "weight": 1, "backend": "two"}]
    split = {"name": "split", "module": "ab-split", "config": {"cookie": "s", "variants": variants}}
    return {
        "polish": [{"name": "polish", "module": "header-transform", "config": transform}],
        "keys": [{"name": "keys", "module": "api-key", "config": {"keys": {"k-alice": "alice"}}}],
        "split": [{**split, "allow": {"backends": ["two"]}}],
    }


def _direct(name: str, hostnames: list[str]) -> Configuration:
    """A route of the listener `inner` that says its name."""
    body = {"type": "DirectResponse", "directResponse": {"body": name}}
    return {
        "name": name,
        "parentRefs": [{"name": "inner"}],
        "hostnames": hostnames,
        "rules": [{"matches": [_match("/who")], "filters": [body]}],
    }


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, edge_state: Path, authority: Authority
) -> Iterator[Routed]:
    upstreams: dict[str, Upstream] = {}

    def script(name: str) -> Any:
        async def serve(it: Conversation) -> None:
            while True:
                request = await it.request()
                upstreams[name].requests.append(request)
                await it.send(reply(name.encode(), b"access-control-allow-origin: *"))

        return serve

    async def closes(it: Conversation) -> None:
        await it.head()

    names = ("one", "two", "three", "four")
    modules = {name: {"builtin": name} for name in ("header-transform", "api-key", "ab-split")}
    with (
        scripted(script("one")) as one,
        scripted(script("two")) as two,
        scripted(script("three")) as three,
        scripted(script("four")) as four,
        scripted(closes) as dead,
    ):
        upstreams.update(zip(names, (one, two, three, four), strict=True))
        ports = {name: [each.port] for name, each in upstreams.items()} | {"dead": [dead.port]}
        config = configuration(ports, _rules(), modules=modules, filterChains=_chains())
        inner = {"name": "inner", "address": "127.0.0.1:0", "hostnames": ["*.inner.example"]}
        config["listeners"].append(inner)
        config["routes"][0]["parentRefs"].append({"name": "inner"})
        config["routes"].append(_direct("named", ["a.inner.example"]))
        config["routes"].append(_direct("wild", ["*.example"]))
        folder = tmp_path_factory.mktemp("routing")
        with running_edge(folder / "edge", every_protocol(config, authority), edge_state) as edge:
            yield Routed(edge, authority, upstreams)


@over_each
@pytest.mark.parametrize(
    ("path", "fields", "backend"),
    [
        ("/api", [], b"one"),
        ("/api", [(b"api-version", b"2")], b"two"),
        ("/api", [(b"api-version", b"1"), (b"api-version", b"2")], b"one"),
        ("/api/x?a=1&version=2", [], b"two"),
        ("/api?%76ersion=%32", [], b"two"),
        ("/api?version=1&version=2", [], b"one"),
        ("/api", [(b"cookie", b"a=b; side=new; c=d")], b"two"),
        ("/api", [(b"cookie", b"side=newer")], b"one"),
        ("/items/17", [], b"two"),
        ("/items/17/parts", [], b"one"),
        ("/items/x", [], b"one"),
    ],
)
def test_versions_and_sides_are_told_apart_by_header_query_cookie_and_pattern(
    site: Routed, protocol: str, path: str, fields: list[tuple[bytes, bytes]], backend: bytes
) -> None:
    assert site.ask(protocol, path, *fields).body == backend


@pytest.mark.parametrize(
    ("host", "status", "body"),
    [
        (b"a.inner.example", 200, b"named"),
        (b"b.inner.example:8080", 200, b"wild"),
        (b"b.a.inner.example", 200, b"wild"),
        (b"inner.example", 404, None),
        (b"shop.example", 404, None),
    ],
)
def test_a_listener_serves_its_hostnames_and_the_best_route_for_each(
    site: Routed, host: bytes, status: int, body: bytes | None
) -> None:
    with RawClient(site.edge.ports["inner"]) as client:
        answer = client.exchange(b"GET /who HTTP/1.1\r\nhost: " + host + b"\r\n\r\n")
    assert answer.status == status
    assert body is None or answer.body == body


@over_each
def test_content_length_and_method_are_matched(site: Routed, protocol: str) -> None:
    for body, backend in ((b"abc", b"two"), (b"abcd", b"one")):
        length = [(b"content-length", b"%d" % len(body))] if protocol in STREAMS else []
        assert site.ask(protocol, "/sized", *length, method="POST", body=body).body == backend
    assert site.ask(protocol, "/method", method="POST").body == b"two"
    assert site.ask(protocol, "/method").body == b"one"


@over_each
def test_requests_are_shared_by_weight_and_each_backend_has_its_modifiers(
    site: Routed, protocol: str
) -> None:
    before = {name: len(site.upstreams[name].requests) for name in ("one", "two")}
    answers = [site.ask(protocol, "/shared") for _ in range(16)]
    assert Counter(answer.body for answer in answers) in (
        Counter({b"one": 12, b"two": 4}),
        Counter({b"one": 11, b"two": 5}),
        Counter({b"one": 13, b"two": 3}),
    )
    for answer in answers:
        assert answer.values(b"x-side") == ([b"b"] if answer.body == b"two" else [])
        assert answer.values(b"x-all") == [b"yes"]
    sides = {
        name: {tuple(each.values(b"x-side")) for each in site.upstreams[name].requests[before[name] :]}
        for name in before
    }
    assert sides == {"one": {(b"a",)}, "two": {()}}


@over_each
def test_a_rule_without_a_weighted_backend_answers_500(site: Routed, protocol: str) -> None:
    assert site.ask(protocol, "/nobody").status == 500


@over_each
def test_a_filter_that_chooses_a_backend_wins_over_weights_and_that_backends_modifiers_apply(
    site: Routed, protocol: str
) -> None:
    answers = [site.ask(protocol, "/chosen") for _ in range(6)]
    assert {answer.body for answer in answers} == {b"two"}
    assert {tuple(answer.values(b"x-side")) for answer in answers} == {(b"b",)}


def _location(answer: Reply) -> tuple[int, bytes]:
    (location,) = answer.values(b"location")
    assert answer.body == b""
    return answer.status, location


@over_each
def test_redirects_say_where_to_go_with_the_port_left_out_where_it_is_the_schemes(
    site: Routed, protocol: str
) -> None:
    scheme, port = site.location(protocol)
    host = HOSTS[0]
    here = f"{scheme}://{host}:{port}"
    answers = {
        "/to-https/a?b=c": (301, f"https://{host}/to-https/a?b=c"),
        "/to-port": (308, f"{scheme}://{host}:8443/to-port"),
        "/to-host?x": (302, f"{scheme}://other.example:{port}/to-host?x"),
        "/to-path/a/b?c": (302, f"{here}/new/a/b?c"),
        "/to-path": (302, f"{here}/new"),
    }
    for path, (status, location) in answers.items():
        assert _location(site.ask(protocol, path)) == (status, location.encode())
    assert site.ask(protocol, "/to-path").values(b"x-why") == [b"moved"]


@over_each
def test_a_redirect_stands_where_upstream_would_and_passes_the_filters(site: Routed, protocol: str) -> None:
    answer = site.ask(protocol, "/see", method="POST", body=BODY)
    assert answer.status == 303
    assert answer.values(b"x-polished") == [b"303"]


@over_each
def test_a_direct_response_is_whole(site: Routed, protocol: str) -> None:
    answer = site.ask(protocol, "/direct")
    assert (answer.status, answer.body, answer.values(b"content-type")) == (200, b"hello", [b"text/plain"])
    head = site.ask(protocol, "/direct", method="HEAD")
    assert (head.status, head.body, head.values(b"content-length")) == (200, b"", [b"5"])


def _access(answer: Reply) -> dict[bytes, bytes]:
    names = [name for name, _ in answer.head]
    assert all(names.count(name) == 1 for name in names if name.startswith(b"access-control-"))
    return {
        name.removeprefix(b"access-control-"): value
        for name, value in answer.head
        if name.startswith(b"access-control-")
    }


@over_each
def test_a_preflight_is_answered_by_edge(site: Routed, protocol: str) -> None:
    asked = (b"access-control-request-method", b"PUT")
    before = len(site.upstreams["one"].requests)
    answer = site.ask(protocol, "/open/x", ORIGIN, asked, method="OPTIONS")
    assert (answer.status, answer.values(b"vary")) == (204, [b"Origin"])
    assert answer.values(b"content-length") == []
    assert _access(answer) == {
        b"allow-origin": ORIGIN[1],
        b"allow-methods": b"PUT",
        b"allow-headers": b"x-key",
        b"max-age": b"60",
    }
    stranger = site.ask(protocol, "/open/x", (b"origin", b"https://evil.test"), asked, method="OPTIONS")
    assert (stranger.status, _access(stranger), stranger.values(b"vary")) == (204, {}, [b"Origin"])
    assert len(site.upstreams["one"].requests) == before


@over_each
def test_answers_to_other_origins_bear_the_rules_policy_and_not_upstreams(
    site: Routed, protocol: str
) -> None:
    answer = site.ask(protocol, "/open", ORIGIN)
    assert (answer.body, _access(answer)) == (b"one", {b"allow-origin": ORIGIN[1]})
    assert answer.values(b"vary") == [b"Origin"]
    assert _access(site.ask(protocol, "/open", (b"origin", b"http://app.shop.example"))) == {}
    assert site.ask(protocol, "/open").values(b"vary") == [b"Origin"]


@over_each
def test_preflights_need_no_key_and_refusals_of_filters_can_be_read(site: Routed, protocol: str) -> None:
    asked = (b"access-control-request-method", b"DELETE")
    allowed = {b"allow-origin": ORIGIN[1], b"allow-credentials": b"true"}
    preflight = site.ask(protocol, "/locked", ORIGIN, asked, method="OPTIONS")
    assert (preflight.status, _access(preflight)) == (
        204,
        {**allowed, b"allow-methods": b"DELETE", b"max-age": b"5"},
    )
    refused = site.ask(protocol, "/locked", ORIGIN)
    assert (refused.status, _access(refused)) == (401, allowed)
    served = site.ask(protocol, "/locked", ORIGIN, KEY)
    assert (served.status, _access(served)) == (200, allowed)


def _untraced(request: Request) -> list[tuple[bytes, bytes]]:
    """All but the field that names the span: of one request in a hundred each copy has its own."""
    assert len(request.values(b"traceparent")) == 1
    return [field for field in request.fields if field[0] != b"traceparent"]


@over_each
@pytest.mark.parametrize("body", [b"", b"small", BODY])
def test_mirrors_get_the_same_request_and_nobody_gets_their_answers(
    site: Routed, protocol: str, body: bytes
) -> None:
    path = f"/copied/{protocol}/{len(body)}"
    method = "POST" if body else "GET"
    answer = site.ask(protocol, path, (b"x-mine", b"1"), method=method, body=body)
    assert answer.body == b"one"
    (sent,) = [each for each in site.upstreams["one"].requests if each.target == path.encode()]
    for name in ("three", "four"):
        requests = site.upstreams[name].requests
        for _ in within(MIRRORED_S, f"the copy reached {name}"):
            found = [each for each in requests if each.target == path.encode()]
            if found:
                break
        (copy,) = found
        assert (copy.line, _untraced(copy), copy.body) == (sent.line, _untraced(sent), body)
        assert copy.values(b"x-edited") == [b"yes"]


@over_each
def test_all_of_it_works_in_one_rule(site: Routed, protocol: str) -> None:
    target = f"/new/{protocol}?q".encode()
    answer = site.ask(protocol, f"/all/{protocol}?q", ORIGIN, method="POST", body=BODY)
    assert answer.status == 200
    assert _access(answer) == {b"allow-origin": ORIGIN[1]}
    assert answer.values(b"x-all") == [b"yes"] and answer.values(b"x-polished") == [b"200"]
    assert answer.values(b"x-side") == ([b"b"] if answer.body == b"two" else [])
    (sent,) = [each for each in site.upstreams[answer.body.decode()].requests if each.target == target]
    for _ in within(MIRRORED_S, "the copy arrived"):
        copies = [each for each in site.upstreams["three"].requests if each.target == target]
        if copies:
            break
    (copy,) = copies
    for request in (sent, copy):
        assert request.body == BODY
        assert request.values(b"host") == [b"inner.example"] and request.values(b"x-edited") == [b"yes"]
    assert _untraced(copy) == _untraced(sent)


@over_each
def test_a_dead_mirror_harms_nobody_and_is_counted(site: Routed, protocol: str) -> None:
    name, failed = "edge_mirror_requests_total", 'edge_mirror_outcome="failed"'
    before = site.edge.metric(name, failed)
    for body in (b"", BODY):
        answer = site.ask(protocol, "/copied/dead", method="POST" if body else "GET", body=body)
        assert (answer.status, answer.body) == (200, b"one")
    for _ in within(MIRRORED_S, "both copies are counted"):
        if site.edge.metric(name, failed) >= before + 2:
            break


def test_a_share_of_the_requests_is_mirrored(site: Routed) -> None:
    assert site.ask("h1", "/copied/never").status == 200
    with site.h1() as client:
        for _ in range(200):
            client.send(b"GET /copied/half HTTP/1.1\r\nhost: shop.example\r\n\r\n")
            assert client.response().status == 200
    requests = site.upstreams["three"].requests

    def copies(target: bytes) -> int:
        return sum(each.target == target for each in requests)

    site.ask("h1", "/copied/last")
    for _ in within(MIRRORED_S, "the last copy has come"):
        if copies(b"/copied/last"):
            break
    for _ in within(MIRRORED_S, "as many copies are answered as came"):
        counted = site.edge.metric("edge_mirror_requests_total", 'edge_cluster_name="three"')
        if counted == len(requests):
            break
    # 200 tosses of a coin: outside of this once in 10^12 runs.
    assert 50 < copies(b"/copied/half") < 150
    assert copies(b"/copied/never") == 0

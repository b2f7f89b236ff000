"""The three built-in filters in one chain before nginx and Envoy, shared and fresh per request."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.raw_client import RawClient, Response, request
from tests.integration.real_upstreams import body_of, digest
from tests.integration.running_edge import EdgeProcess, configuration, rule, running_edge, through

KEY = b"x-api-key: k-alice"
BACKENDS = {"old": "nginx", "new": "envoy"}
REQUESTS = 300

isolations = pytest.mark.parametrize("isolation", ["shared", "request"])
sides = pytest.mark.parametrize("side", BACKENDS)


def _chain(isolation: str) -> list[dict[str, Any]]:
    """Three languages: Rust, AssemblyScript, C."""
    variants = [
        {"name": "old", "weight": 3, "backend": "nginx"},
        {"name": "new", "weight": 1, "backend": "envoy"},
    ]
    polish = {
        "request": {"remove": ["x-debug"], "set": {"x-from": "${method} ${path}"}},
        "response": {"remove": ["server"], "set": {"x-served-by": "edge ${status}"}},
    }
    choice = {"cookie": "side", "query": "side", "variants": variants}
    filters: list[dict[str, Any]] = [
        {"name": "who", "module": "key", "config": {"keys": {"k-alice": "alice", "k-bob": "bob"}}},
        {"name": "polish", "module": "headers", "config": polish},
        {"name": "ab", "module": "split", "config": choice},
    ]
    filters[2]["allow"] = {"backends": list(BACKENDS.values())}
    return [{**each, "isolation": isolation.title()} for each in filters]


@pytest.fixture(scope="module")
def edge(
    tmp_path_factory: pytest.TempPathFactory, edge_state: Path, nginx_port: int, envoy_port: int
) -> Iterator[EdgeProcess]:
    strip = {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}
    rewrite = {"type": "URLRewrite", "urlRewrite": strip}
    names = ("shared", "request")
    config = configuration(
        {"nginx": [nginx_port], "envoy": [envoy_port]},
        [rule("nginx", f"/{name}", filters=[through(name), rewrite]) for name in names],
        modules={
            "key": {"builtin": "api-key"},
            "headers": {"builtin": "header-transform"},
            "split": {"builtin": "ab-split"},
        },
        filterChains={name: _chain(name) for name in names},
    )
    with running_edge(tmp_path_factory.mktemp("filters"), config, edge_state) as edge:
        yield edge


def _ask(edge: EdgeProcess, target: str, *fields: bytes) -> Response:
    with RawClient(edge.web) as client:
        return client.exchange(request(target.encode(), *fields))


def _arrived(response: Response) -> dict[str, list[str]]:
    """The request's fields as the upstream's /who shows them."""
    fields: dict[str, list[str]] = {}
    for line in response.body.decode("latin-1").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        fields.setdefault(name.lower(), []).append(value.strip())
    return fields


@isolations
@pytest.mark.parametrize("fields", [(), (b"x-api-key: wrong",), (b"x-consumer: alice",)])
def test_without_a_key_the_answer_is_401(
    edge: EdgeProcess, isolation: str, fields: tuple[bytes, ...]
) -> None:
    response = _ask(edge, f"/{isolation}/name", *fields)
    assert response.status == 401
    assert response.values(b"www-authenticate") == [b'ApiKey header="x-api-key"']
    assert b"error" in json.dumps(json.loads(response.body)).encode()


@isolations
@sides
def test_the_upstream_hears_who_it_is_and_not_what_was_forged(
    edge: EdgeProcess, isolation: str, side: str
) -> None:
    target = f"/{isolation}/who?side={side}"
    response = _ask(edge, target, KEY, b"x-consumer: root", b"X-Consumer: admin", b"x-debug: 1")
    assert response.status == 200
    arrived = _arrived(response)
    assert arrived["x-consumer"] == ["alice"]
    assert "x-api-key" not in arrived
    assert "x-debug" not in arrived
    assert arrived["x-from"] == [f"GET {target}"]
    assert arrived["x-variant"] == [side]


@isolations
@sides
def test_the_backend_a_filter_chose_is_the_one_that_answers(
    edge: EdgeProcess, isolation: str, side: str
) -> None:
    response = _ask(edge, f"/{isolation}/name?side={side}", KEY)
    assert response.body == BACKENDS[side].encode()
    assert response.values(b"x-served-by") == [b"edge 200"]
    assert response.values(b"server") == []


@isolations
@sides
def test_a_client_stays_where_its_cookie_says(edge: EdgeProcess, isolation: str, side: str) -> None:
    (cookie,) = _ask(edge, f"/{isolation}/name?side={side}", KEY).values(b"set-cookie")
    sent = b"cookie: " + cookie.partition(b";")[0]
    with RawClient(edge.web) as client:
        for _ in range(20):
            response = client.exchange(request(f"/{isolation}/name".encode(), KEY, sent))
            assert (response.body, response.values(b"set-cookie")) == (BACKENDS[side].encode(), [])


@isolations
def test_new_clients_are_split_by_weight(edge: EdgeProcess, isolation: str) -> None:
    counted: Counter[bytes] = Counter()
    with RawClient(edge.web) as client:
        for _ in range(REQUESTS):
            response = client.exchange(request(f"/{isolation}/name".encode(), KEY))
            side = response.values(b"x-variant")[0].decode()
            assert response.body == BACKENDS[side].encode()
            counted[response.body] += 1
    assert counted.total() == REQUESTS
    # Three of four, six standard deviations (7.5 each) to both sides.
    assert 180 <= counted[b"nginx"] <= 270


@isolations
@sides
def test_bodies_pass_three_filters_whole(edge: EdgeProcess, isolation: str, side: str) -> None:
    body = body_of("large")
    sent = request(
        f"/{isolation}/echo?side={side}".encode(),
        KEY,
        b"content-length: %d" % len(body),
        method=b"POST",
        body=body,
    )
    with RawClient(edge.web) as client:
        assert digest(client.exchange(sent).body) == digest(body)
        assert client.exchange(request(f"/{isolation}/empty?side={side}".encode(), KEY)).body == b""
        down = client.exchange(request(f"/{isolation}/large?side={side}".encode(), KEY))
        assert digest(down.body) == digest(body)


@isolations
def test_bytes_that_are_not_utf8_switch_no_filter_off(edge: EdgeProcess, isolation: str) -> None:
    assert _ask(edge, f"/{isolation}/name", b"x-api-key: \xff\xfe").status == 401
    response = _ask(edge, f"/{isolation}/who?side=old", KEY, b"x-name: \xff\xfe", b"x-debug: \xff")
    assert response.status == 200
    assert b"x-name: \xff\xfe" in response.body
    assert b"x-debug" not in response.body

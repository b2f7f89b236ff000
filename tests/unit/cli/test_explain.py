"""`edge explain` on a small shop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge.cli.app import main
from edge.cli.exits import EXIT_FAILED, EXIT_INVALID, EXIT_OK, EXIT_USAGE

SHOP = """\
version: 1
listeners:
  - {name: web, address: "127.0.0.1:8080"}
  - {name: other, address: "127.0.0.1:8081"}
modules: {key: {builtin: api-key}}
filterChains: {guarded: [{name: authn, module: key, config: {keys: {}}}]}
routes:
  - name: shop
    parentRefs: [{name: web}]
    hostnames: [shop.example]
    rules:
      - name: api
        matches: [{path: {type: PathPrefix, value: /api}}]
        filters: [{type: ExtensionRef, extensionRef: {kind: FilterChain, name: guarded}}]
        backendRefs: [{name: one, weight: 9}, {name: two, weight: 1}]
      - name: beta
        matches: [{path: {type: PathPrefix, value: /api}, headers: [{name: x-beta, value: "1"}]}]
        backendRefs: [{name: two}]
clusters:
  - {name: one, discovery: {type: Static, endpoints: [{address: "10.0.0.1:80"}]}}
  - {name: two, discovery: {type: Static, endpoints: [{address: "10.0.0.2:80"}]}}
"""

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def shop(tmp_path: Path) -> str:
    file = tmp_path / "edge.yaml"
    file.write_text(SHOP)
    return str(file)


def explained(shop: str, capsys: Captured, *arguments: str) -> tuple[int, dict[str, Any]]:
    code = main(["explain", *arguments, "-c", shop, "-o", "json"])
    data: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, data


def test_the_winner_its_filters_and_its_backends(shop: str, capsys: Captured) -> None:
    code, data = explained(shop, capsys, "GET", "http://shop.example:8080/api/items?page=2")
    assert code == EXIT_OK
    rule = data["rule"]
    assert (data["listener"], rule["route"], rule["rule"]) == ("web", "shop", "api")
    assert rule["filters"] == ["authn"]
    assert [(each["cluster"], each["share"]) for each in rule["backends"]] == [("one", 0.9), ("two", 0.1)]
    assert data["request"]["path"] == "/api/items?page=2"


def test_the_losers_say_why(shop: str, capsys: Captured) -> None:
    _, data = explained(shop, capsys, "GET", "http://shop.example/api")
    (lost,) = data["lost"]
    assert lost["rule"] == "beta" and "x-beta" in lost["because"]


def test_a_header_decides(shop: str, capsys: Captured) -> None:
    _, data = explained(shop, capsys, "GET", "http://shop.example/api", "-H", "X-Beta: 1")
    assert data["rule"]["rule"] == "beta"
    assert data["lost"][0]["because"].startswith("headers: ")


@pytest.mark.parametrize("url", ["http://other.example/api", "http://shop.example/"])
def test_what_no_rule_takes_is_exit_code_1(shop: str, capsys: Captured, url: str) -> None:
    code, data = explained(shop, capsys, "GET", url)
    assert (code, data["rule"]) == (EXIT_FAILED, None)


def test_the_path_is_judged_as_the_codec_makes_it(shop: str, capsys: Captured) -> None:
    _, data = explained(shop, capsys, "GET", "http://shop.example/x/../%61pi")
    assert (data["request"]["path"], data["rule"]["rule"]) == ("/api", "api")


def test_a_listener_by_name(shop: str, capsys: Captured) -> None:
    code, data = explained(shop, capsys, "GET", "http://shop.example/api", "--listener", "other")
    assert (code, data["listener"]) == (EXIT_FAILED, "other")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["GET", "/api"], "'/api' is no URL"),
        (["GET", "https://shop.example/api"], "no listener speaks https"),
        (["GET", "http://shop.example/api", "-H", "x-beta"], "-H 'x-beta'"),
        (["GET", "http://shop.example/api", "--listener", "wbe"], "--listener wbe: there is none"),
        (["GE T", "http://shop.example/api"], "the request: "),
    ],
)
def test_wrong_arguments_are_named(shop: str, capsys: Captured, arguments: list[str], said: str) -> None:
    assert main(["explain", *arguments, "-c", shop]) == EXIT_USAGE
    out, err = capsys.readouterr()
    assert (out, said in err) == ("", True), err


def test_an_invalid_file_is_exit_code_3(shop: str, capsys: Captured) -> None:
    Path(shop).write_text(SHOP.replace("parentRefs", "parentRef"))
    assert main(["explain", "GET", "http://shop.example/api", "-c", shop]) == EXIT_INVALID
    assert f"{shop}:9:5: error" in capsys.readouterr().err


def test_people_get_lines(shop: str, capsys: Captured) -> None:
    assert main(["explain", "GET", "http://shop.example/api", "-c", shop]) == EXIT_OK
    assert capsys.readouterr().out == (
        "request   GET shop.example /api\n"
        "listener  web\n"
        "rule      shop/api, match 0 under shop.example\n"
        "filters   authn\n"
        "then      forward\n"
        "backend   one 90.0%, round_robin: 10.0.0.1:80\n"
        "backend   two 10.0%, round_robin: 10.0.0.2:80\n"
        "lost      shop/beta, match 0: header x-beta: it is missing or another one\n"
    )

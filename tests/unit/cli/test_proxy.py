"""`edge proxy`: flags become a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge.cli.proxy import Side, Wanted, configuration, side
from edge.control.config.quantity import HostPort
from edge.control.config.schema import Root


def made(tmp_path: Path, listen: str = ":0", to: tuple[str, ...] = ("localhost:3000",), *filters: str) -> Any:
    config = configuration(Wanted(listen, to, filters, "127.0.0.1:0", 1, None, "1s"), tmp_path)
    Root.model_validate(config)
    return config


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (":8080", Side(False, HostPort("127.0.0.1", 8080))),
        ("localhost:3000", Side(False, HostPort("localhost", 3000))),
        ("http://shop.example", Side(False, HostPort("shop.example", 80))),
        ("https://shop.example/", Side(True, HostPort("shop.example", 443))),
        ("https://[::1]", Side(True, HostPort("::1", 443))),
        ("[::1]:8080", Side(False, HostPort("::1", 8080))),
    ],
)
def test_addresses_as_people_write_them(text: str, expected: Side) -> None:
    assert side("--from", text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ftp://shop.example", "--to ftp://shop.example: the scheme is http or https, not ftp"),
        ("http://shop.example/api", "only an address, no path"),
        ("localhost:99999", "is no address"),
    ],
)
def test_a_wrong_address_names_its_flag(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        side("--to", text)


def test_a_bare_proxy_has_one_of_each(tmp_path: Path) -> None:
    config = made(tmp_path)
    assert [len(config[key]) for key in ("listeners", "routes", "clusters")] == [1, 1, 1]
    assert "filterChains" not in config


def test_several_targets_are_endpoints_of_one_cluster(tmp_path: Path) -> None:
    config = made(tmp_path, ":0", ("a:1", "b:2"))
    endpoints = config["clusters"][0]["discovery"]["endpoints"]
    assert endpoints == [{"address": "a:1"}, {"address": "b:2"}]


def test_targets_with_tls_make_a_cluster_with_tls(tmp_path: Path) -> None:
    assert made(tmp_path, ":0", ("https://a", "https://b"))["clusters"][0]["tls"] == {}
    with pytest.raises(ValueError, match="either all addresses with https"):
        made(tmp_path, ":0", ("https://a", "http://b"))


def test_filters_keep_their_order_and_take_their_configuration(tmp_path: Path) -> None:
    given = tmp_path / "keys.json"
    given.write_text('{"keys": {}}')
    filters = [f"builtin:api-key=@{given}", "builtin:ab-split", "builtin:api-key=x"]
    config = made(tmp_path, ":0", ("a:1",), *filters)
    chain = config["filterChains"]["proxy"]
    assert [each["name"] for each in chain] == ["api-key", "ab-split", "api-key-2"]
    assert [each.get("config") for each in chain] == ['{"keys": {}}', None, "x"]

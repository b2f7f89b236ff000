"""Durations, sizes, addresses."""

from __future__ import annotations

import pytest

from edge.control.config.quantity import HostPort, duration_s, host_port, size_bytes


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10s", 10),
        ("500ms", 0.5),
        ("1m30s", 90),
        ("1h", 3600),
        ("0s", 0),
        ("1h2m3s4ms", 3723.004),
        ("99999s", 99999),
    ],
)
def test_durations_of_the_gateway_api(text: str, seconds: float) -> None:
    assert duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "10", "1.5s", "-1s", "10 s", "s", "100000s", "1d", "1s2s3s4s5s", "10S", 10, None, True]
)
def test_everything_else_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        duration_s(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1000", 1000),
        (1000, 1000),
        ("64Ki", 65536),
        ("32Mi", 32 << 20),
        ("1Gi", 1 << 30),
        ("1k", 1000),
    ],
)
def test_sizes_as_kubernetes_writes_them(text: object, size: int) -> None:
    assert size_bytes(text) == size


@pytest.mark.parametrize("text", ["", "1KB", "1.5Mi", "-1", -1, "Mi", True, None, 1.5, "1 Mi"])
def test_everything_else_is_no_size(text: object) -> None:
    with pytest.raises(ValueError, match="is no size"):
        size_bytes(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:80", HostPort("127.0.0.1", 80)),
        ("[::1]:8080", HostPort("::1", 8080)),
        ("shop.internal:443", HostPort("shop.internal", 443)),
        ("SHOP:1", HostPort("shop", 1)),
        ("0.0.0.0:0", HostPort("0.0.0.0", 0)),
    ],
)
def test_addresses(text: str, address: HostPort) -> None:
    assert host_port(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "80",
        ":80",
        "a:",
        "a:b",
        "a:65536",
        "::1:80",
        "[1.2.3.4]:80",
        "[::g]:80",
        "1.2.3:80",
        "a b:80",
        "-a:80",
        "a:+80",
        "a:٣",
        80,
        None,
    ],
)
def test_everything_else_is_no_address(text: object) -> None:
    with pytest.raises(ValueError, match="is no address"):
        host_port(text)


def test_an_ipv6_address_is_shown_in_brackets() -> None:
    assert str(HostPort("::1", 80)) == "[::1]:80"
    assert str(HostPort("a", 80)) == "a:80"

"""One spelling for every path and authority, or none."""

from __future__ import annotations

import pytest

from edge.errors import BadRequest
from edge.syntax import canonical_authority, canonical_path, is_field_value, is_forwarding, is_token


@pytest.mark.parametrize(
    ("target", "canonical"),
    [
        (b"/", b"/"),
        (b"/a/b?x=%2f&y=..;", b"/a/b?x=%2f&y=..;"),
        (b"/public/../admin", b"/admin"),
        (b"//admin", b"/admin"),
        (b"/./admin", b"/admin"),
        (b"/%2e%2e/admin", b"/admin"),
        (b"/%61dmin", b"/admin"),
        (b"/admin;x", b"/admin;x"),
        (b"/.well-known/x", b"/.well-known/x"),
        (b"/...", b"/..."),
        (b"/..a", b"/..a"),
        (b"/a/..", b"/"),
        (b"/a/.", b"/a/"),
        (b"/a/b/../", b"/a/"),
        (b"/..", b"/"),
        (b"/a//../b", b"/b"),
        (b"/a%c3%a9b%2b", b"/a%C3%A9b%2B"),
        (b"/%252e%252e/a", b"/%252e%252e/a"),
        (b"/a%e9b", b"/a%E9b"),
        (b"/?", b"/?"),
        (b"/a?b?c", b"/a?b?c"),
        (b"/?a=100%", b"/?a=100%"),
    ],
)
def test_a_path_has_one_spelling(target: bytes, canonical: bytes) -> None:
    assert canonical_path(target) == canonical
    assert canonical_path(canonical) == canonical


@pytest.mark.parametrize(
    "target",
    [
        b"",
        b"a",
        b"*",
        b"?a",
        b"/public%2f..%2fadmin",
        b"/%5c",
        b"/\\",
        b"/..;/",
        b"/a/..;x",
        b"/.;/",
        b"/%2e%2e;x/",
        b"/..%3b/",
        b"/..%3B/",
        b"/%00",
        b"/%0a",
        b"/%7f",
        b"/%c0%af",
        b"/%e0%80%af",
        b"/%f0%80%80%af",
        b"/%zz",
        b"/%2",
        b"/%",
        b"/a#b",
        b"/a?b#c",
        b"/\xff",
        b"/?\xff",
        b"/a b",
        b"/?a b",
        b"/a\tb",
        b"/a\n",
        b"/a\r\n",
        b"/?a\n",
        b'/"',
        b"/<x>",
    ],
)
def test_a_path_that_readers_disagree_about_is_refused(target: bytes) -> None:
    with pytest.raises(BadRequest):
        canonical_path(target)


@pytest.mark.parametrize(
    ("authority", "canonical"),
    [
        (b"A.Example", b"a.example"),
        (b"a.example.", b"a.example"),
        (b"a.example.:80", b"a.example:80"),
        (b"a:", b"a"),
        (b"a:080", b"a:80"),
        (b"10.0.0.1:8080", b"10.0.0.1:8080"),
        (b"[::1]:80", b"[::1]:80"),
        (b"[2001:DB8:0::0001]", b"[2001:db8::1]"),
    ],
)
def test_an_authority_has_one_spelling(authority: bytes, canonical: bytes) -> None:
    assert canonical_authority(authority) == canonical
    assert canonical_authority(canonical) == canonical


@pytest.mark.parametrize(
    "authority",
    [
        *(
            b"",
            b":80",
            b".",
            b"..",
            b".a",
            b"a..b",
            b"a, b",
            b"a b",
            b"a/x",
            b"u@a",
            b"a:80x",
            b"a\0",
            b"a..",
        ),
        *(b"a:65536", b"[::g]", b"[::1", b"::1", b"[::1]x", b"a\n", b"a?b", b"a#b", b"a%41"),
        *(b"[fe80::1%25lo]", b"a" * 256),
    ],
)
def test_a_malformed_authority_is_refused(authority: bytes) -> None:
    with pytest.raises(BadRequest):
        canonical_authority(authority)


def test_tokens_and_values_end_where_they_end() -> None:
    assert is_token(b"x-a!#$%&'*+.^_`|~09")
    assert not any(map(is_token, (b"", b"a b", b"a:", b"a\n", b"\xe4", b"a\0", b"(a)")))
    assert all(map(is_field_value, (b"", b"a", b"a b\tc", b"\xe4\xff")))
    assert not any(map(is_field_value, (b" a", b"a ", b"\ta", b"a\n", b"a\r", b"\0", b"\x7f", b"a\x0bb")))


def test_claims_about_earlier_hops_are_known_in_every_spelling() -> None:
    names = (
        b"forwarded",
        b"x-real-ip",
        b"x_real_ip",
        b"x-forwarded-for",
        b"x_forwarded-proto",
        b"x-forwarded-x",
        b"x-request-id",
        b"client-cert",
        b"client_cert_chain",
        b"x-forwarded-client-cert",
        b"proxy",
    )
    assert all(map(is_forwarding, names))
    others = (b"x-forwarded", b"x-real-ip-2", b"x-id", b"client-certs", b"proxy-authorization")
    assert not any(map(is_forwarding, others))

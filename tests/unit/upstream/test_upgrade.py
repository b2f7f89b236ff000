"""A 101 that grants nothing is no 101: what came after it would be requests that nobody judged."""

from __future__ import annotations

import pytest

from edge.errors import BadResponse
from edge.head import Field, RequestHead, ResponseHead
from edge.upstream.upgrade import check_granted

KEY = (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ==")
ACCEPT = (b"sec-websocket-accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
WEBSOCKET = (b"upgrade", b"websocket")


def granted(asked: bytes | None, request: list[Field], response: list[Field]) -> None:
    head = RequestHead(b"GET", b"http", b"shop.example", b"/chat", request, upgrade=asked)
    check_granted(head, ResponseHead(101, response))


def test_what_was_asked_for_is_granted_in_any_case_of_letters() -> None:
    granted(b"websocket", [KEY], [WEBSOCKET, ACCEPT])
    granted(b"WebSocket", [KEY], [(b"upgrade", b"WEBSOCKET"), ACCEPT])
    granted(b"echo/1", [], [(b"upgrade", b"Echo/1")])


@pytest.mark.parametrize(
    ("asked", "request_fields", "response_fields"),
    [
        pytest.param(None, [KEY], [WEBSOCKET, ACCEPT], id="not-asked"),
        pytest.param(b"websocket", [KEY], [ACCEPT], id="no-upgrade"),
        pytest.param(b"websocket", [KEY], [(b"upgrade", b"h2c"), ACCEPT], id="another"),
        pytest.param(b"websocket", [KEY], [WEBSOCKET, (b"upgrade", b"h2c"), ACCEPT], id="two"),
        pytest.param(b"websocket", [KEY], [(b"upgrade", b"websocket, h2c"), ACCEPT], id="a-list"),
        pytest.param(b"websocket", [KEY], [WEBSOCKET], id="no-accept"),
        pytest.param(b"websocket", [KEY], [WEBSOCKET, (b"sec-websocket-accept", b"AAAA")], id="wrong-accept"),
        pytest.param(b"websocket", [KEY], [WEBSOCKET, ACCEPT, ACCEPT], id="two-accepts"),
        pytest.param(b"websocket", [], [WEBSOCKET, ACCEPT], id="no-key"),
        pytest.param(b"echo", [], [WEBSOCKET], id="echo-as-websocket"),
    ],
)
def test_anything_else_is_a_bad_response(
    asked: bytes | None, request_fields: list[Field], response_fields: list[Field]
) -> None:
    with pytest.raises(BadResponse):
        granted(asked, request_fields, response_fields)

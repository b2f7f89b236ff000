"""What header-transform must do, for any build of it."""

from __future__ import annotations

from pathlib import Path

from tests.tools.filter_host import FilterHost
from tests.unit.filters.configure import configured, refuses

_EDITS = {
    "request": {
        "remove": ["X-Debug"],
        "set": {"X-From": "${method} ${path} of ${authority}", "x-fixed": "one"},
        "add": {"x-list": "${header:X-Word}!"},
    },
    "response": {
        "set": {"x-status": "${status}"},
        "remove": ["server"],
        "add": {"x-kind": "<${header:content-type}>"},
    },
}


def header_transform_removes_sets_and_adds(module: Path) -> None:
    sent = [(b"x-debug", b"1"), (b"x-fixed", b"a"), (b"x-fixed", b"b"), (b"x-list", b"0"), (b"x-word", b"w")]
    answered = [(b"server", b"x"), (b"content-type", b"text/plain")]
    exchange = configured(module, _EDITS).exchange(sent, answered, b"/a?b=1")
    assert exchange.request(b"x-debug") == []
    assert exchange.request(b"x-from") == [b"GET /a?b=1 of shop.example"]
    assert exchange.request(b"x-fixed") == [b"one"]
    assert exchange.request(b"x-list") == [b"0", b"w!"]
    assert exchange.response(b"server") == []
    assert exchange.response(b"x-status") == [b"200"]
    assert exchange.response(b"x-kind") == [b"<text/plain>"]


def header_transform_fills_in_nothing_for_an_absent_field(module: Path) -> None:
    exchange = configured(module, _EDITS).exchange([])
    assert exchange.request(b"x-list") == [b"!"]
    assert exchange.response(b"x-kind") == [b"<>"]


def header_transform_keeps_text_outside_ascii(module: Path) -> None:
    host = FilterHost(module, '{"request":{"set":{"x-a":"gr\\u00fc\\u00df ü 😀 \\ud83d\\ude00"}}}'.encode())
    assert host.exchange([]).request(b"x-a") == ["grüß ü 😀 😀".encode()]


def header_transform_does_not_grow(module: Path) -> None:
    host = configured(module, _EDITS)
    for _ in range(200):
        host.exchange([(b"x-word", b"w" * 500)])
    before = host.memory_bytes()
    for _ in range(2_000):
        host.exchange([(b"x-word", b"w" * 500)])
    assert host.memory_bytes() == before


def header_transform_refuses_a_wrong_configuration(module: Path) -> None:
    refuses(
        module,
        [
            (b"", "not JSON"),
            (b"{", "not JSON"),
            (b'{"request":{},}', "not JSON"),
            (b'{"request":{}} x', "after the end"),
            (b'{"request":01}', "leading zero"),
            (b'{"request":{},"request":{}}', "stands twice"),
            (b"7", "must be an object"),
            (b'{"reqest":{}}', "reqest: unknown field"),
            (b'{"request":{"put":{}}}', "request: put: unknown field"),
            (b'{"request":{"set":{"a b":"x"}}}', "not a header name"),
            (b'{"request":{"set":{"a":1}}}', "must be a string"),
            (b'{"request":{"set":{"a":"x\\r\\ny: z"}}}', "control"),
            (b'{"request":{"set":{"a":"${nope}"}}}', "${nope} is not known"),
            (b'{"request":{"set":{"a":"${status}"}}}', "${status} is not known"),
            (b'{"request":{"set":{"a":"${path"}}}', "does not end"),
            (b'{"request":{"remove":"a"}}', "must be a list"),
            (b"[" * 100 + b"]" * 100, "nested too deeply"),
        ],
    )

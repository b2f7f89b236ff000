"""An edge before an upstream that is scripted byte by byte, one script for each path."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.authority import HOSTS, Authority
from tests.integration.raw_client import RawClient, Response
from tests.integration.running_edge import EdgeProcess, configuration, rule, running_edge, secured, through
from tests.integration.scripted_upstream import Conversation, Request, Upstream, answering, reply, scripted
from tests.tools import free_port

CHUNKED = b"transfer-encoding: chunked"


@dataclass
class Site:
    edge: EdgeProcess
    authority: Authority
    upstream: Upstream
    stale: Upstream
    pair: list[Upstream]

    def connect(self, scheme: str = "http") -> RawClient:
        if scheme == "http":
            return RawClient(self.edge.web)
        return RawClient(self.edge.ports["secure"], (self.authority.client(), HOSTS[0]))

    def ask(self, data: bytes, scheme: str = "http") -> Response:
        with self.connect(scheme) as client:
            return client.exchange(data)


events: dict[str, threading.Event] = {"aborted": threading.Event(), "started": threading.Event()}


async def _continue(it: Conversation, head: Request) -> None:
    await it.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    head.body = await it.reader.readexactly(5)
    await it.send(reply(head.body))


async def _hints(it: Conversation, head: Request) -> None:
    await it.send(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n")
    await it.send(b"HTTP/1.1 103 Early Hints\r\nlink: </b.css>; rel=preload\r\n\r\n" + reply(b"page"))


async def _trailers(it: Conversation, head: Request) -> None:
    await it.read_body(head)
    body = b"5\r\nhello\r\n0\r\nx-sum: 42\r\ncontent-length: 7\r\n\r\n"
    await it.send(b"HTTP/1.1 200 OK\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n" + body)


async def _endless(it: Conversation, head: Request) -> None:
    await it.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\nstart")
    events["started"].set()
    await it.until_closed()
    events["aborted"].set()


async def _dies_in_length(it: Conversation, head: Request) -> None:
    await it.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
    it.writer.close()


async def _dies_in_chunks(it: Conversation, head: Request) -> None:
    await it.send(b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"\r\n\r\n4\r\nhalf\r\n")
    it.writer.close()


async def _until_close(it: Conversation, head: Request) -> None:
    await it.send(b"HTTP/1.1 200 OK\r\n\r\nto the end")
    it.writer.close()


async def _no_answer(it: Conversation, head: Request) -> None:
    await it.until_closed()


async def _nonsense(it: Conversation, head: Request) -> None:
    await it.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab")


async def _show(it: Conversation, head: Request) -> None:
    await it.read_body(head)
    await it.send(reply(b"ok", b"x-keep: 1", b"x-drop: 1", b"x-set: upstream"))


Answer = Callable[[Conversation, Request], Awaitable[None]]
ANSWERS: dict[bytes, Answer] = {
    b"/continue": _continue,
    b"/hints": _hints,
    b"/trailers": _trailers,
    b"/endless": _endless,
    b"/dies/length": _dies_in_length,
    b"/dies/chunks": _dies_in_chunks,
    b"/close": _until_close,
    b"/quick": _no_answer,
    b"/limited": _no_answer,
    b"/capped/held": _no_answer,
    b"/nonsense": _nonsense,
}


async def _stale(it: Conversation) -> None:
    """The first connection answers one request, takes a second one and closes."""
    await it.request()
    await it.send(reply(b"%d" % it.number))
    await it.head()


def _rules() -> list[dict[str, Any]]:
    modifiers = [
        {
            "type": "RequestHeaderModifier",
            "requestHeaderModifier": {
                "set": [{"name": "x-set", "value": "edge"}],
                "add": [{"name": "x-add", "value": "two"}],
                "remove": ["x-drop"],
            },
        },
        {
            "type": "ResponseHeaderModifier",
            "responseHeaderModifier": {"set": [{"name": "x-set", "value": "edge"}], "remove": ["x-drop"]},
        },
    ]
    moved: dict[str, Any] = {
        "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new"},
        "hostname": "inner.example",
    }
    fixed = {"path": {"type": "ReplaceFullPath", "replaceFullPath": "/fixed"}}
    return [
        rule("main"),
        rule("main", "/guarded", filters=[through("guard")]),
        rule("main", "/modified", filters=modifiers),
        rule("main", "/old", filters=[{"type": "URLRewrite", "urlRewrite": moved}]),
        rule("main", "/any", filters=[{"type": "URLRewrite", "urlRewrite": fixed}]),
        rule("main", "/quick", timeouts={"backendRequest": "300ms"}),
        rule("main", "/limited", timeouts={"request": "300ms"}),
        rule("capped", "/capped"),
        rule("capped", "/capped/waits", timeouts={"backendRequest": "300ms"}),
        rule("stale", "/stale"),
        rule("pair", "/pair"),
        rule("dead", "/dead"),
    ]


@contextmanager
def scripted_site(folder: Path, state: Path, authority: Authority) -> Iterator[Site]:
    """Everything started."""
    with ExitStack() as stack:

        async def main(it: Conversation) -> None:
            while True:
                head = await it.head()
                upstream.requests.append(head)
                await ANSWERS.get(head.target, _show)(it, head)

        upstream = stack.enter_context(scripted(main))
        stale = stack.enter_context(scripted(_stale))
        pair = [stack.enter_context(answering(name)) for name in (b"first", b"second")]
        clusters = {
            "main": [upstream.port],
            "capped": [upstream.port],
            "stale": [stale.port],
            "pair": [each.port for each in pair],
            "dead": [free_port()],
        }
        guard = {"name": "key", "module": "key", "config": {"keys": {"k": "alice"}}}
        more = {"modules": {"key": {"builtin": "api-key"}}, "filterChains": {"guard": [guard]}}
        config = secured(configuration(clusters, _rules(), **more), authority.listener())
        config["clusters"][1]["circuitBreaker"] = {"maxConnections": 1}
        with running_edge(folder, config, state) as edge:
            yield Site(edge, authority, upstream, stale, pair)

"""The same guest in the inner host and in the oracle, driven alike, compared after every step."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from edge.chain.filter import Action, Direction
from edge.head import Fields, RequestHead, ResponseHead
from tests.conformance.proxy_wasm import build
from tests.conformance.proxy_wasm.rig import FakeBody, FakePort, FakeServices, started
from tests.contract.proxy_wasm.oracle import Oracle

BACKENDS = ["blue", "green"]
CALLOUTS = ["auth", "nowhere"]


class Twins:
    """Two hosts and, in each, one exchange. Every step asserts that both did the same."""

    def __init__(self, wasm: bytes, config: bytes, request: RequestHead) -> None:
        self.services = FakeServices()
        self.oracle_services = FakeServices()
        allow = {"backends": BACKENDS, "callouts": CALLOUTS}
        self.bound = started(build.module(wasm), self.services, config=config, allow=_allow(allow))
        self.oracle = Oracle(wasm, self.oracle_services, config, frozenset(BACKENDS), frozenset(CALLOUTS))
        self.bound.group.attach_current()
        self.port, self.oracle_port = FakePort(request), FakePort(copy.deepcopy(request))
        opened = self.bound.open(self.port)
        assert not isinstance(opened, Exception), opened
        self.filter = opened
        self.context = self.oracle.open(self.oracle_port)
        self.steps = 0
        self.compare()

    def request_head(self, end: bool) -> Action:
        count = self.oracle_port.request.encoded()[1]
        return self._step(
            lambda: self.filter.request_head(end),
            lambda: self.oracle.drive(self.context, "proxy_on_request_headers", 0, count, end),
        )

    def response_head(self, head: ResponseHead, end: bool) -> Action:
        self.port.response, self.oracle_port.response = head, copy.deepcopy(head)
        self._gone(Direction.REQUEST)
        count = head.encoded()[1]
        return self._step(
            lambda: self.filter.response_head(end),
            lambda: self.oracle.drive(self.context, "proxy_on_response_headers", 1, count, end),
        )

    def data(self, direction: Direction, data: bytes, end: bool) -> Action:
        for port in (self.port, self.oracle_port):
            port.bodies[direction] = FakeBody(data)
        self._gone(direction)
        asked = self.filter.response_data if direction else self.filter.request_data
        name = "proxy_on_response_body" if direction else "proxy_on_request_body"
        return self._step(
            lambda: asked(len(data), end),
            lambda: self.oracle.drive(self.context, name, direction, len(data), end, end=end),
        )

    def trailers(self, direction: Direction, fields: Fields) -> Action:
        for port in (self.port, self.oracle_port):
            if direction:
                port.response_trailers = list(fields)
            else:
                port.request_trailers = list(fields)
        asked = self.filter.response_trailers if direction else self.filter.request_trailers
        return self._step(asked, lambda: self.oracle.trailers(self.context, direction, len(fields)))

    def callout_answered(self, number: int, head: ResponseHead | None, body: bytes, trailers: Fields) -> None:
        self._step(
            lambda: self.services.callouts.done[number](copy.deepcopy(head), body, list(trailers)),
            lambda: self.oracle_services.callouts.done[number](copy.deepcopy(head), body, list(trailers)),
        )

    def done(self) -> None:
        self._step(self.filter.done, lambda: self.oracle.done(self.context))

    def _gone(self, direction: Direction) -> None:
        self.port.open[direction] = self.oracle_port.open[direction] = False

    def _step(self, ours: Callable[[], Any], theirs: Callable[[], Any]) -> Any:
        answer, expected = ours(), theirs()
        self.steps += 1
        assert answer == expected
        self.compare()
        return answer

    def compare(self) -> None:
        """Everything the outside can see."""
        assert self.services.lines == self.oracle_services.lines
        assert _seen(self.port) == _seen(self.oracle_port)
        assert self.services.metrics.__dict__ == self.oracle_services.metrics.__dict__
        assert _values(self.services) == _values(self.oracle_services)
        assert _calls(self.services) == _calls(self.oracle_services)


def _values(services: FakeServices) -> dict[bytes, tuple[bytes, int]]:
    """Shared data of the one vm id."""
    return services.shared._states[""]._values if services.shared._states else {}


def _allow(fields: dict[str, list[str]]) -> Any:
    from edge import model

    return model.Allow(**fields)


def _seen(port: FakePort) -> dict[str, Any]:
    request, response = port.request, port.response
    return {
        "request": (request.method, request.scheme, request.authority, request.path, request.length),
        "fields": request.fields,
        "encoded": request.encoded(),
        "response": response and (response.status, response.length, response.fields, response.encoded()),
        "trailers": (port.request_trailers, port.response_trailers),
        "bodies": [None if body is None else body.data for body in port.bodies],
        "replies": [(r.status, r.fields, r.body, r.details, r.source, r.source_name) for r in port.replies],
        "acts": (port.resumed, port.resets, port.waits, port.backend, len(port.failures)),
    }


def _calls(services: FakeServices) -> list[Any]:
    return [
        (cluster, head.method, head.authority, head.path, head.fields, body, trailers, timeout_s)
        for cluster, head, body, trailers, timeout_s in services.callouts.started
    ]

"""Heads, rules and exchanges that only take notes, for the tests of routes."""

from __future__ import annotations

from edge import model
from edge.exchange.deadlines import Deadlines
from edge.exchange.revision import Services
from edge.head import Field, RequestHead
from edge.route import Candidate, Rule
from edge.route.backend import Backend


def get(path: bytes, *fields: Field, host: bytes = b"shop.example", method: bytes = b"GET") -> RequestHead:
    return RequestHead(method, b"https", host, path, list(fields))


def named(name: str = "r") -> Rule:
    return Rule("route", model.Rule(name=name, matches=[]), None, ())


def candidate(match: model.Match | None = None) -> Candidate:
    return Candidate(match or model.Match(), named(), 0)


class FakeClient:
    """What a downstream was told."""

    def __init__(self) -> None:
        self.events: list[tuple[object, ...]] = []

    def __getattr__(self, name: str) -> object:
        return lambda *arguments: self.events.append((name, *arguments))


class FakeExchange:
    """As a rule's steps see one."""

    def __init__(self, match: model.Match | None = None, backend: str = "") -> None:
        self.backend = backend
        self.candidate = candidate(match)
        self.chosen: Backend | None = None
        self.downstream = FakeClient()
        self.finished = False
        self.now = 100.0
        self.timers: list[tuple[float, object]] = []
        self.seconds = 0.0
        deadlines = Deadlines(
            lambda: self.now, lambda delay, call: self.timers.append((self.now + delay, call))
        )
        self.services = Services(lambda: self.now, lambda: 0, deadlines, lambda call: None, lambda: b"id")

    def limit_duration(self, seconds: float) -> None:
        self.seconds = seconds

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while self.timers and min(due for due, _ in self.timers) <= end:
            self.timers.sort(key=lambda timer: timer[0])
            due, call = self.timers.pop(0)
            self.now = max(self.now, due)
            call()
        self.now = end

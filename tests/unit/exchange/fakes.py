"""A client, a cluster and a worker that only take notes."""

from __future__ import annotations

from collections.abc import Callable

from edge import model
from edge.errors import EdgeError
from edge.exchange.deadlines import Deadlines
from edge.exchange.revision import Revision, Services
from edge.head import Fields, RequestHead, ResponseHead
from edge.pipeline import Exchange, Pipeline
from edge.route import Candidate, RouteTable, Rule


class FakeConnection:
    id = 7
    peer = ("192.0.2.1", 4242)
    local = ("192.0.2.2", 443)
    client = b"192.0.2.1:4242"
    tls_version = "TLSv1.3"
    sni = "shop.example"
    identity = None
    leaving = False

    def shutdown(self) -> None:
        self.leaving = True


class FakeDownstream:
    """What the client got, as a list of events."""

    def __init__(self) -> None:
        self.events: list[tuple[object, ...]] = []

    def send_informational(self, head: ResponseHead) -> None:
        self.events.append(("informational", head.status))

    def send_head(self, head: ResponseHead, end: bool) -> None:
        self.events.append(("head", head.status, end))
        self.head = head

    def send_whole(self, head: ResponseHead, body: bytes, trailers: Fields | None = None) -> None:
        told = () if trailers is None else (trailers,)
        self.events.append(("whole", head.status, body, *told))
        self.head = head

    def send_data(self, data: bytes, end: bool) -> None:
        self.events.append(("data", data, end))

    def send_trailers(self, fields: Fields) -> None:
        self.events.append(("trailers", fields))

    def reset(self, error: EdgeError) -> None:
        self.events.append(("reset", error.flag))

    def pause_request(self) -> None:
        self.events.append(("pause",))

    def resume_request(self) -> None:
        self.events.append(("resume",))


class FakeUpstream:
    """One request at an endpoint."""

    address = "192.0.2.9:80"
    reused = False
    attempts = 1
    failures = ()

    def __init__(self, head: RequestHead, end: bool) -> None:
        self.head = head
        self.events: list[tuple[object, ...]] = [("head", head.path, end)]

    def send_data(self, data: bytes, end: bool) -> None:
        self.events.append(("data", data, end))

    def send_trailers(self, fields: Fields) -> None:
        self.events.append(("trailers", fields))

    def cancel(self) -> None:
        self.events.append(("cancel",))

    def pause_response(self) -> None:
        self.events.append(("pause",))

    def resume_response(self) -> None:
        self.events.append(("resume",))


class FakeCluster:
    """Keeps what is dispatched; `refuse` makes it fail at once, inside dispatch."""

    def __init__(self, name: str = "shop", refuse: EdgeError | None = None) -> None:
        self.name = name
        self.secure = False
        self.refuse = refuse
        self.requests: list[FakeUpstream] = []
        self.timeout_s = -1.0

    def dispatch(self, receiver, head: RequestHead, end: bool, timeout_s: float) -> FakeUpstream:
        self.timeout_s = timeout_s
        request = FakeUpstream(head, end)
        self.requests.append(request)
        if self.refuse is not None:
            receiver.upstream_failed(self.refuse)
        return request


class Notes:
    """Stands for tracing, metrics and log: which exchanges finished."""

    def __init__(self) -> None:
        self.finished_exchanges: list[Exchange] = []

    def finish(self, exchange: Exchange) -> None:
        self.finished_exchanges.append(exchange)


class World:
    """One listener `web`, one rule, one cluster, a clock the test moves."""

    def __init__(
        self, rule: model.Rule | None = None, cluster: FakeCluster | None = None, chain=(), **limits
    ) -> None:
        self.now = 1000.0
        self.timers: list[tuple[float, object]] = []
        self.soon: list[Callable[[], None]] = []
        self.faults: list[BaseException] = []
        deadlines = Deadlines(
            lambda: self.now, lambda delay, call: self.timers.append((self.now + delay, call))
        )
        self.cluster = cluster or FakeCluster()
        rule = rule or model.Rule(name="all", matches=[model.Match()], cluster="shop")
        table = RouteTable()
        prepared = Rule("route", rule, self.cluster, tuple(chain))
        for order, match in enumerate(rule.matches):
            table.add([], Candidate(match, prepared, order))
        table.seal()
        self.notes = Notes()
        self.other = FakeCluster("other")
        clusters = {"shop": self.cluster, "other": self.other}
        self.revision = Revision(1, {"web": table}, clusters, model.Limits(**limits), None, self.notes)
        self.services = Services(
            lambda: self.now,
            lambda: int(self.now * 1e9),
            deadlines,
            self.soon.append,
            lambda: b"id-1",
        )
        self.services.revision = self.revision
        self.pipeline = Pipeline("web", self.services)
        self.client = FakeDownstream()

    def request(self, path: bytes = b"/x", end: bool = True, **head) -> Exchange:
        made = RequestHead(
            head.pop("method", b"GET"), b"https", b"shop.example", path, head.pop("fields", []), **head
        )
        return self.pipeline.accept(FakeConnection(), self.client, made, end)

    def turn(self) -> None:
        calls = self.soon.copy()
        self.soon.clear()
        for call in calls:
            call()

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while self.timers and min(due for due, _ in self.timers) <= end:
            self.timers.sort(key=lambda timer: timer[0])
            due, call = self.timers.pop(0)
            self.now = max(self.now, due)
            call()
        self.now = end

    @property
    def upstream(self) -> FakeUpstream:
        return self.cluster.requests[-1]

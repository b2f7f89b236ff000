"""One filter's place in one exchange: its Port."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.chain.filter import BoundFilter, Direction, Filter, FilterRecord, LocalReply
from edge.chain.hold import HEAD, HeldBody
from edge.errors import FilterError, FilterReset
from edge.head import Fields, RequestHead, ResponseHead

if TYPE_CHECKING:
    from edge.chain.course import Course


class Place:
    """Implements `edge.chain.filter.Port`; the rest is the chain's own notes on this filter."""

    __slots__ = (
        "_run",
        "bound",
        "filter",
        "phases",
        "position",
        "record",
        "request",
        "request_trailers",
        "response",
        "response_trailers",
        "waits",
        "wished",
    )

    filter: Filter

    def __init__(
        self, run: Course, bound: BoundFilter, phases: int, position: int, request: RequestHead
    ) -> None:
        self._run = run
        self.bound = bound
        self.phases = phases
        """0 once the filter is bypassed."""
        self.position = position
        """Among the filters that take part, in request order."""
        self.request = request
        self.response: ResponseHead | None = None
        self.request_trailers: Fields | None = None
        self.response_trailers: Fields | None = None
        self.record: FilterRecord | None = None
        self.waits = 0
        self.wished = 0
        """Directions (1 << Direction) the filter wants resumed."""

    def body(self, direction: Direction) -> HeldBody | None:
        hold = self._run.hold_of(self, direction)
        if hold is None or hold.stage == HEAD:
            return None
        if len(hold.body) or self._run.current is self:
            return hold.body
        return None

    def set_request_trailers(self, fields: Fields) -> None:
        if self._run.trailers_may_start(self, Direction.REQUEST):
            self.request_trailers = fields

    def set_response_trailers(self, fields: Fields) -> None:
        if self._run.trailers_may_start(self, Direction.RESPONSE):
            self.response_trailers = fields

    def head_is_open(self, direction: Direction) -> bool:
        return self._run.head_is_open(self, direction)

    def resume(self, direction: Direction) -> None:
        self.wished |= 1 << direction
        self._run.wish(self)

    def reply(self, reply: LocalReply) -> bool:
        return self._run.filter_replies(self, reply)

    def reset(self) -> None:
        self._run.reset(FilterReset("the filter reset the stream", self.bound.name))

    def waiting(self, change: int) -> None:
        self.waits += change
        self._run.waits_changed()

    def fail(self, failure: FilterError) -> None:
        self._run.filter_failed(self, failure)

    def property(self, path: bytes) -> bytes | None:
        return None if self._run.gone else self._run.host.property(path)

    def set_backend(self, cluster: str) -> bool:
        run = self._run
        if run.ended or run.request_head_left or run.won is not None:
            return False
        return run.host.set_backend(cluster)

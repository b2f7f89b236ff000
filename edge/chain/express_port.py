"""The port of a filter whose exchange is on the express lane: nothing is held, so little can be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.chain.filter import Body, Direction, FilterRecord, LocalReply
from edge.errors import FilterError
from edge.head import Fields, RequestHead, ResponseHead

if TYPE_CHECKING:
    from edge.chain.express import ExpressRun
    from edge.chain.place import Place


class ExpressPort:
    """Implements `edge.chain.filter.Port`. What acts makes the general run take over, and acts there."""

    __slots__ = ("_lane", "place", "record", "request", "request_trailers", "response_trailers", "waits")

    def __init__(self, lane: ExpressRun, request: RequestHead) -> None:
        self._lane = lane
        self.request = request
        self.request_trailers: Fields | None = None
        self.response_trailers: Fields | None = None
        self.record: FilterRecord | None = None
        self.waits = 0
        self.place: Place | None = None
        """The filter's place in the general run, once there is one."""

    @property
    def response(self) -> ResponseHead | None:
        return self._lane.response

    @response.setter
    def response(self, head: ResponseHead | None) -> None:
        raise AttributeError("the lane says what the response is")

    def body(self, direction: Direction) -> Body | None:
        return None

    def set_request_trailers(self, fields: Fields) -> None:
        """There is no last data callback to make them in."""

    def set_response_trailers(self, fields: Fields) -> None:
        """Nor here."""

    def head_is_open(self, direction: Direction) -> bool:
        lane = self._lane
        if lane.gone:
            return False
        if direction:
            return lane.response is not None and not lane.response_left
        return not lane.request_left

    def resume(self, direction: Direction) -> None:
        """Nothing is held."""

    def reply(self, reply: LocalReply) -> bool:
        place = self._taken_over()
        return place is not None and place.reply(reply)

    def reset(self) -> None:
        place = self._taken_over()
        if place is not None:
            place.reset()

    def waiting(self, change: int) -> None:
        self.waits += change

    def fail(self, failure: FilterError) -> None:
        place = self._taken_over()
        if place is not None:
            place.fail(failure)

    def _taken_over(self) -> Place | None:
        if not self._lane.gone:
            self._lane.general()
        return self.place

    def property(self, path: bytes) -> bytes | None:
        return None if self._lane.gone_for_good else self._lane.host.property(path)

    def set_backend(self, cluster: str) -> bool:
        lane = self._lane
        return not (lane.gone or lane.request_left) and lane.host.set_backend(cluster)

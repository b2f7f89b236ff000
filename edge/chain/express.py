"""The express lane: all filters of a chain asked at once, as long as every one only continues.

As soon as a filter does anything else, or the exchange takes another course, a general run takes
over at that very place (`adopted`), and everything goes to it from then on. No filter of an
express chain wants bodies or trailers, so those pass straight to the host.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from edge.chain.adopted import AdoptedRun
from edge.chain.filter import BoundFilter, FilterRecord, LocalReply
from edge.chain.host import ChainHost
from edge.chain.passage import Passage
from edge.chain.plan import ChainPlan, Express
from edge.chain.run import ChainRun
from edge.errors import EdgeError
from edge.head import Fields, RequestHead, ResponseHead


class ExpressRun(ABC):
    """The interface of `ChainRun`. An ABI host fills in the crossings.

    `request` and `response` are the heads the filters may see; `run` is the general run once it has
    taken over. `gone` = `done` has begun, `gone_for_good` = every filter's `done` has been called.
    `_busy` = the host is being called, and no general run has taken over meanwhile.
    """

    __slots__ = ("_busy", "_clock_ns", "_request_end", "_request_whole", "_response_end", "_response_whole",
                 "gone", "gone_for_good", "host", "plan", "request", "request_left", "response",
                 "response_left", "run")  # fmt: skip

    sampled = False

    def __init__(self, plan: ChainPlan, host: ChainHost, clock_ns: Callable[[], int]) -> None:
        self.plan = plan
        self.host = host
        self._clock_ns = clock_ns
        self.run: ChainRun | None = None
        self.request: RequestHead | None = None
        self.response: ResponseHead | None = None
        self.request_left = self.response_left = self.gone = self.gone_for_good = False
        self._busy = self._request_whole = False

    # ---- what the host may ask

    @property
    def failure(self) -> EdgeError | None:
        return None if self.run is None else self.run.failure

    @property
    def flag(self) -> str:
        return "" if self.run is None else self.run.flag

    @property
    def won(self) -> LocalReply | None:
        return None if self.run is None else self.run.won

    @property
    def records(self) -> Sequence[FilterRecord]:
        return ()

    @property
    def kept(self) -> Sequence[FilterRecord | Passage]:
        """As `records`, in the form that costs least."""
        return ()

    @property
    def request_head_left(self) -> bool:
        return self.request_left if self.run is None else self.run.request_head_left

    # ---- entries, in the order in which an exchange lives

    def request_head(self, head: RequestHead, end: bool) -> None:
        """The beginning; once."""
        if self.run is not None or self.request is not None or self.gone:
            return
        self._request_end = self._request_whole = end
        if not self._ask_request(head, end):
            return
        self._busy = self.request_left = True
        self.host.forward_request_head(head, end)
        if self._busy:
            self._busy = False
        else:
            self._go_on()

    def request_data(self, data: bytes, end: bool) -> None:
        if self.run is not None:
            self.run.request_data(data, end)
        elif self._busy:
            self.general().request_data(data, end)
        elif not self._request_whole and (data or end):
            self._request_whole = end
            self.host.forward_request_data(data, end)

    def request_trailers(self, fields: Fields) -> None:
        """Ends the request."""
        if self.run is not None:
            self.run.request_trailers(fields)
        elif self._busy:
            self.general().request_trailers(fields)
        elif not self._request_whole:
            self._request_whole = True
            self.host.forward_request_trailers(fields)

    def response_head(self, head: ResponseHead, end: bool) -> None:
        """Upstream's final head."""
        if self.run is not None:
            self.run.response_head(head, end)
            return
        if self._busy:
            self.general().response_head(head, end)
            return
        if self.response is not None or self.gone or not self.request_left:
            return
        self._response_end = self._response_whole = end
        if not self._ask_response(head, end):
            return
        self._busy = self.response_left = True
        self.host.forward_response_head(head, end)
        if self._busy:
            self._busy = False
        else:
            self._go_on()

    def response_passes(self, head: ResponseHead) -> bool:
        """See `ChainRun.response_passes`."""
        if (
            self.run is not None
            or self._busy
            or self.response is not None
            or self.gone
            or not self.request_left
        ):
            self.response_head(head, False)
            return False
        self._response_end = self._response_whole = False
        if self._ask_response(head, False):
            self.response_left = self._response_whole = True
            return True
        return False

    def response_data(self, data: bytes, end: bool) -> None:
        if self.run is not None:
            self.run.response_data(data, end)
        elif self._busy:
            self.general().response_data(data, end)
        elif self.response is not None and not self._response_whole and (data or end):
            self._response_whole = end
            self.host.forward_response_data(data, end)

    def response_trailers(self, fields: Fields) -> None:
        """Ends the response."""
        if self.run is not None:
            self.run.response_trailers(fields)
        elif self._busy:
            self.general().response_trailers(fields)
        elif self.response is not None and not self._response_whole:
            self._response_whole = True
            self.host.forward_response_trailers(fields)

    def reply(self, reply: LocalReply) -> bool:
        """See `ChainRun.reply`."""
        if self.gone or (self.run is None and (self.request is None or self.response_left)):
            return False
        return self.general().reply(reply)

    def pause_expired(self) -> None:
        """On the lane nothing is ever held."""
        if self.run is not None:
            self.run.pause_expired()

    def done(self) -> None:
        """The exchange is over: every opened filter's `done`, in request order; once."""
        if self.gone:
            return
        self.gone = self._request_whole = self._response_whole = True
        if self.run is not None:
            self.run.done()
        elif self.request is not None:
            self._end()
        self.gone_for_good = True

    # ---- the general run

    def general(self) -> ChainRun:
        """The general run, taking over now if it has not: between two phases, no callback under way."""
        if self.run is None:
            run = self._adopted(len(self.plan))
            if self.request_left:
                run.adopt_request_left()
            if self.response is not None and self.response_left:
                run.adopt_response(self.response, self._response_end, self._response_whole)
            run.begin(self._busy)
            self._busy = False
        assert self.run is not None
        return self.run

    def _adopted(self, reached: int) -> AdoptedRun:
        """A general run in which the first `reached` filters are open and were asked about the request."""
        self.run = run = AdoptedRun(self.plan, self.host, self.sampled, self._clock_ns)
        if self.request is not None:
            self._adopt(run, self.request, reached)
        return run

    def _start_over(self, head: RequestHead, end: bool) -> None:
        """Nothing has been asked yet: the general run does it all."""
        self.run = ChainRun(self.plan, self.host, self.sampled, self._clock_ns)
        self.run.request_head(head, end)

    def _go_on(self) -> None:
        """The general run took over while the host was being called."""
        if isinstance(self.run, AdoptedRun) and not self.gone:
            self.run.go_on()

    # ---- the ABI host's part

    @abstractmethod
    def _ask_request(self, head: RequestHead, end: bool) -> bool:
        """Ask all filters; False when the exchange has been handed over instead.

        Sets `request` as soon as filters are open.
        """

    @abstractmethod
    def _ask_response(self, head: ResponseHead, end: bool) -> bool:
        """The same, backwards; sets `response`."""

    @abstractmethod
    def _adopt(self, run: AdoptedRun, head: RequestHead, reached: int) -> None:
        """Give the first `reached` filters to `run.adopt_request`, and each its place there as its port."""

    @abstractmethod
    def _end(self) -> None:
        """`done` of all filters."""


def open_run(
    express: Express | None,
    filters: tuple[BoundFilter, ...],
    host: ChainHost,
    sampled: bool,
    clock_ns: Callable[[], int],
) -> ChainRun | ExpressRun:
    """The run of one exchange over `filters`: by `express`, which is theirs, where it is free."""
    if express is not None and isinstance(filters, ChainPlan):
        run = express(filters, host, sampled, clock_ns)
        if run is not None:
            return run
    return ChainRun(filters, host, sampled, clock_ns)

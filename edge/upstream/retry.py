"""Tries of one request, as a rule's `retry` allows; stands between an exchange and its cluster.

What decides, in this order:

| question | no means |
|---|---|
| Is the failure one the rule names? | the exchange gets it |
| Is a try left, and has nothing of a response gone to the client? | the exchange gets it |
| Is the whole request still here to be sent again? | the exchange gets it |
| Is nothing done for certain, or the method idempotent, or `nonIdempotent` set? | the exchange gets it |
| Does the endpoint's `retry-after` ask for little time, if for any? | the exchange gets it |
| Have the cluster's budget and `maxParallelRetries` room? | the exchange gets it, counted |
"""

from __future__ import annotations

from collections.abc import Callable
from random import random
from typing import Final, cast

from edge import model
from edge.errors import ConnectFailed, EdgeError, UpstreamClosed, UpstreamRefused, UpstreamTimeout
from edge.exchange.deadlines import Deadlines
from edge.exchange.seams import ClusterHandle, ExchangeResponse
from edge.head import RequestHead, ResponseHead
from edge.upstream.cluster import Cluster
from edge.upstream.request import IDEMPOTENT
from edge.upstream.retried import RetriedRequest

RETRY_AFTER_MAX_S: Final = 1
"""An endpoint that asks for more time than this gets it: the client hears its answer."""

CONDITIONS: Final[dict[str, tuple[type[EdgeError], ...]]] = {
    "connect-failure": (ConnectFailed,),
    "reset": (UpstreamClosed,),
    "refused-stream": (UpstreamRefused,),
    "timeout": (UpstreamTimeout,),
}
_UNSEEN: Final = (ConnectFailed, UpstreamRefused)
"""After these the endpoint has done nothing with the request."""
_GRPC_STATUS: Final = b"grpc-status"


class Retry:
    """The policy of one rule. `draw()` gives numbers from 0 to 1, for the jitter."""

    def __init__(
        self,
        policy: model.Retry,
        deadlines: Deadlines,
        clock: Callable[[], float],
        draw: Callable[[], float] = random,
    ) -> None:
        self.attempts = policy.attempts
        self.deadlines = deadlines
        self.clock = clock
        self._draw = draw
        self._policy = policy
        self._codes = frozenset(policy.codes)
        self._grpc = frozenset(b"%d" % status for status in policy.grpc_statuses)
        self._errors = tuple(kind for name in policy.conditions for kind in CONDITIONS[name])

    def dispatch(
        self,
        cluster: ClusterHandle,
        receiver: ExchangeResponse,
        head: RequestHead,
        end: bool,
        timeout_s: float,
    ) -> RetriedRequest:
        """As `cluster.dispatch`; `timeout_s` is that of each try."""
        request = RetriedRequest(self, cast(Cluster, cluster), receiver, head, end, timeout_s)
        request.start()
        return request

    def safe(self, head: RequestHead) -> bool:
        """Whether the request may be sent again although an endpoint may have carried it out."""
        return self._policy.non_idempotent or head.method in IDEMPOTENT

    def names_response(self, head: ResponseHead, end: bool) -> bool:
        """Whether this response is one to try again after, and soon enough."""
        if head.status not in self._codes and not (
            self._grpc and end and head.get(_GRPC_STATUS) in self._grpc
        ):
            return False
        asked = head.get(b"retry-after")
        return asked is None or (asked.isdigit() and int(asked[:9]) <= RETRY_AFTER_MAX_S)

    def names_error(self, error: EdgeError) -> bool:
        """Whether this failure is one to try again after."""
        return isinstance(error, self._errors)

    def unseen(self, error: EdgeError) -> bool:
        """Whether it proves that no endpoint has done anything with the request."""
        return isinstance(error, _UNSEEN)

    def pause_s(self, tries: int, asked: bytes | None) -> float:
        """How long to wait after `tries` tries; `asked` is the endpoint's `retry-after`.

        The backoff is the least, a random part of its half comes on top. Spec: HTTPRouteRetry.backoff.
        """
        policy = self._policy
        least = min(policy.backoff_s * (1 << (tries - 1)), policy.max_backoff_s)
        pause = least * (1 + self._draw() / 2)
        return max(pause, float(asked)) if asked is not None else pause

"""`routes[].rules[].retry`: when a failed try is made again. Words: Gateway API HTTPRouteRetry."""

# ruff: noqa: RUF012  (pydantic copies the defaults of its fields)
from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field, model_validator

from edge.control.config.schema.base import Duration, Section, between, choice, fault

CONDITIONS: Final = ("connect-failure", "refused-stream", "reset", "timeout")
GRPC_STATUSES: Final = {
    "cancelled": 1,
    "deadline-exceeded": 4,
    "resource-exhausted": 8,
    "aborted": 10,
    "internal": 13,
    "unavailable": 14,
}


class Retry(Section):
    """A try is made again at another endpoint, if there is one; each is bounded by `backendRequest`.

    `codes`: statuses of responses. `conditions`: tries without a response. `attempts`: tries after
    the first; a pooled connection that turns out closed is replaced once beside them. `backoff`: the
    least time between two tries; it doubles each time, to `maxBackoff`, and up to its half is added by
    chance. An endpoint's `retry-after` of more than one second ends it. A request that an endpoint may
    have carried out is sent again only if its method is idempotent (GET, HEAD, OPTIONS, TRACE, PUT,
    DELETE), or with `nonIdempotent`. Of a body, 64 KiB are kept. How many requests may be tried again
    is `circuitBreaker.retryBudget` of the cluster.
    """

    codes: Annotated[list[Annotated[int, between(400, 599)]], Field(max_length=64)] = []
    attempts: Annotated[int, between(1, 10)] = 1
    backoff: Annotated[Duration, between(0.001, 60, "s")] = 0.025
    max_backoff: Annotated[Duration, between(0.001, 300, "s")] | None = None
    conditions: list[Annotated[str, choice(*CONDITIONS)]] = list(CONDITIONS)
    grpc_statuses: list[Annotated[str, choice(*GRPC_STATUSES)]] = []
    non_idempotent: bool = False

    @model_validator(mode="after")
    def _possible(self) -> Retry:
        if self.grpc_statuses and not self.non_idempotent:
            hint = "set it if all calls of this rule may be carried out twice"
            raise fault("wrong-value", "grpcStatuses needs nonIdempotent: calls of gRPC are POSTs", hint)
        if self.max_backoff is not None and self.max_backoff < self.backoff:
            raise fault("wrong-value", "maxBackoff may not be shorter than backoff")
        if not (self.codes or self.conditions or self.grpc_statuses):
            raise fault("wrong-value", "codes, conditions and grpcStatuses are all empty: nothing is retried")
        return self

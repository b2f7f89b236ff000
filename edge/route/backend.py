"""Which of several backends of a rule takes a request. Spec: Gateway API HTTPBackendRef."""

from __future__ import annotations

from random import random
from typing import Final

from edge import model
from edge.chain.filter import LocalReply
from edge.errors import NoBackend
from edge.head import RequestHead, ResponseHead
from edge.route.edit import HeaderEdit
from edge.route.site import Routed

_TURN: Final = 0.6180339887498949
"""The golden ratio: steps of it around a circle fill every arc in proportion, after few requests
and whatever pattern they come in, for less than a random number costs."""


class Backend:
    """A cluster and its share."""

    __slots__ = ("cluster", "request_edit", "response_edit", "weight")

    def __init__(self, backend: model.Backend) -> None:
        self.cluster = backend.cluster
        self.weight = backend.weight
        self.request_edit = HeaderEdit(backend.request_headers) if backend.request_headers else None
        self.response_edit = HeaderEdit(backend.response_headers) if backend.response_headers else None


class Backends:
    """Shares requests by weight, in each worker for itself. A filter that chose a cluster is obeyed;
    the modifiers of that cluster's (first) backend then apply too.
    """

    __slots__ = ("_arcs", "_at", "_by_cluster", "edits_responses")

    def __init__(self, backends: list[model.Backend]) -> None:
        made = [Backend(each) for each in backends]
        total = sum(each.weight for each in made)
        end = 0
        self._arcs: list[tuple[float, Backend]] = []
        for each in made:
            if each.weight:
                end += each.weight
                self._arcs.append((end / total, each))
        self._by_cluster = {each.cluster: each for each in reversed(made)}
        self._at = random()
        self.edits_responses = any(each.response_edit for each in made)

    def choose(self, exchange: Routed, head: RequestHead) -> LocalReply | None:
        """Raises NoBackend when no backend has a weight and no filter chose one."""
        if exchange.backend:
            chosen = self._by_cluster.get(exchange.backend)
        else:
            chosen = self._next()
            exchange.backend = chosen.cluster
        if chosen is not None:
            exchange.chosen = chosen
            if chosen.request_edit is not None:
                chosen.request_edit.apply(head)
        return None

    def _next(self) -> Backend:
        at = self._at = (self._at + _TURN) % 1.0
        for end, backend in self._arcs:
            if at < end:
                return backend
        if self._arcs:
            return self._arcs[-1][1]
        raise NoBackend("no backend of the rule has a weight")

    def edit_response(self, exchange: Routed, head: ResponseHead) -> None:
        chosen = exchange.chosen
        if chosen is not None and chosen.response_edit is not None:
            chosen.response_edit.apply(head)

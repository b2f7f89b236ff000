"""A rule of a prepared revision, and one of its matches."""

from __future__ import annotations

from edge import model
from edge.chain.filter import BoundFilter
from edge.exchange.seams import ClusterHandle
from edge.head import RequestHead
from edge.route.edit import HeaderEdit, TargetRewrite


class Rule:
    """Everything an exchange needs once its rule is chosen; nothing is looked up later."""

    __slots__ = (
        "backend_timeout_s",
        "chain",
        "chain_name",
        "cluster",
        "detailed",
        "name",
        "request_edit",
        "request_timeout_s",
        "response_edit",
        "rewrite",
        "route",
    )

    def __init__(
        self,
        route: str,
        rule: model.Rule,
        cluster: ClusterHandle,
        chain: tuple[BoundFilter, ...],
    ) -> None:
        self.route = route
        self.name = rule.name
        self.cluster = cluster
        self.chain = chain
        self.chain_name = rule.chain or ""
        self.request_edit = HeaderEdit(rule.request_headers) if rule.request_headers else None
        self.response_edit = HeaderEdit(rule.response_headers) if rule.response_headers else None
        self.rewrite = TargetRewrite(rule.rewrite) if rule.rewrite else None
        self.request_timeout_s = rule.request_timeout_s
        self.backend_timeout_s = rule.backend_timeout_s
        self.detailed = rule.verbosity != "minimal"


class Candidate:
    """One match of a rule, filed in the table under its path."""

    __slots__ = ("any", "headers", "method", "order", "path", "report", "rule")

    def __init__(self, match: model.Match, rule: Rule, order: int, report: object = None) -> None:
        self.path = match.path
        self.method = match.method
        self.headers = tuple((h.name.lower(), h.value) for h in match.headers)
        self.rule = rule
        self.order = order
        self.report = report
        """What the worker keeps for the reports of this rule on this listener."""
        self.any = self.method is None and not self.headers
        """Whether the path alone decides."""

    def accepts(self, head: RequestHead) -> bool:
        """Whether method and headers hold; a repeated header matches by its first value."""
        if self.method is not None and head.method != self.method:
            return False
        return all(head.get(name) == value for name, value in self.headers)

    def rank(self) -> tuple[int, int, int]:
        """Sort key among matches of one path: method first, more headers first, then file order.

        Spec: Gateway API HTTPRouteRule.matches (precedence).
        """
        return (0 if self.method is not None else 1, -len(self.headers), self.order)

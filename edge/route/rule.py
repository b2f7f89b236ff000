"""A rule of a prepared revision."""

from __future__ import annotations

from edge import model
from edge.chain.filter import BoundFilter
from edge.exchange.seams import ClusterHandle
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

"""A rule of a prepared revision."""

from __future__ import annotations

from edge import model
from edge.chain.filter import BoundFilter, LocalReply
from edge.exchange.seams import ClusterHandle, Retrying
from edge.head import RequestHead, ResponseHead
from edge.route.answer import Direct, Redirect
from edge.route.backend import Backends
from edge.route.cors import Policy
from edge.route.edit import HeaderEdit, TargetRewrite
from edge.route.mirror import Mirrors
from edge.route.site import Back, Routed, Site, Step, in_turn


class Rule:
    """Everything an exchange needs once its rule is chosen; nothing is looked up later.

    | attribute | when it is taken | what it may hold |
    |---|---|---|
    | `entry` | before the filters | the time for the whole exchange, CORS |
    | `outbound` | after them | modifiers, rewrite, redirect, choice of backend |
    | `sender` | in the place of `cluster.dispatch` | tries, mirrors |
    | `inbound` | on the head of upstream's response | modifiers |

    Each is None for a rule that asks for nothing there.
    """

    __slots__ = (
        "backend_timeout_s",
        "chain",
        "chain_name",
        "cluster",
        "cors",
        "detailed",
        "entry",
        "express",
        "inbound",
        "name",
        "outbound",
        "route",
        "sender",
    )

    def __init__(
        self,
        route: str,
        rule: model.Rule,
        cluster: ClusterHandle | None,
        chain: tuple[BoundFilter, ...],
        site: Site | None = None,
        retry: Retrying | None = None,
    ) -> None:
        """`cluster` None = `outbound` answers, chooses a backend or fails every request."""
        site = site or Site()
        self.route = route
        self.name = rule.name
        self.cluster = cluster
        self.chain = chain
        self.express = getattr(chain, "express", None)  # of a plan; a look-up there costs more than one here
        self.chain_name = rule.chain or ""
        self.cors = rule.cors is not None
        self.backend_timeout_s = rule.backend_timeout_s
        self.detailed = rule.verbosity != "minimal"
        self.sender = Mirrors(rule.mirrors, site, retry) if rule.mirrors else retry
        edit = HeaderEdit(rule.response_headers) if rule.response_headers else None
        backends = None
        if cluster is None and rule.redirect is None and rule.direct_response is None:
            backends = Backends(rule.backends)
        self.entry = _entry(rule)
        self.outbound = _outbound(rule, site, edit, backends)
        self.inbound = _inbound(edit, backends)


def _entry(rule: model.Rule) -> Step | None:
    steps: list[Step] = []
    seconds = rule.request_timeout_s
    if seconds:

        def limit(exchange: Routed, head: RequestHead) -> None:
            exchange.limit_duration(seconds)

        steps.append(limit)
    if rule.cors is not None:
        steps.append(Policy(rule.cors).enter)
    return in_turn(steps)


def _outbound(
    rule: model.Rule, site: Site, response_edit: HeaderEdit | None, backends: Backends | None
) -> Step | None:
    steps: list[Step] = []
    if rule.request_headers is not None:
        steps.append(_edited(HeaderEdit(rule.request_headers)))
    if rule.rewrite is not None:
        steps.append(_rewritten(TargetRewrite(rule.rewrite)))
    if rule.redirect is not None:
        steps.append(Redirect(rule.redirect, site.port, response_edit).answer)
    elif rule.direct_response is not None:
        steps.append(Direct(rule.direct_response, response_edit).answer)
    elif backends is not None:
        steps.append(backends.choose)
    return in_turn(steps)


def _edited(edit: HeaderEdit) -> Step:
    def step(exchange: Routed, head: RequestHead) -> LocalReply | None:
        edit.apply(head)
        return None

    return step


def _rewritten(rewrite: TargetRewrite) -> Step:
    def step(exchange: Routed, head: RequestHead) -> LocalReply | None:
        candidate = exchange.candidate
        assert candidate is not None
        rewrite.apply(head, candidate.path)
        return None

    return step


def _inbound(edit: HeaderEdit | None, backends: Backends | None) -> Back | None:
    """A backend's own modifiers first, then the rule's."""
    if backends is None or not backends.edits_responses:
        return None if edit is None else lambda exchange, head: edit.apply(head)

    def both(exchange: Routed, head: ResponseHead) -> None:
        backends.edit_response(exchange, head)
        if edit is not None:
            edit.apply(head)

    return both

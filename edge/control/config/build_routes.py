"""The routes of a loaded configuration as the model that goes to workers."""

from __future__ import annotations

from typing import Final

from edge import model
from edge.control.config.schema import routes as route_schema
from edge.control.config.schema.matches import Match

_REGEX: Final = "RegularExpression"
_PATH_KINDS: Final = {"Exact": "exact", "PathPrefix": "prefix", _REGEX: "regex"}


def route_model(route: route_schema.Route) -> model.Route:
    """One route; rules without a name get one of their own."""
    alone = len(route.rules) == 1
    taken = {rule.name for rule in route.rules}
    return model.Route(
        name=route.name,
        listeners=[parent.name for parent in route.parent_refs],
        hostnames=list(route.hostnames),
        rules=[
            _rule(rule, rule.name or (route.name if alone else _free(f"{route.name}-{index}", taken)))
            for index, rule in enumerate(route.rules)
        ],
    )


def _free(name: str, taken: set[str | None]) -> str:
    """Rules are told apart by name in metrics and traces, so a made name is nobody's own."""
    while name in taken:
        name += "x"
    return name


def _rule(rule: route_schema.Rule, name: str) -> model.Rule:
    by_type = {each.type: each for each in rule.filters}
    extension, rewrite = by_type.get("ExtensionRef"), by_type.get("URLRewrite")
    request, response = by_type.get("RequestHeaderModifier"), by_type.get("ResponseHeaderModifier")
    return model.Rule(
        name=name,
        matches=[_match(match) for match in rule.matches],
        cluster=rule.backend_refs[0].name,
        chain=extension.extension_ref.name if extension and extension.extension_ref else None,
        request_headers=_modifier(request.request_header_modifier) if request else None,
        response_headers=_modifier(response.response_header_modifier) if response else None,
        rewrite=_rewrite(rewrite.url_rewrite) if rewrite else None,
        request_timeout_s=rule.timeouts.request,
        backend_timeout_s=rule.timeouts.backend_request,
        verbosity=rule.observability.trace_verbosity,
    )


def _match(match: Match) -> model.Match:
    return model.Match(
        path=match.path.value.encode(),
        path_kind=_PATH_KINDS[match.path.type],
        headers=[
            model.HeaderMatch(
                name=each.name.encode(), value=each.value.encode("latin-1"), regex=each.type == _REGEX
            )
            for each in match.headers
        ],
        query=[
            model.QueryMatch(name=each.name.encode(), value=each.value.encode(), regex=each.type == _REGEX)
            for each in match.query_params
        ],
        method=match.method.encode() if match.method else None,
    )


def _modifier(modifier: route_schema.HeaderModifier | None) -> model.HeaderModifier | None:
    if modifier is None:
        return None
    return model.HeaderModifier(
        set=[(header.name.encode(), header.value.encode("latin-1")) for header in modifier.set],
        add=[(header.name.encode(), header.value.encode("latin-1")) for header in modifier.add],
        remove=[name.encode() for name in modifier.remove],
    )


def _rewrite(rewrite: route_schema.UrlRewrite | None) -> model.Rewrite | None:
    if rewrite is None:
        return None
    path = rewrite.path
    full = path.replace_full_path if path else None
    prefix = path.replace_prefix_match if path else None
    return model.Rewrite(
        hostname=rewrite.hostname.encode() if rewrite.hostname else None,
        prefix=prefix.encode() if prefix is not None else None,
        full=full.encode() if full is not None else None,
    )

"""The routes of a loaded configuration as the model that goes to workers."""

from __future__ import annotations

from typing import Final

from edge import model
from edge.control.config.build_clusters import retry_model
from edge.control.config.schema import routes as route_schema
from edge.control.config.schema.matches import Match
from edge.control.config.schema.route_filters import (
    Cors,
    DirectResponse,
    HeaderModifier,
    PathModifier,
    RequestMirror,
    RequestRedirect,
    UrlRewrite,
)

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
    one = {each.type: each for each in rule.filters}
    extension, rewrite = one.get("ExtensionRef"), one.get("URLRewrite")
    request, response = one.get("RequestHeaderModifier"), one.get("ResponseHeaderModifier")
    redirect, direct, cors = one.get("RequestRedirect"), one.get("DirectResponse"), one.get("CORS")
    cluster = _only_cluster(rule.backend_refs)
    return model.Rule(
        name=name,
        matches=[_match(match) for match in rule.matches],
        cluster=cluster,
        backends=[] if cluster else [_backend(each) for each in rule.backend_refs],
        chain=extension.extension_ref.name if extension and extension.extension_ref else None,
        request_headers=_modifier(request.request_header_modifier) if request else None,
        response_headers=_modifier(response.response_header_modifier) if response else None,
        rewrite=_rewrite(rewrite.url_rewrite) if rewrite else None,
        redirect=_redirect(redirect.request_redirect) if redirect else None,
        direct_response=_direct_response(direct.direct_response) if direct else None,
        cors=_cors(cors.cors) if cors else None,
        mirrors=[_mirror(each.request_mirror) for each in rule.filters if each.request_mirror],
        request_timeout_s=rule.timeouts.request,
        backend_timeout_s=rule.timeouts.backend_request,
        retry=retry_model(rule.retry),
        verbosity=rule.observability.trace_verbosity,
    )


def _only_cluster(backends: list[route_schema.BackendRef]) -> str:
    """The cluster of a rule that has nothing to choose, and nothing of its own to do there."""
    if len(backends) == 1 and backends[0].weight and not backends[0].filters:
        return backends[0].name
    return ""


def _backend(backend: route_schema.BackendRef) -> model.Backend:
    one = {each.type: each for each in backend.filters}
    request, response = one.get("RequestHeaderModifier"), one.get("ResponseHeaderModifier")
    return model.Backend(
        cluster=backend.name,
        weight=backend.weight,
        request_headers=_modifier(request.request_header_modifier) if request else None,
        response_headers=_modifier(response.response_header_modifier) if response else None,
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


def _modifier(modifier: HeaderModifier | None) -> model.HeaderModifier | None:
    if modifier is None:
        return None
    return model.HeaderModifier(
        set=[(header.name.encode(), header.value.encode("latin-1")) for header in modifier.set],
        add=[(header.name.encode(), header.value.encode("latin-1")) for header in modifier.add],
        remove=[name.encode() for name in modifier.remove],
    )


def _paths(path: PathModifier | None) -> tuple[bytes | None, bytes | None]:
    """What replaces the whole path, and what replaces the matched prefix."""
    full = path.replace_full_path if path else None
    prefix = path.replace_prefix_match if path else None
    return full.encode() if full is not None else None, prefix.encode() if prefix is not None else None


def _rewrite(rewrite: UrlRewrite | None) -> model.Rewrite | None:
    if rewrite is None:
        return None
    full, prefix = _paths(rewrite.path)
    hostname = rewrite.hostname.encode() if rewrite.hostname else None
    return model.Rewrite(hostname=hostname, prefix=prefix, full=full)


def _redirect(redirect: RequestRedirect | None) -> model.Redirect | None:
    if redirect is None:
        return None
    full, prefix = _paths(redirect.path)
    return model.Redirect(
        scheme=redirect.scheme.encode() if redirect.scheme else None,
        hostname=redirect.hostname.encode() if redirect.hostname else None,
        port=redirect.port,
        prefix=prefix,
        full=full,
        status=redirect.status_code,
    )


def _direct_response(response: DirectResponse | None) -> model.DirectResponse | None:
    if response is None:
        return None
    return model.DirectResponse(
        status=response.status_code,
        content_type=response.content_type.encode("latin-1"),
        body=response.body.encode(),
    )


def _cors(cors: Cors | None) -> model.Cors | None:
    if cors is None:
        return None
    return model.Cors(
        allow_origins=[each.encode() for each in cors.allow_origins],
        allow_credentials=cors.allow_credentials,
        allow_methods=[each.encode() for each in cors.allow_methods],
        allow_headers=[each.encode() for each in cors.allow_headers],
        expose_headers=[each.encode() for each in cors.expose_headers],
        max_age_s=cors.max_age,
    )


def _mirror(mirror: RequestMirror) -> model.Mirror:
    fraction = mirror.fraction
    if fraction is not None:
        numerator, denominator = fraction.numerator, fraction.denominator
    else:
        numerator, denominator = 100 if mirror.percent is None else mirror.percent, 100
    return model.Mirror(cluster=mirror.backend_ref.name, numerator=numerator, denominator=denominator)

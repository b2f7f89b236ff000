"""`edge explain`: which rule of a configuration takes a request, why the others lost, and what follows."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from edge import model
from edge.cli.exits import EXIT_FAILED, EXIT_OK, EXIT_USAGE, exit_of
from edge.cli.filter.message import BadMessage, read_request
from edge.control.config.build import Artefacts, build, used_modules
from edge.control.config.load import Loaded, load
from edge.control.waiting import waiting
from edge.head import RequestHead
from edge.route.explain import Verdict, bare_table, explain

SCHEMA_VERSION = 1
LOST_SHOWN = 20
"""Of those that fit nothing; `-o json` has all."""


class _Misused(Exception):
    """The text names the argument that is wrong."""


class Asked(NamedTuple):
    """The arguments. `headers`: `name: value`. `listener`: by name, empty = found by the URL."""

    method: str
    url: str
    headers: Sequence[str]
    config: Path
    listener: str
    output: str


def explain_request(asked: Asked) -> int:
    """The exit code: 0 a rule takes it, 1 none does."""
    with waiting(f"checking {asked.config}", asked.output):
        loaded = load(asked.config)
    if not isinstance(loaded, Loaded):
        for problem in loaded:
            print(problem.text(), file=sys.stderr)
        return exit_of(loaded)
    made = _model(loaded)
    try:
        listener = _listener(made, asked)
        head = _head(asked)
    except (_Misused, BadMessage) as error:
        print(f"edge: {error}", file=sys.stderr)
        return EXIT_USAGE
    verdicts = explain(bare_table(made, listener.name), head)
    data = _described(made, listener, head, verdicts)
    print(json.dumps(data, ensure_ascii=False, indent=1) if asked.output == "json" else text(data))
    return EXIT_OK if data["rule"] else EXIT_FAILED


def _model(loaded: Loaded) -> model.Model:
    """As workers get it, but for compiled code."""
    digests = {loaded.modules[name].digest for name in used_modules(loaded.root)}
    modules = [model.Module(digest=digest, abi="", guest_fd=-1, bridge_fd=-1) for digest in sorted(digests)]
    ports = {listener.name: listener.address.port for listener in loaded.root.listeners}
    return build(loaded, 1, ports, Artefacts(modules))


def _listener(made: model.Model, asked: Asked) -> model.Listener:
    if asked.listener:
        for listener in made.listeners:
            if listener.name == asked.listener:
                return listener
        known = ", ".join(each.name for each in made.listeners)
        raise _Misused(f"--listener {asked.listener}: there is none; there are {known}")
    url = _url(asked.url)
    secure = url.scheme == "https"
    fitting = [each for each in made.listeners if bool(each.certificates) == secure]
    port = url.port or (443 if secure else 80)
    exact = [each for each in fitting if (each.advertised_port or each.port) == port]
    if not fitting:
        raise _Misused(f"{asked.url}: no listener speaks {url.scheme}")
    return (exact or fitting)[0]


def _url(text: str) -> Any:
    try:
        url = urlsplit(text)
        usable = url.scheme in ("http", "https") and bool(url.netloc) and (url.port or 0) >= 0
    except ValueError:
        usable = False
    if not usable:
        raise _Misused(f"'{text}' is no URL; write it like https://shop.example/path?query")
    return url


def _head(asked: Asked) -> RequestHead:
    """Through the codec, so that what it would refuse or make canonical is so here."""
    url = _url(asked.url)
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    lines = [f"{asked.method.upper()} {target} HTTP/1.1", f"host: {url.netloc.rpartition('@')[2]}"]
    for header in asked.headers:
        name, colon, value = header.partition(":")
        if not colon:
            raise _Misused(f"-H '{header}': write it like 'name: value'")
        lines.append(f"{name.strip()}: {value.strip()}")
    return read_request("\r\n".join([*lines, "", ""]).encode()).head


def _described(
    made: model.Model, listener: model.Listener, head: RequestHead, verdicts: list[Verdict]
) -> dict[str, Any]:
    won = next((each for each in verdicts if each.won), None)
    return {
        "schemaVersion": SCHEMA_VERSION,
        "request": {
            "method": head.method.decode("latin-1"),
            "authority": head.authority.decode("latin-1"),
            "path": head.path.decode("latin-1"),
        },
        "listener": listener.name,
        "rule": _rule(made, won) if won is not None else None,
        "lost": [
            {"route": each.route, "rule": each.rule, "match": each.match, "because": each.because}
            for each in verdicts
            if not each.won
        ],
    }


def _rule(made: model.Model, won: Verdict) -> dict[str, Any]:
    route = next(route for route in made.routes if route.name == won.route)
    rule = next(rule for rule in route.rules if rule.name == won.rule)
    chains = {chain.name: chain for chain in made.chains}
    return {
        "route": won.route,
        "rule": won.rule,
        "match": won.match,
        "hostname": won.hostname,
        "filters": [each.name for each in chains[rule.chain].filters] if rule.chain else [],
        "then": _answer(rule),
        "backends": _backends(made, rule),
        "timeouts": {"request": rule.request_timeout_s, "backendRequest": rule.backend_timeout_s},
        "retries": rule.retry.attempts if rule.retry else 0,
        "mirrors": [each.cluster for each in rule.mirrors],
    }


def _answer(rule: model.Rule) -> str:
    if rule.redirect is not None:
        return f"redirect {rule.redirect.status}"
    if rule.direct_response is not None:
        return f"answer {rule.direct_response.status}"
    return "forward" if rule.cluster or rule.backends else "answer 500: it has no backend"


def _backends(made: model.Model, rule: model.Rule) -> list[dict[str, Any]]:
    clusters = {cluster.name: cluster for cluster in made.clusters}
    weights = [(rule.cluster, 1)] if rule.cluster else [(each.cluster, each.weight) for each in rule.backends]
    total = sum(weight for _, weight in weights)
    return [
        {
            "cluster": name,
            "share": round(weight / total, 4) if total else 0.0,
            "loadBalancer": clusters[name].balancing.type,
            "endpoints": [f"{each.host}:{each.port}" for each in clusters[name].endpoints],
        }
        for name, weight in weights
    ]


def text(data: dict[str, Any]) -> str:
    """For people: what happens, then why nothing else did."""
    request, rule = data["request"], data["rule"]
    lines = [
        f"request   {request['method']} {request['authority']} {request['path']}",
        f"listener  {data['listener']}",
    ]
    if rule is None:
        lines.append("rule      none: the answer is 404")
    else:
        hostname = f" under {rule['hostname']}" if rule["hostname"] else ""
        lines.append(f"rule      {rule['route']}/{rule['rule']}, match {rule['match']}{hostname}")
        lines.append(f"filters   {', '.join(rule['filters']) or 'none'}")
        lines.append(f"then      {rule['then']}")
        lines += [_backend(each) for each in rule["backends"]]
        lines += [f"mirror    {name}" for name in rule["mirrors"]]
    lines += [
        f"lost      {each['route']}/{each['rule']}, match {each['match']}: {each['because']}"
        for each in data["lost"][:LOST_SHOWN]
    ]
    if len(data["lost"]) > LOST_SHOWN:
        lines.append(f"          and {len(data['lost']) - LOST_SHOWN} more (-o json shows all)")
    return "\n".join(lines)


def _backend(backend: dict[str, Any]) -> str:
    endpoints = ", ".join(backend["endpoints"])
    return f"backend   {backend['cluster']} {backend['share']:.1%}, {backend['loadBalancer']}: {endpoints}"

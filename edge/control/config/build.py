"""A loaded configuration as the model that goes to workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edge import model
from edge.control.config.build_clusters import cluster_models
from edge.control.config.build_listeners import listener_model, redirects
from edge.control.config.build_routes import route_model
from edge.control.config.load import Loaded
from edge.control.config.schema import Literal, Secret, opaque
from edge.control.config.schema import filters as filter_schema
from edge.control.config.schema.root import EdgeLimits, Root


@dataclass(frozen=True, slots=True)
class Artefacts:
    """Compiled modules: `modules` index into `descriptors`, as does `inner_host_fd`."""

    modules: list[model.Module] = field(default_factory=list)
    inner_host_fd: int = -1
    descriptors: list[int] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    """Lines for the log."""


def build(loaded: Loaded, revision: int, ports: Mapping[str, int], artefacts: Artefacts) -> model.Model:
    """`ports`: bound port by listener name. `artefacts` hold every module a chain uses."""
    root = loaded.root
    return model.Model(
        revision=revision,
        listeners=[
            listener_model(loaded, index, listener, ports[listener.name])
            for index, listener in enumerate(root.listeners)
        ],
        routes=[*(route_model(route) for route in root.routes), *redirects(root.listeners)],
        clusters=cluster_models(loaded),
        chains=_chains(loaded, {module.digest: module.abi for module in artefacts.modules}),
        modules=artefacts.modules,
        inner_host_fd=artefacts.inner_host_fd,
        limits=_limits(root),
        telemetry=_telemetry(loaded),
    )


def used_modules(root: Root) -> set[str]:
    """Names of the modules that some chain uses."""
    return {each.module for chain in root.filter_chains.values() for each in chain}


def _chains(loaded: Loaded, abis: Mapping[str, str]) -> list[model.Chain]:
    return [
        model.Chain(name=name, filters=[_filter(loaded, each, abis) for each in chain])
        for name, chain in loaded.root.filter_chains.items()
    ]


def _filter(loaded: Loaded, each: filter_schema.Filter, abis: Mapping[str, str]) -> model.Filter:
    digest = loaded.modules[each.module].digest
    limits = each.limits
    return model.Filter(
        name=each.name,
        module=digest,
        abi=abis[digest],
        root_id=each.root_id,
        vm_id=each.vm_id,
        vm_config=opaque(each.vm_config),
        config=opaque(each.config),
        env={name: _plain(loaded, value) for name, value in each.env.items()},
        isolation=each.isolation,
        allow=model.Allow(backends=list(each.allow.backends), callouts=list(each.allow.http_callouts)),
        limits=model.FilterLimits(
            memory_bytes=limits.memory,
            cpu_per_call_s=limits.cpu_per_call,
            cpu_per_request_s=limits.cpu_per_request,
            host_calls=limits.host_calls,
            bytes_copied=limits.bytes_copied or (1 << 20) + 4 * limits.body,
            callouts=limits.callouts,
            pause_s=limits.pause,
            body_bytes=limits.body,
        ),
        fail_open=each.fail_strategy == "FAIL_OPEN",
        non_utf8=each.non_utf8,
        singleton=each.singleton,
    )


def _plain(loaded: Loaded, value: Literal | Secret) -> str:
    return loaded.secrets[value.secret_ref] if isinstance(value, Secret) else str(value)


def _limits(root: Root) -> model.Limits:
    limits = root.limits
    return model.Limits(
        head_bytes=limits.head,
        head_fields=limits.head_fields,
        target_bytes=limits.target,
        body_bytes=limits.body,
        head_timeout_s=limits.head_timeout,
        idle_timeout_s=limits.idle_timeout,
        body_idle_timeout_s=limits.body_idle_timeout,
        send_timeout_s=limits.send_timeout,
        max_connections=limits.max_connections,
        max_connections_per_address=_per_address(limits),
        max_streams=limits.max_streams,
        min_rate_bytes_s=limits.min_rate,
        memory_bytes=limits.memory,
    )


def _per_address(limits: EdgeLimits) -> int:
    """One client alone must not be able to keep all others out."""
    given = limits.max_connections_per_address
    return (limits.max_connections + 1) // 2 if given is None else given


def _telemetry(loaded: Loaded) -> model.Telemetry:
    telemetry = loaded.root.telemetry
    tracing, otlp, log = telemetry.tracing, telemetry.tracing.otlp, telemetry.access_log
    path = log.path if log else ""
    return model.Telemetry(
        service_name=telemetry.service_name,
        tracing=tracing.enabled,
        otlp_endpoint=otlp.endpoint if otlp else "",
        otlp_headers={name: _plain(loaded, value) for name, value in otlp.headers.items()} if otlp else {},
        resource=dict(telemetry.resource),
        ratio=tracing.sampler.ratio,
        trust=list(telemetry.trust),
        extract=list(tracing.propagation.extract),
        inject=list(tracing.propagation.inject),
        clear=list(tracing.propagation.clear),
        safe_query_params=list(tracing.safe_query_params),
        access_log=path if path in ("", "stdout") else str(loaded.folder / path),
    )


def explicit_telemetry(loaded: Loaded) -> frozenset[str]:
    """Fields of `model.Telemetry` that the file itself sets: the environment does not change them."""
    telemetry = loaded.root.telemetry
    tracing = telemetry.tracing
    given = {
        "service_name": "service_name" in telemetry.model_fields_set,
        "otlp_endpoint": tracing.otlp is not None,
        "ratio": "ratio" in tracing.sampler.model_fields_set,
        "extract": "extract" in tracing.propagation.model_fields_set,
        "inject": "inject" in tracing.propagation.model_fields_set,
        "tracing": "enabled" in tracing.model_fields_set,
    }
    return frozenset(name for name, is_given in given.items() if is_given)

"""Who sends the spans: the resource, by the SDK's own rules, and the frame of an OTLP request.

Loaded by the supervisor only; the SDK costs 50 ms to import.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from typing import Final

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ResourceMessage
from opentelemetry.sdk.resources import Resource

from edge.model import Telemetry
from edge.telemetry.protobuf import delimited

SCOPE_NAME: Final = "edge"


def resource_of(telemetry: Telemetry, version: str, instance: str) -> Resource:
    """The SDK's resource with its own detectors, then ours, then the configured attributes.

    `instance` tells two edges of one service apart (`service.instance.id`).
    """
    return Resource.create(
        {
            "service.instance.id": instance,
            "service.version": version,
            "host.name": platform.node(),
            "process.pid": os.getpid(),
            **telemetry.resource,
            "service.name": telemetry.service_name,
        }
    )


def frame(resource: Resource, version: str) -> tuple[bytes, bytes]:
    """Encoded `ResourceSpans.resource` and `ScopeSpans.scope` fields, for `request_body`."""
    message = ResourceMessage()
    for key, value in resource.attributes.items():
        entry = message.attributes.add()
        entry.key = key
        if isinstance(value, bool):
            entry.value.bool_value = value
        elif isinstance(value, int):
            entry.value.int_value = value
        elif isinstance(value, float):
            entry.value.double_value = value
        else:
            entry.value.string_value = str(value)
    scope = InstrumentationScope(name=SCOPE_NAME, version=version)
    return delimited(b"\x0a", message.SerializeToString()), delimited(b"\x0a", scope.SerializeToString())


def request_body(framing: tuple[bytes, bytes], payloads: Iterable[bytes]) -> bytes:
    """An `ExportTraceServiceRequest` around payloads of `wire.Spans`."""
    resource, scope = framing
    scope_spans = delimited(b"\x12", b"".join((scope, *payloads)))
    return delimited(b"\x0a", resource + scope_spans)

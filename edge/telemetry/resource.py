"""Who sends the spans: the resource, by the SDK's own rules, encoded once.

Loaded by the drafting child only: the SDK costs 50 ms and 10 MiB.
"""

from __future__ import annotations

import os
import platform
from typing import Final

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ResourceMessage
from opentelemetry.sdk.resources import Resource

from edge.model import Telemetry
from edge.telemetry.protobuf import delimited

SCOPE_NAME: Final = "edge"


def resource_of(telemetry: Telemetry, version: str, instance: str, pid: int = 0) -> Resource:
    """The SDK's resource with its own detectors, then ours, then the configured attributes.

    `instance` tells two edges of one service apart (`service.instance.id`); `pid` 0 is
    this process.
    """
    return Resource.create(
        {
            "service.instance.id": instance,
            "service.version": version,
            "host.name": platform.node(),
            "process.pid": pid or os.getpid(),
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

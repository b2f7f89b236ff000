"""The OTEL_* environment, merged under what the configuration file says itself.

Spec: OpenTelemetry environment variable specification. A value we cannot use is reported and
ignored, as the specification asks; it never stops the start.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import msgspec

from edge.model import Telemetry

TRACES_PATH: Final = "/v1/traces"

_PROPAGATORS: Final = {"tracecontext": "w3c", "b3": "b3", "b3multi": "b3multi", "jaeger": "jaeger"}
_SILENT_PROPAGATORS: Final = ("baggage", "none", "")
"""Baggage passes as any other header does."""


class ExportSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where spans are posted, and how. `compression` is `gzip` or `none`; `ca_file` may be empty."""

    url: str
    headers: dict[str, str] = {}
    compression: str = "gzip"
    timeout_s: float = 10.0
    ca_file: str = ""
    queue_spans: int = 2048
    batch_spans: int = 512


class Environment:
    """One reading of `environ`; `warnings` tells what was not understood."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.warnings: list[str] = []

    def telemetry(self, base: Telemetry, explicit: frozenset[str] = frozenset()) -> Telemetry:
        """`base` with the environment's values for every field not named in `explicit`.

        `explicit` holds the fields the configuration file set. OTEL_SDK_DISABLED always counts.
        """
        changes: dict[str, Any] = {}
        service = self._get("OTEL_SERVICE_NAME")
        if service:
            changes["service_name"] = service
        resource = self._pairs("OTEL_RESOURCE_ATTRIBUTES")
        if resource:
            changes["resource"] = {**resource, **base.resource}
            if not service and "service.name" in resource:
                changes["service_name"] = resource["service.name"]
        if "ratio" not in explicit:
            self._sampler(changes)
        self._propagators(changes)
        self._endpoint(changes)
        changes = {
            name: value for name, value in changes.items() if name not in explicit or name == "resource"
        }
        if self._get("OTEL_SDK_DISABLED").lower() == "true":
            changes["tracing"] = False
        return msgspec.structs.replace(base, **changes)

    def export(self, telemetry: Telemetry) -> ExportSettings | None:
        """Settings of the exporter for a model that went through `telemetry`; None = no export."""
        base = telemetry.otlp_endpoint
        if not base or not telemetry.tracing:
            return None
        exact = self._get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
        parts = urlsplit(base)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            self.warnings.append(f"OTLP endpoint {base!r} is no http(s) URL: spans are not exported")
            return None
        protocol = self._otlp("PROTOCOL") or "http/protobuf"
        if protocol != "http/protobuf":
            self.warnings.append(f"OTLP protocol {protocol!r} is not supported: http/protobuf is used")
        local = parts.hostname in ("127.0.0.1", "::1", "localhost")
        whole = base == exact or parts.path.endswith(TRACES_PATH)
        return ExportSettings(
            url=base if whole else base.rstrip("/") + TRACES_PATH,
            headers={**self._otlp_headers(), **telemetry.otlp_headers},
            compression=self._compression("none" if local else "gzip"),
            timeout_s=self._timeout_s(),
            ca_file=self._otlp("CERTIFICATE"),
            queue_spans=int(self._number("OTEL_BSP_MAX_QUEUE_SIZE", 2048)) or 2048,
            batch_spans=int(self._number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512)) or 512,
        )

    def _get(self, name: str) -> str:
        return self._environ.get(name, "").strip()

    def _otlp(self, name: str) -> str:
        return self._get(f"OTEL_EXPORTER_OTLP_TRACES_{name}") or self._get(f"OTEL_EXPORTER_OTLP_{name}")

    def _otlp_headers(self) -> dict[str, str]:
        if self._get("OTEL_EXPORTER_OTLP_TRACES_HEADERS"):
            return self._pairs("OTEL_EXPORTER_OTLP_TRACES_HEADERS")
        return self._pairs("OTEL_EXPORTER_OTLP_HEADERS")

    def _pairs(self, name: str) -> dict[str, str]:
        """`key=value,key=value`, percent-decoded."""
        found = {}
        for part in filter(None, (piece.strip() for piece in self._get(name).split(","))):
            key, equals, value = part.partition("=")
            if not equals or not key.strip():
                self.warnings.append(f"{name}: {part!r} is not key=value")
                continue
            found[unquote(key.strip())] = unquote(value.strip())
        return found

    def _number(self, name: str, default: float) -> float:
        text = self._get(name)
        if not text:
            return default
        try:
            number = float(text)
        except ValueError:
            number = -1.0
        if not 0 <= number < float("inf"):
            self.warnings.append(f"{name}: {text!r} is not a number of 0 or more")
            return default
        return number

    def _timeout_s(self) -> float:
        general = self._number("OTEL_EXPORTER_OTLP_TIMEOUT", 10_000)
        return max(0.1, self._number("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", general) / 1000)

    def _compression(self, default: str) -> str:
        word = self._otlp("COMPRESSION") or default
        if word not in ("gzip", "none"):
            self.warnings.append(f"OTLP compression {word!r} is not supported (gzip, none)")
            return default
        return word

    def _sampler(self, changes: dict[str, Any]) -> None:
        word = self._get("OTEL_TRACES_SAMPLER").lower()
        if not word:
            return
        bare = word.removeprefix("parentbased_")
        if bare not in ("always_on", "always_off", "traceidratio"):
            self.warnings.append(f"OTEL_TRACES_SAMPLER: {word!r} is not supported")
            return
        ratio = {"always_on": 1.0, "always_off": 0.0}.get(bare)
        if ratio is None:
            ratio = self._number("OTEL_TRACES_SAMPLER_ARG", 1.0)
            if ratio > 1:
                self.warnings.append(f"OTEL_TRACES_SAMPLER_ARG: {ratio} is above 1")
                ratio = 1.0
        changes["ratio"] = ratio
        if bare == word:
            changes["trust"] = []  # without a parent-based sampler nobody's flag counts

    def _propagators(self, changes: dict[str, Any]) -> None:
        text = self._get("OTEL_PROPAGATORS")
        if not text:
            return
        words = list(dict.fromkeys(piece.strip().lower() for piece in text.split(",")))
        for word in words:
            if word not in _PROPAGATORS and word not in _SILENT_PROPAGATORS:
                self.warnings.append(f"OTEL_PROPAGATORS: {word!r} is not supported")
        known = [_PROPAGATORS[word] for word in words if word in _PROPAGATORS]
        changes["extract"] = known
        changes["inject"] = known

    def _endpoint(self, changes: dict[str, Any]) -> None:
        if self._get("OTEL_TRACES_EXPORTER").lower() == "none":
            changes["otlp_endpoint"] = ""
            return
        endpoint = self._otlp("ENDPOINT")
        if endpoint:
            changes["otlp_endpoint"] = endpoint

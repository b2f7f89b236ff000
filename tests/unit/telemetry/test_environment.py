"""The OTEL_* variables, by the specification."""

from __future__ import annotations

import pytest

from edge.model import Telemetry
from edge.telemetry.environment import Environment


def test_nothing_set_changes_nothing() -> None:
    environment = Environment({})
    base = Telemetry(otlp_endpoint="http://c:4318")
    assert environment.telemetry(base) == base
    assert environment.warnings == []


def test_every_name_is_honoured() -> None:
    environment = Environment(
        {
            "OTEL_SERVICE_NAME": "front",
            "OTEL_RESOURCE_ATTRIBUTES": "team=a%20b,service.name=ignored",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "https://c.example:4318/base/",
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20x, k=v",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "2500",
            "OTEL_EXPORTER_OTLP_CERTIFICATE": "/ca.pem",
            "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": "0.25",
            "OTEL_PROPAGATORS": "b3,tracecontext,baggage",
            "OTEL_BSP_MAX_QUEUE_SIZE": "99",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "9",
        }
    )
    telemetry = environment.telemetry(Telemetry(trust=["10.0.0.0/8"]))
    assert (telemetry.service_name, telemetry.resource["team"], telemetry.ratio) == ("front", "a b", 0.25)
    assert telemetry.trust == ["10.0.0.0/8"]
    assert telemetry.extract == telemetry.inject == ["b3", "w3c"]
    settings = environment.export(telemetry)
    assert settings is not None and environment.warnings == []
    assert settings.url == "https://c.example:4318/base/v1/traces"
    assert settings.headers == {"authorization": "Bearer x", "k": "v"}
    assert (settings.timeout_s, settings.ca_file, settings.compression) == (2.5, "/ca.pem", "gzip")
    assert (settings.queue_spans, settings.batch_spans) == (99, 9)


def test_what_the_file_says_wins() -> None:
    environ = {
        "OTEL_SERVICE_NAME": "env",
        "OTEL_TRACES_SAMPLER": "always_on",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://env:4318",
        "OTEL_RESOURCE_ATTRIBUTES": "a=env,b=env",
    }
    base = Telemetry(
        service_name="file",
        ratio=0.5,
        trust=["10.0.0.0/8"],
        otlp_endpoint="http://file",
        resource={"a": "file"},
    )
    explicit = frozenset(("service_name", "ratio", "otlp_endpoint", "resource"))
    made = Environment(environ).telemetry(base, explicit)
    assert (made.service_name, made.ratio, made.trust, made.otlp_endpoint) == (
        "file",
        0.5,
        ["10.0.0.0/8"],
        "http://file",
    )
    assert made.resource == {"a": "file", "b": "env"}


@pytest.mark.parametrize(
    "sampler,ratio,trust",
    [
        ("always_on", 1.0, []),
        ("always_off", 0.0, []),
        ("traceidratio", 1.0, []),
        ("parentbased_always_on", 1.0, ["10.0.0.0/8"]),
        ("parentbased_always_off", 0.0, ["10.0.0.0/8"]),
    ],
)
def test_samplers(sampler: str, ratio: float, trust: list[str]) -> None:
    made = Environment({"OTEL_TRACES_SAMPLER": sampler}).telemetry(Telemetry(trust=["10.0.0.0/8"]))
    assert (made.ratio, made.trust) == (ratio, trust)


def test_disabled_counts_whatever_the_file_says() -> None:
    environment = Environment({"OTEL_SDK_DISABLED": "TRUE"})
    made = environment.telemetry(Telemetry(otlp_endpoint="http://c"), frozenset(("tracing",)))
    assert not made.tracing and environment.export(made) is None


def test_the_endpoint_of_traces_is_taken_as_it_is() -> None:
    environment = Environment({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/custom"})
    settings = environment.export(environment.telemetry(Telemetry()))
    assert (
        settings is not None
        and settings.url == "http://127.0.0.1:1/custom"
        and settings.compression == "none"
    )


def test_no_endpoint_or_exporter_none_means_no_export() -> None:
    assert Environment({}).export(Telemetry()) is None
    environment = Environment({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"})
    assert environment.export(environment.telemetry(Telemetry())) is None


@pytest.mark.parametrize(
    "name,value,word",
    [
        ("OTEL_TRACES_SAMPLER", "jaeger_remote", "jaeger_remote"),
        ("OTEL_PROPAGATORS", "xray,tracecontext", "xray"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "grpc"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", "zstd"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon", "soon"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "novalue", "novalue"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "c:4318", "c:4318"),
    ],
)
def test_what_is_not_understood_is_told_and_ignored(name: str, value: str, word: str) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", name: value}
    environment = Environment(environ)
    made = environment.telemetry(Telemetry())
    environment.export(made)
    assert any(word in warning for warning in environment.warnings)
    assert made.ratio == 0.01

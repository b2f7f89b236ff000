"""Every metric edge has: its kind, its unit and what it tells. Few, fixed, documented.

Spec: OpenTelemetry semantic conventions 1.44, HTTP metrics; the others start with `edge.`.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple


class Kind(Enum):
    """What may happen to a value."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""The convention's buckets for HTTP durations."""

GUEST_BUCKETS: Final = (1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1e3, 2.5e3, 5e3, 1e4, 3e4, 6e4, 3e5)
"""For histograms of guests, which count whole numbers of a unit we do not know, mostly ms."""


class Entry(NamedTuple):
    """`unit` in UCUM: `s`, `By`, or a countable thing in braces."""

    kind: Kind
    unit: str
    help: str
    buckets: tuple[float, ...] = BUCKETS_S


CATALOGUE: Final[dict[str, Entry]] = {
    "http.server.request.duration": Entry(Kind.HISTOGRAM, "s", "Time of requests, first byte to last"),
    "http.server.active_requests": Entry(Kind.GAUGE, "{request}", "Requests under way"),
    "edge.server.request.bytes": Entry(Kind.COUNTER, "By", "Request body bytes received"),
    "edge.server.response.bytes": Entry(Kind.COUNTER, "By", "Response body bytes sent"),
    "edge.server.refused": Entry(
        Kind.COUNTER, "{request}", "Requests refused before routing, and connections (status 0), by reason"
    ),
    "edge.server.connections": Entry(Kind.GAUGE, "{connection}", "Client connections open"),
    "edge.server.h3.down": Entry(
        Kind.GAUGE, "{worker}", "Workers that cannot take HTTP/3 where it is configured"
    ),
    "http.client.request.duration": Entry(
        Kind.HISTOGRAM, "s", "Time of tries at upstreams; status 0 = no response"
    ),
    "http.client.open_connections": Entry(Kind.GAUGE, "{connection}", "Upstream connections open"),
    "edge.filter.duration": Entry(Kind.HISTOGRAM, "s", "Time of filters, on sampled requests"),
    "edge.filter.calls": Entry(Kind.COUNTER, "{call}", "Calls into filters"),
    "edge.filter.errors": Entry(Kind.COUNTER, "{error}", "Failures of filters by type"),
    "edge.filter.cpu": Entry(Kind.COUNTER, "s", "CPU time charged to filters"),
    "edge.filter.memory": Entry(Kind.GAUGE, "By", "Linear memory of live instances"),
    "edge.filter.instances": Entry(Kind.GAUGE, "{instance}", "Instances by state"),
    "edge.filter.shared.damage": Entry(
        Kind.COUNTER,
        "{find}",
        "Shared data found torn by the death of a worker (nothing is lost) or emptied because it was broken",
    ),
    "edge.filter.guest.counter": Entry(Kind.COUNTER, "1", "Counters that filters define"),
    "edge.filter.guest.gauge": Entry(Kind.GAUGE, "1", "Gauges that filters define, summed over workers"),
    "edge.filter.guest.histogram": Entry(
        Kind.HISTOGRAM, "1", "Histograms that filters define", GUEST_BUCKETS
    ),
    "edge.module.compile.duration": Entry(Kind.HISTOGRAM, "s", "Time to compile a module"),
    "edge.cluster.endpoints": Entry(
        Kind.GAUGE, "{endpoint}", "Endpoints by state; ejected ones once for each worker that left them out"
    ),
    "edge.cluster.rejected": Entry(Kind.COUNTER, "{request}", "Requests a cluster did not take, by reason"),
    "edge.mirror.requests": Entry(
        Kind.COUNTER, "{request}", "Copies of requests sent to mirrors, by outcome"
    ),
    "edge.config.reloads": Entry(Kind.COUNTER, "{reload}", "Reloads by result"),
    "edge.config.last_success": Entry(Kind.GAUGE, "s", "Unix time of the last good reload"),
    "edge.config.revision": Entry(Kind.GAUGE, "1", "Number of the revision that is served"),
    "edge.tls.certificate.failures": Entry(
        Kind.COUNTER, "{reload}", "Reloads refused for a certificate or key; the old ones are served"
    ),
    "edge.tls.certificate.expiry": Entry(Kind.GAUGE, "s", "Unix time a certificate expires"),
    "edge.telemetry.dropped": Entry(Kind.COUNTER, "{span}", "Spans dropped, by place"),
    "edge.log.dropped": Entry(Kind.COUNTER, "{line}", "Log lines dropped, by log"),
    "edge.worker.pressure": Entry(
        Kind.GAUGE, "1", "Memory and descriptors: 0 at ease, 1 strained, 2 overloaded; summed over workers"
    ),
    "edge.worker.unhandled": Entry(Kind.COUNTER, "{error}", "Faults of edge itself that were caught"),
    "edge.worker.restarts": Entry(Kind.COUNTER, "{restart}", "Workers that died and were replaced"),
}

"""The model: one revision of everything a worker needs, as plain data, as it comes over the wire.

Checked by the control plane before it is sent; a worker builds its tables from it and never
parses YAML. Byte strings that go on the wire of HTTP are bytes; times are seconds; sizes bytes.
"""

from __future__ import annotations

import msgspec


class _Data(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Certificate(_Data, frozen=True):
    """A chain and its key in PEM, served for `hostnames` (exact or `*.suffix`); first = default."""

    hostnames: list[str]
    chain_pem: bytes
    key_pem: bytes


class Listener(_Data, frozen=True):
    """One TCP socket, and one UDP socket for h3. `port` is the bound port (never 0 here).

    No certificates = plain HTTP. `protocols`: h1, h2 (by ALPN), h2c (prior knowledge, plain), h3.
    `advertised_port` is what Alt-Svc says, 0 = `port`.
    """

    name: str
    host: str
    port: int
    certificates: list[Certificate] = []
    protocols: list[str] = msgspec.field(default_factory=lambda: ["h1"])
    advertised_port: int = 0


class HeaderMatch(_Data, frozen=True):
    """Exact match of one header; name in lower case. Source: HTTPHeaderMatch."""

    name: bytes
    value: bytes


class Match(_Data, frozen=True):
    """All parts must hold. `path_exact` False = PathPrefix by whole segments. Source: HTTPRouteMatch."""

    path: bytes = b"/"
    path_exact: bool = False
    headers: list[HeaderMatch] = []
    method: bytes | None = None


class HeaderModifier(_Data, frozen=True):
    """Applied in the order remove, set, add. Source: HTTPHeaderFilter."""

    set: list[tuple[bytes, bytes]] = []
    add: list[tuple[bytes, bytes]] = []
    remove: list[bytes] = []


class Rewrite(_Data, frozen=True):
    """Source: HTTPURLRewriteFilter. `prefix` replaces the matched prefix, `full` the whole path."""

    hostname: bytes | None = None
    prefix: bytes | None = None
    full: bytes | None = None


class Rule(_Data, frozen=True):
    """One rule of a route. Any of `matches` selects it. Timeouts in seconds, 0 = none."""

    name: str
    matches: list[Match]
    cluster: str
    chain: str | None = None
    request_headers: HeaderModifier | None = None
    response_headers: HeaderModifier | None = None
    rewrite: Rewrite | None = None
    request_timeout_s: float = 0.0
    backend_timeout_s: float = 60.0
    verbosity: str = "detailed"
    """`minimal` = server and client spans, `detailed` = and filter spans."""


class Route(_Data, frozen=True):
    """Rules for `hostnames` (empty = all) on the named listeners."""

    name: str
    listeners: list[str]
    hostnames: list[str]
    rules: list[Rule]


class Endpoint(_Data, frozen=True):
    """One address of a cluster: an IP address or a resolvable name, and its port."""

    host: str
    port: int


class UpstreamTls(_Data, frozen=True):
    """How a cluster is spoken to in TLS; its certificate is always verified.

    `sni` is the name asked for and verified, empty = the endpoint's host. `ca_pem` holds the
    authorities that are trusted, empty = the system's.
    """

    sni: str = ""
    ca_pem: bytes = b""


class Cluster(_Data, frozen=True):
    """A set of endpoints behind one name. Connections are per worker and endpoint."""

    name: str
    endpoints: list[Endpoint]
    connect_timeout_s: float = 1.0
    idle_timeout_s: float = 60.0
    max_connections: int = 1024
    protocol: str = "h1"
    """`h1` or `h2`; h2 without `tls` is h2c with prior knowledge."""
    tls: UpstreamTls | None = None


class Allow(_Data, frozen=True):
    """What a filter may reach: clusters it may choose as backend, clusters it may call."""

    backends: list[str] = []
    callouts: list[str] = []


class FilterLimits(_Data, frozen=True):
    """Budgets of one filter (design: filters have CPU, memory, call and byte budgets)."""

    memory_bytes: int = 32 << 20
    cpu_per_call_s: float = 0.010
    cpu_per_request_s: float = 0.050
    host_calls: int = 10_000
    bytes_copied: int = 1 << 20
    callouts: int = 32
    pause_s: float = 5.0
    body_bytes: int = 1 << 20


class Filter(_Data, frozen=True):
    """One filter of a chain. `module` is the sha256 hex digest of the guest's bytes."""

    name: str
    module: str
    abi: str
    """`proxy-wasm/0.1.0`, `/0.2.0` or `/0.2.1`."""
    root_id: str = ""
    vm_id: str = ""
    vm_config: bytes = b""
    config: bytes = b""
    env: dict[str, str] = {}
    isolation: str = "Shared"
    """`Shared` = one instance a worker, `Request` = a fresh instance an exchange."""
    allow: Allow = Allow()
    limits: FilterLimits = FilterLimits()
    fail_open: bool = False
    non_utf8: str = "transcode"
    """`transcode` | `raw` | `reject`."""


class Chain(_Data, frozen=True):
    """Filters in request order; the response passes them backwards."""

    name: str
    filters: list[Filter]


class Module(_Data, frozen=True):
    """Artefacts of one guest: their descriptors come with the Prepare message, in this order.

    `guest_fd`, `bridge_fd` index the descriptors of the message (sealed memfds of serialised
    code for the `core` profile). The inner host's is `Model.inner_host_fd`.
    """

    digest: str
    abi: str
    guest_fd: int
    bridge_fd: int
    guest_imports: list[tuple[str, str, str]] = []
    """(module, name, inner host export that serves it), in the guest's import order."""
    bridge_imports: list[tuple[str, str]] = []
    """(`s` or `g`, export name), in the bridge's import order."""
    exports: list[str] = []


class Limits(_Data, frozen=True):
    """Defaults are those of an internet edge."""

    head_bytes: int = 60 << 10
    head_fields: int = 100
    target_bytes: int = 16 << 10
    body_bytes: int = 0
    """Largest request body, 0 = unlimited (streamed; filters that buffer have their own)."""
    head_timeout_s: float = 10.0
    idle_timeout_s: float = 3600.0
    body_idle_timeout_s: float = 300.0
    max_connections: int = 10_000


class Telemetry(_Data, frozen=True):
    """Tracing, access log. `ratio` 0..1; `trust` CIDRs whose sampled flag counts."""

    service_name: str = "edge"
    tracing: bool = True
    otlp_endpoint: str = ""
    otlp_headers: dict[str, str] = {}
    resource: dict[str, str] = {}
    ratio: float = 0.01
    trust: list[str] = []
    extract: list[str] = msgspec.field(default_factory=lambda: ["w3c", "b3", "jaeger"])
    inject: list[str] = msgspec.field(default_factory=lambda: ["w3c"])
    clear: list[str] = []
    safe_query_params: list[str] = []
    access_log: str = ""
    """File path, `stdout`, or empty for none."""


class Model(_Data, frozen=True):
    """One revision, complete."""

    revision: int
    listeners: list[Listener]
    routes: list[Route]
    clusters: list[Cluster]
    chains: list[Chain] = []
    modules: list[Module] = []
    inner_host_fd: int = -1
    limits: Limits = Limits()
    telemetry: Telemetry = Telemetry()

"""The model: one revision of everything a worker needs, as plain data, as it comes over the wire.

Checked by the control plane before it is sent; a worker builds its tables from it and never
parses YAML. Byte strings that go on the wire of HTTP are bytes; times are seconds; sizes bytes.
"""

from __future__ import annotations

import msgspec


class _Data(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class ClientAuth(_Data, frozen=True):
    """Whether clients show a certificate, and who must have signed it. `ca_pem` is never empty.

    `required` False = a client may come without one; what it shows is verified all the same.
    """

    required: bool
    ca_pem: bytes


class Certificate(_Data, frozen=True):
    """A chain and its key in PEM, served for `hostnames` (exact or `*.suffix`); first = default.

    `client_auth` holds for these names: requests for them come on connections made under it.
    """

    hostnames: list[str]
    chain_pem: bytes
    key_pem: bytes
    client_auth: ClientAuth | None = None


class TlsProfile(_Data, frozen=True):
    """What a listener negotiates: OpenSSL's names, in order of preference. Defaults: Mozilla intermediate.

    `suites` are of TLS 1.2, `suites_13` of TLS 1.3.
    """

    minimum: str = "1.2"
    maximum: str = "1.3"
    suites: list[str] = msgspec.field(
        default_factory=lambda: [
            "ECDHE-ECDSA-AES128-GCM-SHA256",
            "ECDHE-RSA-AES128-GCM-SHA256",
            "ECDHE-ECDSA-AES256-GCM-SHA384",
            "ECDHE-RSA-AES256-GCM-SHA384",
            "ECDHE-ECDSA-CHACHA20-POLY1305",
            "ECDHE-RSA-CHACHA20-POLY1305",
        ]
    )
    suites_13: list[str] = msgspec.field(
        default_factory=lambda: [
            "TLS_AES_128_GCM_SHA256",
            "TLS_AES_256_GCM_SHA384",
            "TLS_CHACHA20_POLY1305_SHA256",
        ]
    )
    groups: list[str] = msgspec.field(default_factory=lambda: ["X25519", "P-256", "P-384"])


class ProxyProtocol(_Data, frozen=True):
    """PROXY headers are read from peers inside `trusted` (CIDRs), of others they are bytes like any.

    `required` = a trusted peer without one is cut.
    """

    trusted: list[str]
    required: bool = True


class Forwarded(_Data, frozen=True):
    """Whose word about earlier hops counts: the nearest `hops`, and addresses inside `trusted` (CIDRs).

    `rfc7239` = they tell it in `Forwarded`, else in `X-Forwarded-*`; the other form is dropped.
    """

    hops: int = 0
    trusted: list[str] = []
    rfc7239: bool = False


class Listener(_Data, frozen=True):
    """One TCP socket, and one UDP socket for h3. `port` is the bound port (never 0 here).

    No certificates = plain HTTP. `protocols`: h1, h2 (by ALPN), h2c (prior knowledge, plain), h3.
    `advertised_port` is what Alt-Svc and redirects say, 0 = `port`. `hostnames` (exact or `*.suffix`) are
    all it serves, empty = any: routes serve what they have in common with it.
    """

    name: str
    host: str
    port: int
    hostnames: list[str] = []
    certificates: list[Certificate] = []
    protocols: list[str] = msgspec.field(default_factory=lambda: ["h1"])
    advertised_port: int = 0
    tls: TlsProfile = TlsProfile()
    proxy_protocol: ProxyProtocol | None = None
    forwarded: Forwarded | None = None


class HeaderMatch(_Data, frozen=True):
    """One header by its first value; name in lower case. Source: HTTPHeaderMatch.

    `host` stands for the authority; `content-length` and `upgrade` are matched too, although they
    are no fields of a head. `regex` True = `value` is an RE2 pattern for the whole value.
    """

    name: bytes
    value: bytes
    regex: bool = False


class QueryMatch(_Data, frozen=True):
    """One query parameter by its first value, both decoded as forms are. Source: HTTPQueryParamMatch."""

    name: bytes
    value: bytes
    regex: bool = False


class Match(_Data, frozen=True):
    """All parts must hold. Source: HTTPRouteMatch.

    `path_kind`: `exact`, `prefix` (by whole segments), or `regex` (RE2, the whole path without query).
    """

    path: bytes = b"/"
    path_kind: str = "prefix"
    headers: list[HeaderMatch] = []
    query: list[QueryMatch] = []
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


class Redirect(_Data, frozen=True):
    """Answered with `location`; what is None stays as the request has it. Source: HTTPRequestRedirectFilter.

    `port` None = the scheme's, if `scheme` is given, else the listener's.
    """

    scheme: bytes | None = None
    hostname: bytes | None = None
    port: int | None = None
    prefix: bytes | None = None
    full: bytes | None = None
    status: int = 302


class DirectResponse(_Data, frozen=True):
    """An answer of the rule itself. Source: Envoy Gateway's HTTPDirectResponseFilter."""

    status: int = 200
    content_type: bytes = b"text/plain"
    body: bytes = b""


class Cors(_Data, frozen=True):
    """Who may read answers from another origin. Source: HTTPCORSFilter. `*` in a list = all.

    An origin is `scheme://host[:port]`, its host may begin with `*.`.
    """

    allow_origins: list[bytes] = []
    allow_credentials: bool = False
    allow_methods: list[bytes] = []
    allow_headers: list[bytes] = []
    expose_headers: list[bytes] = []
    max_age_s: int = 5


class Mirror(_Data, frozen=True):
    """A copy of `numerator` in `denominator` requests goes to `cluster`. Source: HTTPRequestMirrorFilter."""

    cluster: str
    numerator: int = 100
    denominator: int = 100


class Backend(_Data, frozen=True):
    """One of several clusters of a rule. Source: HTTPBackendRef."""

    cluster: str
    weight: int = 1
    request_headers: HeaderModifier | None = None
    response_headers: HeaderModifier | None = None


class Retry(_Data, frozen=True):
    """When a failed try is made again. Source: HTTPRouteRetry, and conditions of our own.

    `conditions`: `connect-failure`, `reset`, `refused-stream`, `timeout`. `attempts` = tries after
    the first. A request that may have been processed is sent again only if its method is
    idempotent or `non_idempotent` allows it.
    """

    codes: list[int] = []
    conditions: list[str] = []
    grpc_statuses: list[int] = []
    attempts: int = 1
    backoff_s: float = 0.025
    max_backoff_s: float = 0.25
    non_idempotent: bool = False


class Rule(_Data, frozen=True):
    """One rule of a route. Any of `matches` selects it. Timeouts in seconds, 0 = none.

    `cluster` is the only backend of most rules; else it is empty and `backends` share the requests
    by weight. Neither, and no `redirect` or `direct_response`: every request gets 500.
    """

    name: str
    matches: list[Match]
    cluster: str = ""
    backends: list[Backend] = []
    chain: str | None = None
    request_headers: HeaderModifier | None = None
    response_headers: HeaderModifier | None = None
    rewrite: Rewrite | None = None
    redirect: Redirect | None = None
    direct_response: DirectResponse | None = None
    cors: Cors | None = None
    mirrors: list[Mirror] = []
    request_timeout_s: float = 0.0
    backend_timeout_s: float = 60.0
    retry: Retry | None = None
    verbosity: str = "detailed"
    """`minimal` = server and client spans, `detailed` = and filter spans."""


class Route(_Data, frozen=True):
    """Rules for `hostnames` (empty = all) on the named listeners.

    Routes stand in order of precedence: of two that match alike the earlier wins. Whoever makes the
    model sorts them (Gateway API: by age, then by name; a file's order counts as age).
    """

    name: str
    listeners: list[str]
    hostnames: list[str]
    rules: list[Rule]


class Endpoint(_Data, frozen=True):
    """One address of a cluster: an IP address or a resolvable name, and its port.

    An endpoint that is not `healthy`, or of weight 0, gets requests only in a panic. `name`, if it
    is not empty, is what the address was found by: in TLS it stands in place of `host`.
    """

    host: str
    port: int
    weight: int = 1
    healthy: bool = True
    name: str = ""


class UpstreamTls(_Data, frozen=True):
    """How a cluster is spoken to in TLS; its certificate is always verified.

    `sni` is the name asked for and verified, empty = the endpoint's host. `names`, if given, are
    verified in its place: DNS names, or URIs (with `://`). `ca_pem` holds the authorities that are
    trusted, empty = the system's. `chain_pem`, `key_pem`: the certificate shown, empty = none.
    """

    sni: str = ""
    ca_pem: bytes = b""
    names: list[str] = []
    chain_pem: bytes = b""
    key_pem: bytes = b""
    min_version: str = "1.2"


class Balancing(_Data, frozen=True):
    """How a cluster chooses: `round_robin`, `least_request`, `random` or `hash` (Maglev).

    A hash is of `hash_on`: `source`, or a `header`, `cookie` or `query` parameter of that `name`.
    With `cookie_ttl_s` not None edge sets the cookie for clients that have none, 0 = session.
    """

    type: str = "round_robin"
    hash_on: str = "source"
    name: bytes = b""
    table_size: int = 16381
    cookie_ttl_s: int | None = None
    cookie_attributes: bytes = b""


class Outliers(_Data, frozen=True):
    """When an endpoint is left alone for a while because of what it answers. 0 errors = never.

    The time is `base_ejection_s` times the number of ejections, `max_ejection_s` at most.
    """

    consecutive_5xx: int = 5
    consecutive_gateway: int = 0
    consecutive_local: int = 5
    """Tries without any answer: not connected, closed, reset, timed out."""
    interval_s: float = 3.0
    """Every such time without a new ejection, one former ejection is forgotten."""
    base_ejection_s: float = 30.0
    max_ejection_s: float = 300.0
    max_ejection_percent: int = 50


class Cluster(_Data, frozen=True):
    """A set of endpoints behind one name. Each worker has its share of the limits, rounded up."""

    name: str
    endpoints: list[Endpoint]
    connect_timeout_s: float = 1.0
    idle_timeout_s: float = 60.0
    max_connections: int = 1024
    max_pending: int = 1024
    """Requests that wait because all connections are busy."""
    max_requests: int = 0
    """Requests under way, 0 = no limit."""
    max_retries: int = 0
    """Requests under way that are being tried again by a rule's `retry`, 0 = no limit."""
    retry_percent: int = 20
    """Of the requests of the last seconds, as many may be tried again."""
    min_retries_per_s: int = 3
    """So many may be, however few requests there are."""
    protocol: str = "h1"
    """`h1` or `h2`; h2 without `tls` is h2c with prior knowledge."""
    proxy_protocol: int = 0
    """Version of the PROXY header each connection begins with, 0 = none. It serves one request then."""
    tls: UpstreamTls | None = None
    balancing: Balancing = Balancing()
    outliers: Outliers | None = None
    panic_percent: int = 50
    """With fewer endpoints usable than this, all are used."""


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
    singleton: bool = False
    """Ticks in the first worker only."""


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
    send_timeout_s: float = 60.0
    """How long a client may take nothing of an answer that waits for it."""
    max_connections: int = 10_000
    """Of clients, in all; each worker takes its part, rounded up."""
    max_connections_per_address: int = 5_000
    """Of one IPv4 address or IPv6 /64, likewise; 0 = no limit."""
    max_streams: int = 100
    """At once, of one HTTP/2 or HTTP/3 connection."""
    min_rate_bytes_s: int = 500
    """What a body must move in each `rate_window_s`, on average; 0 = no limit."""
    rate_window_s: float = 10.0
    memory_bytes: int = 0
    """Of one worker; 0 = its part of what the machine or the container has."""

    @property
    def stall_s(self) -> float:
        """How long a client may take nothing, whatever else is allowed."""
        return min(self.send_timeout_s, self.body_idle_timeout_s)

    @property
    def first_body_s(self) -> float:
        """How long the first bytes of a request body may take."""
        if not self.min_rate_bytes_s:
            return self.body_idle_timeout_s
        return min(self.rate_window_s, self.body_idle_timeout_s)


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

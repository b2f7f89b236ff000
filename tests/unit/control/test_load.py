"""A whole file, from text to the model a worker gets."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
import trustme

from edge import builtin, model
from edge.control.config.build import Artefacts, build, explicit_telemetry, used_modules
from edge.control.config.certificates import covers
from edge.control.config.load import Loaded, load

FULL = """\
version: 1
admin: {address: "127.0.0.1:0"}
listeners:
  - {name: web, address: "0.0.0.0:8080", protocols: [h1]}
  - name: websecure
    address: "[::]:8443"
    tls:
      certificates:
        - {certFile: shop.crt, keyFile: shop.key, hostnames: [shop.example]}
        - {certFile: wild.crt, keyFile: wild.key}
modules:
  key: {builtin: api-key}
  split: {url: split.wasm, sha256: SPLIT}
  spare: {builtin: header-transform}
filterChains:
  api:
    - name: authn
      module: key
      rootId: root
      vmId: vm
      vmConfig: plain text
      config: {z: 1, a: [true, null, "ü"], keys: {k: ada}}
      env: {HINT: {secretRef: "file:hint"}, PLACE: {secretRef: "env:EDGE_TEST_PLACE"}, PLAIN: "x"}
      isolation: Request
      singleton: true
      pauseHeaders: StopAll
      allow: {backends: [shop], httpCallouts: [login]}
      limits: {memory: 16Mi, cpuPerCall: 20ms, cpuPerRequest: 100ms, hostCalls: 500, bytesCopied: 2Mi,
               callouts: 3, pause: 2s, body: 64Ki}
      failStrategy: FAIL_OPEN
      nonUtf8: reject
    - {name: split, module: split}
routes:
  - name: shop
    parentRefs: [{name: web}, {name: websecure}]
    hostnames: [shop.example, "*.shop.example"]
    rules:
      - name: api
        matches:
          - {path: {type: PathPrefix, value: /api}, method: GET, headers: [{name: X-Beta, value: "1"}]}
          - {path: {type: PathPrefix, value: /v1}}
        filters:
          - {type: ExtensionRef, extensionRef: {kind: FilterChain, name: api}}
          - type: RequestHeaderModifier
            requestHeaderModifier: {set: [{name: X-A, value: é}], add: [{name: b, value: c}], remove: [D]}
          - {type: ResponseHeaderModifier, responseHeaderModifier: {remove: [server]}}
          - type: URLRewrite
            urlRewrite: {hostname: inner.example, path: {type: ReplacePrefixMatch, replacePrefixMatch: /v2}}
        backendRefs: [{name: shop}]
        timeouts: {request: 10s, backendRequest: 3s}
        observability: {traceVerbosity: minimal}
      - backendRefs: [{name: login}]
        matches: [{path: {type: Exact, value: /login}}]
        filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /in}}}]
clusters:
  - name: shop
    discovery: {type: Static, endpoints: [{address: "10.0.0.11:80"}, {address: "[2001:db8::1]:80"}]}
    timeout: {tcp: {connectTimeout: 250ms}, http: {connectionIdleTimeout: 5s}}
    circuitBreaker: {maxConnections: 7}
  - {name: login, discovery: {type: Static, endpoints: [{address: "login.internal:443"}]}}
limits: {head: 32Ki, headFields: 50, target: 8Ki, body: 10Mi, headTimeout: 5s, idleTimeout: 60s,
         bodyIdleTimeout: 30s, sendTimeout: 20s, maxConnections: 99}
telemetry:
  serviceName: shopfront
  resource: {deployment.environment.name: test}
  trust: [10.0.0.0/8]
  tracing:
    otlp: {endpoint: "http://127.0.0.1:4318/", headers: {X-Token: {secretRef: "file:hint"}}}
    sampler: {ratio: 0.5}
    propagation: {extract: [b3, w3c], clear: [B3], inject: [b3multi]}
    safeQueryParams: [page]
  accessLog: {path: logs/access.log}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    authority = trustme.CA()
    for name, host in (("shop", "shop.example"), ("wild", "*.shop.example")):
        made = authority.issue_cert(host)
        made.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.crt")
        made.private_key_pem.write_to_path(tmp_path / f"{name}.key")
    (tmp_path / "hint").write_text("s3cret\n")
    (tmp_path / "logs").mkdir()
    module = builtin.path("ab-split").read_bytes()
    (tmp_path / "split.wasm").write_bytes(module)
    (tmp_path / "edge.yaml").write_text(FULL.replace("SPLIT", sha256(module).hexdigest()))
    monkeypatch.setenv("EDGE_TEST_PLACE", "here")
    return tmp_path


def loaded_from(folder: Path) -> Loaded:
    loaded = load(folder / "edge.yaml")
    assert isinstance(loaded, Loaded), "\n".join(problem.text() for problem in loaded)
    return loaded


def digest(name: str) -> str:
    return sha256(builtin.path(name).read_bytes()).hexdigest()


def built(folder: Path) -> model.Model:
    modules = [
        model.Module(digest=digest(name), abi="proxy-wasm/0.2.1", guest_fd=2 * i, bridge_fd=2 * i + 1)
        for i, name in enumerate(("api-key", "ab-split"))
    ]
    artefacts = Artefacts(modules, 4, [10, 11, 12, 13, 14])
    return build(loaded_from(folder), 3, {"web": 8080, "websecure": 8443}, artefacts)


def test_every_field_of_a_filter_reaches_the_model(folder: Path) -> None:
    (chain,) = built(folder).chains
    assert chain.name == "api"
    assert chain.filters[0] == model.Filter(
        name="authn",
        module=digest("api-key"),
        abi="proxy-wasm/0.2.1",
        root_id="root",
        vm_id="vm",
        vm_config=b"plain text",
        config='{"z":1,"a":[true,null,"ü"],"keys":{"k":"ada"}}'.encode(),
        env={"HINT": "s3cret", "PLACE": "here", "PLAIN": "x"},
        isolation="Request",
        allow=model.Allow(backends=["shop"], callouts=["login"]),
        limits=model.FilterLimits(
            memory_bytes=16 << 20,
            cpu_per_call_s=0.02,
            cpu_per_request_s=0.1,
            host_calls=500,
            bytes_copied=2 << 20,
            callouts=3,
            pause_s=2.0,
            body_bytes=64 << 10,
        ),
        fail_open=True,
        non_utf8="reject",
        singleton=True,
    )
    split = chain.filters[1]
    assert split.module == digest("ab-split")
    assert (split.fail_open, split.isolation, split.config, split.env) == (False, "Shared", b"", {})
    assert split.limits == model.FilterLimits(bytes_copied=(1 << 20) + 4 * (1 << 20))


def test_every_field_of_a_rule_reaches_the_model(folder: Path) -> None:
    (route,) = built(folder).routes
    assert (route.name, route.listeners) == ("shop", ["web", "websecure"])
    assert route.hostnames == ["shop.example", "*.shop.example"]
    assert route.rules[0] == model.Rule(
        name="api",
        matches=[
            model.Match(path=b"/api", headers=[model.HeaderMatch(name=b"x-beta", value=b"1")], method=b"GET"),
            model.Match(path=b"/v1"),
        ],
        cluster="shop",
        chain="api",
        request_headers=model.HeaderModifier(set=[(b"x-a", b"\xe9")], add=[(b"b", b"c")], remove=[b"d"]),
        response_headers=model.HeaderModifier(remove=[b"server"]),
        rewrite=model.Rewrite(hostname=b"inner.example", prefix=b"/v2"),
        request_timeout_s=10.0,
        backend_timeout_s=3.0,
        verbosity="minimal",
    )
    assert route.rules[1] == model.Rule(
        name="shop-1",
        matches=[model.Match(path=b"/login", path_kind="exact")],
        cluster="login",
        rewrite=model.Rewrite(full=b"/in"),
    )


def test_listeners_clusters_and_limits_reach_the_model(folder: Path) -> None:
    made = built(folder)
    assert [(each.name, each.host, each.port) for each in made.listeners] == [
        ("web", "0.0.0.0", 8080),
        ("websecure", "::", 8443),
    ]
    certificates = made.listeners[1].certificates
    assert [each.hostnames for each in certificates] == [["shop.example"], ["*.shop.example"]]
    assert certificates[0].key_pem == (folder / "shop.key").read_bytes()
    assert made.clusters[0] == model.Cluster(
        name="shop",
        endpoints=[model.Endpoint(host="10.0.0.11", port=80), model.Endpoint(host="2001:db8::1", port=80)],
        connect_timeout_s=0.25,
        idle_timeout_s=5.0,
        max_connections=7,
    )
    assert made.limits == model.Limits(
        head_bytes=32 << 10,
        head_fields=50,
        target_bytes=8 << 10,
        body_bytes=10 << 20,
        head_timeout_s=5.0,
        idle_timeout_s=60.0,
        body_idle_timeout_s=30.0,
        send_timeout_s=20.0,
        max_connections=99,
        max_connections_per_address=50,
    )
    assert (made.revision, made.inner_host_fd) == (3, 4)


def test_telemetry_reaches_the_model_and_says_what_the_file_set(folder: Path) -> None:
    assert built(folder).telemetry == model.Telemetry(
        service_name="shopfront",
        otlp_endpoint="http://127.0.0.1:4318",
        otlp_headers={"x-token": "s3cret"},
        resource={"deployment.environment.name": "test"},
        ratio=0.5,
        trust=["10.0.0.0/8"],
        extract=["b3", "w3c"],
        inject=["b3multi"],
        clear=["b3"],
        safe_query_params=["page"],
        access_log=str(folder / "logs/access.log"),
    )
    assert explicit_telemetry(loaded_from(folder)) == {
        "service_name",
        "otlp_endpoint",
        "ratio",
        "extract",
        "inject",
    }


def test_modules_that_no_chain_uses_are_not_compiled(folder: Path) -> None:
    assert used_modules(loaded_from(folder).root) == {"key", "split"}


def test_defaults_are_those_of_the_model(tmp_path: Path) -> None:
    (tmp_path / "edge.yaml").write_text(
        "{version: 1, listeners: [{name: w, address: '127.0.0.1:0'}],"
        "clusters: [{name: c, discovery: {type: Static, endpoints: [{address: 'a:1'}]}}],"
        "routes: [{name: r, parentRefs: [{name: w}], rules: [{backendRefs: [{name: c}]}]}]}"
    )
    made = build(loaded_from(tmp_path), 1, {"w": 80}, Artefacts())
    assert made == model.Model(
        revision=1,
        listeners=[model.Listener(name="w", host="127.0.0.1", port=80)],
        routes=[
            model.Route(
                name="r",
                listeners=["w"],
                hostnames=[],
                rules=[model.Rule(name="r", matches=[model.Match()], cluster="c")],
            )
        ],
        clusters=[model.Cluster(name="c", endpoints=[model.Endpoint(host="a", port=1)])],
    )


def test_a_secret_that_cannot_be_had_is_an_error_with_its_place(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EDGE_TEST_PLACE")
    (folder / "hint").unlink()
    problems = load(folder / "edge.yaml")
    assert not isinstance(problems, Loaded)
    assert {problem.path for problem in problems} == {
        "filterChains.api[0].env.HINT.secretRef",
        "filterChains.api[0].env.PLACE.secretRef",
        "telemetry.tracing.otlp.headers.X-Token.secretRef",
    }


def test_a_hostname_the_certificate_does_not_cover_is_a_warning(folder: Path) -> None:
    text = (
        (folder / "edge.yaml")
        .read_text()
        .replace("hostnames: [shop.example]}", "hostnames: [other.example]}")
    )
    (folder / "edge.yaml").write_text(text)
    loaded = loaded_from(folder)
    (warning,) = [problem for problem in loaded.warnings if problem.code == "certificate"]
    assert warning.severity == "warning"
    assert "does not cover 'other.example'" in warning.text()


def test_a_file_from_a_pipe_finds_its_neighbours_where_we_are(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    loaded = load("<stdin>", (folder / "edge.yaml").read_bytes())
    assert isinstance(loaded, Loaded)
    assert loaded.folder == folder.resolve()


def test_a_file_that_is_not_there_is_one_problem(tmp_path: Path) -> None:
    problems = load(tmp_path / "none.yaml")
    assert not isinstance(problems, Loaded)
    assert [problem.message for problem in problems] == ["cannot read the file: no such file or directory"]


@pytest.mark.parametrize(
    ("name", "host", "good"),
    [
        ("a.example", "a.example", True),
        ("*.example", "a.example", True),
        ("*.example", "a.b.example", False),
        ("*.example", "example", False),
        ("*.example", "*.example", True),
        ("a.example", "b.example", False),
    ],
)
def test_a_wildcard_covers_one_label(name: str, host: str, good: bool) -> None:
    assert covers(name, host) is good

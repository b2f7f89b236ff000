"""The built-in filters are plain Proxy-Wasm: the same modules do the same in Envoy."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPMessage

import pytest

from edge.builtin import path
from tests.tools import envoy, free_port, require

_READY_S = 120.0
_CONFIGS = {
    "api-key": {"keys": {"k-alice": "alice"}},
    "header-transform": {
        "response": {"set": {"x-made-by": "${header:x-envoy-upstream-service-time}edge ${status}"}},
        "request": {"set": {"x-from": "${method} ${path}"}},
    },
    "ab-split": {"cookie": "side", "variants": [{"name": "only", "weight": 1, "backend": "shop"}]},
}


def _wasm(name: str) -> dict[str, object]:
    configuration = {
        "@type": "type.googleapis.com/google.protobuf.StringValue",
        "value": json.dumps(_CONFIGS[name]),
    }
    code = {"local": {"filename": str(path(name))}}
    machine = {"vm_id": name, "runtime": "envoy.wasm.runtime.v8", "code": code}
    return {
        "name": name,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {"name": name, "configuration": configuration, "vm_config": machine},
        },
    }


def _configuration(port: int) -> dict[str, object]:
    """One listener that answers by itself, behind the three filters."""
    types = "type.googleapis.com/envoy.extensions.filters"
    answer = {"status": 200, "body": {"inline_string": "from envoy"}}
    hosts = [
        {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "direct_response": answer}]}
    ]
    router = {"name": "router", "typed_config": {"@type": f"{types}.http.router.v3.Router"}}
    manager = {
        "@type": f"{types}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "web",
        "route_config": {"virtual_hosts": hosts},
        "http_filters": [*(_wasm(name) for name in _CONFIGS), router],
    }
    listener = {
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    return {"static_resources": {"listeners": [listener]}}


def _get(port: int, fields: dict[str, str]) -> tuple[int, HTTPMessage, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/", headers=fields)
        response = connection.getresponse()
        return response.status, response.headers, response.read().decode()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """An Envoy's port, with the three filters started."""
    program = require(envoy)
    folder = tmp_path_factory.mktemp("envoy")
    file, number = folder / "envoy.json", free_port()
    file.write_text(json.dumps(_configuration(number)))
    command = [program, "-c", file, "--concurrency", "1", "--disable-hot-restart", "-l", "warning"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + _READY_S
        while not _answers(number):
            assert process.poll() is None, (folder / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, (folder / "log").read_text()[-2000:]
            time.sleep(0.05)
        yield number
    finally:
        process.terminate()
        process.wait(30)


def _answers(port: int) -> bool:
    try:
        return _get(port, {})[0] in (200, 401)
    except OSError:
        return False


def test_a_request_without_a_key_is_refused_in_envoy(port: int) -> None:
    status, fields, body = _get(port, {})
    assert status == 401
    assert fields["www-authenticate"] == 'ApiKey header="x-api-key"'
    assert "from envoy" not in body


def test_a_request_with_a_key_passes_all_three_in_envoy(port: int) -> None:
    status, fields, body = _get(port, {"x-api-key": "k-alice"})
    assert (status, body) == (200, "from envoy")
    assert fields["x-made-by"] == "edge 200"
    assert fields["x-variant"] == "only"
    assert fields["set-cookie"].startswith("side=only; Path=/;")


def test_a_client_with_a_cookie_gets_no_new_one_in_envoy(port: int) -> None:
    status, fields, _ = _get(port, {"x-api-key": "k-alice", "cookie": "side=only"})
    assert status == 200
    assert fields["set-cookie"] is None

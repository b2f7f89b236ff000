"""Commands beside a running edge: proxy, status, diff, and the admin pages they stand on."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.integration.edge_process import Upstream
from tests.integration.running_edge import REPOSITORY, configuration, rule, running_edge, within

DEADLINE_S = 120.0


def command(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "edge", *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        cwd=REPOSITORY,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_status_diff_and_admin_tell_of_a_running_edge(tmp_path: Path, edge_state: Path) -> None:
    with Upstream() as upstream:
        made = configuration({"shop": [upstream.port]}, [rule("shop")])
        with running_edge(tmp_path / "edge", made, edge_state, "--workers", "2") as edge:
            admin = f"127.0.0.1:{edge.ports['admin']}"
            code, out, _ = command("status", "--admin", admin)
            assert code == 0
            assert re.search(r"^ready +yes$", out, re.M) and re.search(r"^workers +2$", out, re.M)
            code, out, _ = command("status", "--admin", admin, "-o", "json")
            assert [each["state"] for each in json.loads(out)["workers"]] == ["serving", "serving"]

            file = tmp_path / "edge" / "edge.yaml"
            assert command("diff", str(file), "--admin", admin) == (0, "", "")
            made["limits"] = {"maxConnections": 77}
            file.write_text(json.dumps(made))
            code, out, _ = command("diff", str(file), "--admin", admin)
            assert (code, out) == (4, "~ limits.maxConnections: 10000 -> 77\n")

            (cluster,) = json.loads(edge.get("/clusters"))["clusters"]
            assert cluster["endpoints"][0]["address"] == f"127.0.0.1:{upstream.port}"
            (listener,) = json.loads(edge.get("/listeners"))["listeners"]
            assert listener["address"] == f"127.0.0.1:{edge.web}"
            assert json.loads(edge.get("/certs"))["certificates"] == []
            memory = json.loads(edge.get("/memory"))["processes"]
            assert [each["process"] for each in memory] == ["supervisor", "worker-0", "worker-1"]
            assert all(each["residentBytes"] > 1 << 20 for each in memory)
            level = f"http://{admin}/logging?level=debug"
            with urllib.request.urlopen(urllib.request.Request(level, method="POST"), timeout=30) as answer:
                assert json.load(answer)["level"] == "debug"


def test_nobody_there_is_exit_code_6(tmp_path: Path) -> None:
    code, out, err = command("status", "--admin", "127.0.0.1:1")
    assert (code, out) == (6, "")
    assert "no edge answers at 127.0.0.1:1" in err


@contextmanager
def proxy(folder: Path, *arguments: str) -> Iterator[dict[str, str]]:
    """`edge proxy` with free ports; the addresses it printed, by name."""
    folder.mkdir()
    log = folder / "stderr.log"
    line = [sys.executable, "-m", "edge", "proxy", "--admin", "127.0.0.1:0", "--state-dir", str(folder)]
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [*line, *arguments],
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )
    try:
        for _ in within(DEADLINE_S, "edge proxy is ready"):
            assert process.poll() is None, log.read_text()
            if "edge: ready" in log.read_text():
                break
        yield dict(re.findall(r"^edge: (\w+): (https?://\S+)", log.read_text(), re.M))
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0, log.read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def get(address: str, **headers: str) -> tuple[int, bytes]:
    host, _, port = address.removeprefix("http://").rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=DEADLINE_S)
    try:
        connection.request("GET", "/", headers={key.replace("_", "-"): headers[key] for key in headers})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_a_proxy_from_flags_serves_through_a_filter(tmp_path: Path) -> None:
    config: dict[str, Any] = {"header": "x-api-key", "keys": {"good": "ada"}}
    with Upstream() as upstream:
        flags = ["--from", "127.0.0.1:0", "--to", f"127.0.0.1:{upstream.port}"]
        with proxy(tmp_path / "s", *flags, "--filter", f"builtin:api-key={json.dumps(config)}") as addresses:
            assert get(addresses["proxy"])[0] == 401
            assert get(addresses["proxy"], x_api_key="good") == (200, b"hello\n")
            state = Path(tmp_path / "s" / "proxy.yaml")
            assert command("validate", str(state), "--no-compile")[0] == 0

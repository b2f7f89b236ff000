"""`edge demo` as a user starts it: what its tour promises happens."""

from __future__ import annotations

import http.client
import json
import os
import re
import shlex
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

START_S = 120
ROOT = Path(__file__).parents[2]


class Demo:
    """A running demo, its ports read from what it printed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._out = folder / "out"
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "edge", "demo", "--state-dir", str(folder / "state")]
        with self._out.open("wb") as out, (folder / "err").open("wb") as err:
            self.child = subprocess.Popen(command, stdout=out, stderr=err, env=environment)
        deadline = time.monotonic() + START_S
        while "Stop with" not in self.text:
            if self.child.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError((folder / "err").read_text())
            time.sleep(0.05)
        self.http = self._port("http://localhost")
        self.https = self._port("https://localhost")
        self.admin = self._port("http://127.0.0.1")

    @property
    def text(self) -> str:
        return self._out.read_text()

    def stop(self) -> int:
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGINT)
        return self.child.wait(START_S)

    def _port(self, before: str) -> int:
        return int(re.findall(re.escape(before) + r":(\d+)/", self.text)[0])


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    made = Demo(tmp_path_factory.mktemp("demo"))
    yield made
    assert made.stop() == 130


def ask(connection: http.client.HTTPConnection, path: str, **headers: str) -> tuple[int, dict[str, str], Any]:
    try:
        connection.request(
            "GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), json.loads(answer.read())
    finally:
        connection.close()


def web(demo: Demo, path: str, **headers: str) -> tuple[int, dict[str, str], Any]:
    return ask(http.client.HTTPConnection("localhost", demo.http, timeout=20), path, **headers)


def test_without_a_key_the_first_filter_answers(demo: Demo) -> None:
    status, headers, body = web(demo, "/cart")
    assert status == 401
    assert "www-authenticate" in headers
    assert "x-served-by" not in headers and "set-cookie" not in headers
    assert "API key" in body["error"]


def test_with_a_key_all_three_filters_leave_their_mark(demo: Demo) -> None:
    status, headers, body = web(demo, "/cart?page=2", x_api_key="demo-key-ada", x_consumer="root")
    assert status == 200
    assert body["headers"]["x-consumer"] == "ada"
    assert "x-api-key" not in body["headers"]
    assert body["headers"]["x-original-path"] == "/cart?page=2"
    assert headers["x-served-by"] == "edge" and "server" not in headers
    assert headers["set-cookie"].startswith(f"shop-variant={body['version']};")


@pytest.mark.parametrize("variant", ["v1", "v2"])
def test_the_cookie_sticks(demo: Demo, variant: str) -> None:
    for _ in range(5):
        _, headers, body = web(demo, "/cart", x_api_key="demo-key-bob", cookie=f"shop-variant={variant}")
        assert body["version"] == variant
        assert "set-cookie" not in headers


def test_the_own_choice_wins_and_is_remembered(demo: Demo) -> None:
    _, headers, body = web(
        demo, "/cart", x_api_key="demo-key-bob", x_choose_variant="v2", cookie="shop-variant=v1"
    )
    assert body["version"] == "v2"
    assert headers["set-cookie"].startswith("shop-variant=v2;")


def test_tls_verifies_by_the_demos_authority(demo: Demo) -> None:
    context = ssl.create_default_context(cafile=str(demo.folder / "state" / "demo" / "ca.pem"))
    connection = http.client.HTTPSConnection("localhost", demo.https, timeout=20, context=context)
    status, _, body = ask(connection, "/cart", x_api_key="demo-key-ada")
    assert status == 200
    assert body["headers"]["x-forwarded-proto"] == "https"


@pytest.mark.parametrize("option", ["--http1.1", "--http2"])
def test_every_curl_line_over_tls_gets_its_answer(demo: Demo, option: str) -> None:
    line = next(line.strip() for line in demo.text.splitlines() if option in line)
    done = subprocess.run(shlex.split(line), capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.startswith("HTTP/2 200" if option == "--http2" else "HTTP/1.1 200 OK")
    assert '"x-consumer": "ada"' in done.stdout


def test_the_python_line_gets_its_answer_over_http3(demo: Demo) -> None:
    line = next(line.strip() for line in demo.text.splitlines() if "edge.cli.demo.h3" in line)
    done = subprocess.run(
        shlex.split(line), capture_output=True, text=True, timeout=30, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("HTTP/3\n:status: 200\n")
    assert '"x-consumer": "ada"' in done.stdout


def test_the_rule_without_filters_goes_straight_through(demo: Demo) -> None:
    status, headers, body = web(demo, "/open/hours")
    assert (status, body["version"]) == (200, "v1")
    assert "x-served-by" not in headers


def test_the_trace_shows_every_filter_in_both_directions_in_the_order_of_time(demo: Demo) -> None:
    marked = f"/traced-{time.monotonic_ns()}"
    web(demo, marked, x_api_key="demo-key-ada")
    deadline = time.monotonic() + 20
    found: list[dict[str, Any]] = []
    while not found and time.monotonic() < deadline:
        _, _, shown = ask(http.client.HTTPConnection("127.0.0.1", demo.admin, timeout=20), "/traces")
        found = [t for t in shown["traces"] if t["spans"][0]["attributes"]["url.path"] == marked]
        time.sleep(0.05)
    (trace,) = found
    assert trace["durationMs"] < 20_000
    server = trace["spans"][0]
    filters = [span for span in trace["spans"] if span["kind"] == "internal"]
    seen = {(s["attributes"]["edge.filter.name"], s["attributes"]["edge.filter.direction"]) for s in filters}
    assert seen >= {
        ("authn", "request"),
        ("headers", "request"),
        ("split", "request"),
        ("headers", "response"),
        ("split", "response"),
    }
    for span in trace["spans"][1:]:
        assert span["parentSpanId"] == server["spanId"]
        assert span["startMs"] >= server["startMs"] - 1
        assert span["startMs"] + span["durationMs"] <= server["startMs"] + server["durationMs"] + 1


def test_the_files_it_names_are_there(demo: Demo) -> None:
    folder = demo.folder / "state" / "demo"
    assert (folder / "edge.yaml").is_file() and (folder / "ca.pem").is_file()
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "edge",
            "validate",
            str(folder / "edge.yaml"),
            "--state-dir",
            str(folder.parent),
        ],
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_stdout_is_the_tour_alone(demo: Demo) -> None:
    assert demo.text.startswith("edge demo is ready.")
    assert demo.text.count("     curl -") == 9

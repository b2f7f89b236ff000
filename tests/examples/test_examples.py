"""Every example is valid, and does what its README says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPMessage
from pathlib import Path

import pytest

from tests.tools import free_port

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
_CONFIGURATIONS = sorted(EXAMPLES.glob("*/edge.yaml"))
_KEY = {"x-api-key": "demo-key-alice"}
_READY_S = 120.0


def test_there_are_examples() -> None:
    assert [path.parent.name for path in _CONFIGURATIONS] == ["routing", "three-filters", "upstreams"]


@pytest.mark.parametrize("file", _CONFIGURATIONS, ids=lambda path: path.parent.name)
def test_the_example_is_valid(file: Path) -> None:
    command = [sys.executable, "-m", "edge", "validate", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


class Running:
    """The three-filters example on free ports."""

    def __init__(self, folder: Path) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []
        self._ports = {port: free_port() for port in (8080, 9001, 9002, 9901)}
        shutil.copytree(EXAMPLES / "three-filters", folder / "example")
        self._file = folder / "example" / "edge.yaml"
        moved = re.sub(r"(?<=127\.0\.0\.1:)(8080|9001|9002|9901)", self._moved, self._file.read_text())
        self._file.write_text(moved)
        self._state = folder / "state"

    def _moved(self, match: re.Match[str]) -> str:
        return str(self._ports[int(match[1])])

    def start(self) -> None:
        for port, version in ((9001, "v1"), (9002, "v2")):
            folder = str(self._file.parent / version)
            address = [str(self._ports[port]), "--bind", "127.0.0.1", "--directory", folder]
            self._spawn("http.server", *address)
        self._spawn("edge", "run", "-c", str(self._file), "--state-dir", str(self._state), "--workers", "1")
        for port, path in ((9001, "/"), (9002, "/"), (9901, "/ready")):
            self._wait(port, path)

    def _spawn(self, module: str, *arguments: str) -> None:
        command = [sys.executable, "-m", module, *arguments]
        environ = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent)}
        self._processes.append(subprocess.Popen(command, cwd=self._file.parent, env=environ))

    def _wait(self, port: int, path: str) -> None:
        deadline = time.monotonic() + _READY_S
        while True:
            assert all(process.poll() is None for process in self._processes), "a server ended"
            try:
                if self._get(port, path, {})[0] == 200:
                    return
            except OSError:
                pass
            assert time.monotonic() < deadline, f"no 200 on {path} within {_READY_S:.0f} s"
            time.sleep(0.05)

    def _get(self, port: int, path: str, fields: dict[str, str]) -> tuple[int, HTTPMessage, str]:
        connection = HTTPConnection("127.0.0.1", self._ports[port], timeout=10)
        try:
            connection.request("GET", path, headers=fields)
            response = connection.getresponse()
            return response.status, response.headers, response.read().decode()
        finally:
            connection.close()

    def get(self, path: str, fields: dict[str, str]) -> tuple[int, HTTPMessage, str]:
        return self._get(8080, path, fields)

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("three-filters"))
    try:
        running.start()
        yield running
    finally:
        running.stop()


def test_without_a_key_the_answer_is_401(example: Running) -> None:
    status, fields, body = example.get("/", {})
    assert status == 401
    assert "x-api-key" in fields["www-authenticate"]
    assert "shop" not in body


def test_a_new_client_gets_a_version_and_its_cookie(example: Running) -> None:
    status, fields, body = example.get("/", _KEY)
    assert status == 200
    assert body == {"old": "shop, version 1\n", "new": "shop, version 2\n"}[fields["x-variant"]]
    assert fields["set-cookie"].startswith(f"side={fields['x-variant']};")
    assert fields["x-served-by"] == "edge"
    assert fields["server"] is None


@pytest.mark.parametrize(("side", "version"), [("old", 1), ("new", 2)])
def test_a_client_stays_where_its_cookie_says(example: Running, side: str, version: int) -> None:
    status, fields, body = example.get("/", {**_KEY, "cookie": f"side={side}"})
    assert (status, body) == (200, f"shop, version {version}\n")
    assert fields["set-cookie"] is None


def test_a_client_may_choose_by_query(example: Running) -> None:
    status, fields, body = example.get("/?side=new", {**_KEY, "cookie": "side=old"})
    assert (status, body) == (200, "shop, version 2\n")
    assert fields["set-cookie"].startswith("side=new;")

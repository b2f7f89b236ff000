"""`python -m edge run` as a process of its own, judged by how it ends."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
READY_S = 120.0
END_S = 60.0
_POLL_S = 0.02
_LISTENER = re.compile(r"^edge: (\S+): https?://\S+?:(\d+)", re.M)
Configuration = dict[str, Any]


def configuration(clusters: dict[str, list[int]], rules: list[Configuration], **more: Any) -> Configuration:
    """One route with `rules` on one plain listener `web`; clusters are ports on 127.0.0.1."""
    return {
        "version": 1,
        "admin": {"address": "127.0.0.1:0"},
        "listeners": [{"name": "web", "address": "127.0.0.1:0"}],
        "routes": [{"name": "all", "parentRefs": [{"name": "web"}], "rules": rules}],
        "clusters": [
            {
                "name": name,
                "discovery": {
                    "type": "Static",
                    "endpoints": [{"address": f"127.0.0.1:{port}"} for port in ports],
                },
            }
            for name, ports in clusters.items()
        ],
        **more,
    }


def rule(cluster: str, path: str = "/", **more: Any) -> Configuration:
    """Everything below `path` goes to `cluster`."""
    return {
        "matches": [{"path": {"type": "PathPrefix", "value": path}}],
        "backendRefs": [{"name": cluster}],
        **more,
    }


def through(chain: str) -> Configuration:
    """A rule's reference to a filter chain."""
    return {"type": "ExtensionRef", "extensionRef": {"kind": "FilterChain", "name": chain}}


def secured(config: Configuration, listener: Configuration) -> Configuration:
    """The same with one more listener for its first route."""
    config["listeners"].append(listener)
    config["routes"][0]["parentRefs"].append({"name": listener["name"]})
    return config


class EdgeProcess:
    """A running edge. `ports` by listener, `admin` among them."""

    def __init__(
        self,
        folder: Path,
        config: Configuration,
        state: Path,
        *arguments: str,
        file: str = "",
        launcher: Sequence[str] = (),
    ) -> None:
        """Starts it, with one worker unless `arguments` say more; `wait_ready` tells when it serves.

        With `file` it serves what that file in `folder` says, not `config`. `launcher` is a command that
        becomes the one that follows it.
        """
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.ports: dict[str, int] = {}
        self.code: int | None = None
        self._log = folder / "stderr.log"
        path = folder / (file or "edge.yaml")
        if not file:
            path.write_text(json.dumps(config, indent=1))  # JSON is YAML
        command = [sys.executable, "-m", "edge", "run", "-c", str(path), "--state-dir", str(state)]
        if "--workers" not in arguments:
            command += ["--workers", "1"]
        kept = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
        with self._log.open("wb") as log, (folder / "stdout.log").open("wb") as out:
            self.process = subprocess.Popen(
                [*launcher, *command, *arguments],
                stdout=out,
                stderr=log,
                cwd=folder,
                env={**kept, "PYTHONPATH": str(REPOSITORY)},
            )

    @property
    def web(self) -> int:
        return self.ports["web"]

    @property
    def errors(self) -> str:
        """Everything on stderr so far."""
        return self._log.read_text()

    @property
    def worker_pid(self) -> int:
        """Of the worker that serves now; 0 when there is none."""
        return int(self.state()["workers"][0]["pid"])

    def wait_ready(self) -> None:
        """Until it announced its listeners and /ready says 200."""
        for _ in within(READY_S, "edge is ready"):
            assert self.process.poll() is None, f"edge ended: {self.errors}"
            if "edge: ready" in self.errors:
                self.ports = {name: int(port) for name, port in _LISTENER.findall(self.errors)}
                break
        assert self.is_ready(), self.errors

    def is_ready(self) -> bool:
        return bool(self.state()["ready"])

    def get(self, path: str) -> bytes:
        """From the admin API, whatever the status.

        Once more where the kernel had no memory for TCP left: it resets closed connections that still send.
        """
        before = aborted_for_memory()
        try:
            return self._get(path)
        except (ConnectionResetError, http.client.IncompleteRead):
            if aborted_for_memory() == before:
                raise
            return self._get(path)

    def _get(self, path: str) -> bytes:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.ports['admin']}{path}", timeout=30
            ) as answer:
                body: bytes = answer.read()
        except urllib.error.HTTPError as error:
            body = error.read()
            error.close()
        return body

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(self.get("/ready"))
        return state

    def traces(self) -> list[dict[str, Any]]:
        traces: list[dict[str, Any]] = json.loads(self.get("/traces?limit=1000"))["traces"]
        return traces

    def metric(self, name: str, label: str = "") -> float:
        """The sum over all series of `name` whose labels contain `label`; 0 if there is none yet."""
        lines = self.get("/metrics").decode().splitlines()
        found = [line for line in lines if re.split(r"[{ ]", line, maxsplit=1)[0] == name and label in line]
        return sum(float(line.rpartition(" ")[2]) for line in found)

    def access_log(self) -> list[dict[str, Any]]:
        """Whole lines of `access.log` so far."""
        file = self.folder / "access.log"
        lines = file.read_bytes().split(b"\n")[:-1] if file.exists() else []
        return [json.loads(line) for line in lines]

    def resident_bytes(self) -> int:
        """Of the worker."""
        pages = Path(f"/proc/{self.worker_pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def end(self, within_s: float = END_S) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        self.code = self.process.wait(within_s)
        return self.code

    def kill(self) -> None:
        """If anything is left of it."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def check_sound(self, restarts: int = 0) -> None:
        """Nothing unhandled, `restarts` workers that died."""
        assert self.process.poll() is None, f"edge ended by itself: {self.errors}"
        assert self.metric("edge_worker_unhandled_total") == 0, self.errors
        assert self.metric("edge_worker_restarts_total") == restarts, self.errors
        for word in ("unhandled", "Traceback"):
            assert word not in self.errors, self.errors


def aborted_for_memory() -> int:
    """How many connections the kernel has reset for want of memory for TCP since it started."""
    lines = Path("/proc/net/netstat").read_text().splitlines()
    names, values = (line.split() for line in lines[:2])
    return int(dict(zip(names, values, strict=True)).get("TCPAbortOnMemory", "0"))


@contextmanager
def running_edge(
    folder: Path,
    config: Configuration,
    state: Path,
    *arguments: str,
    restarts: int = 0,
    file: str = "",
    launcher: Sequence[str] = (),
) -> Iterator[EdgeProcess]:
    """Start, yield, end by SIGTERM unless the test did: sound until then, and exit code 0."""
    edge = EdgeProcess(folder, config, state, *arguments, file=file, launcher=launcher)
    try:
        edge.wait_ready()
        yield edge
        if edge.code is None:
            edge.check_sound(restarts)
            edge.end()
        code = edge.code
        assert code == 0, f"exit code {code}: {edge.errors}"
        assert "unhandled" not in edge.errors and "Traceback" not in edge.errors, edge.errors
    finally:
        edge.kill()


def within(seconds: float, what: str) -> Iterator[None]:
    """Poll: `for _ in within(30, "…"): if …: break`; fails when the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(_POLL_S)
    raise AssertionError(f"not within {seconds} s: {what}")

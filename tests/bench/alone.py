"""What only edge is measured by: how soon a changed file is served, and how soon a started process."""

from __future__ import annotations

import http.client
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.group import Group, NotStarted, answers
from tests.bench.peers import TOP, Peer, Setting
from tests.bench.routes import edge_routes
from tests.bench.world import World
from tests.tools import free_port

Run = tuple[float, dict[str, float]]
"""The figure, and what is noted beside it: of several runs the largest."""

_PAUSE_S = 0.002
_AFTER_S = 2.0
"""The worker has things to put away when the file is live."""
_LIMIT_S = 60.0
_FILE = """\
version: 1
admin: {{address: "127.0.0.1:{admin}"}}
listeners:
  - {{name: web, address: "127.0.0.1:{port}"}}
clusters:
  - {{name: hello, discovery: {{type: Static, endpoints: [{{address: "127.0.0.1:{upstream}"}}]}}}}
routes:
  - name: which
    parentRefs: [{{name: web}}]
    rules:
      - matches: [{{path: {{type: Exact, value: /which}}}}]
        filters: [{{type: DirectResponse, directResponse: {{statusCode: 200, body: "{number}"}}}}]
{routes}
"""


def reloads(setting: Setting, peer: Peer, world: World, folder: Path, runs: int) -> Iterator[Run]:
    """A route among all changes. Noted: the slowest answer meanwhile and soon after, in ms, and memory."""
    folder.mkdir(parents=True)
    file, port, admin = folder / "edge.yaml", free_port(), free_port()
    more = edge_routes(setting.routes)

    def write(number: int) -> float:
        text = _FILE.format(
            admin=admin, port=port, upstream=world.values["upstream"], number=number, routes=more
        )
        fresh = folder / "fresh"
        fresh.write_text(text)
        fresh.replace(file)
        return time.monotonic()

    write(0)
    command = [sys.executable, "-m", "edge", "run", "-c", file, "--watch", "--workers", 1]
    cores = ",".join(map(str, sorted(os.sched_getaffinity(0))))
    state = ["--state-dir", folder / "state"]
    group = Group([*command, *state], cores, folder / "output", cwd=TOP)
    try:
        group.wait_for(lambda: _Asking.answered(port))
        asking = _Asking(port)
        for number in range(1, runs + 1):
            asking.until(_AFTER_S)
            asking.slowest_s = 0.0
            live_s = asking.until(_LIMIT_S, str(number).encode(), write(number))
            asking.until(_AFTER_S)
            memory = {"mib": group.memory_bytes() / 2**20}
            yield live_s, {"slowest_ms": asking.slowest_s * 1e3, **memory}
    finally:
        group.end()


class _Asking:
    """Asks which file is served, all the time."""

    def __init__(self, port: int) -> None:
        self.slowest_s = 0.0
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_LIMIT_S)

    @staticmethod
    def answered(port: int) -> bool:
        try:
            return _Asking(port).ask() == b"0"
        except OSError:
            return False

    def until(self, limit_s: float, wanted: bytes | None = None, since: float | None = None) -> float:
        """Ask for so long, or until this is the answer; seconds `since`."""
        began = time.monotonic() if since is None else since
        while (passed := time.monotonic() - began) < limit_s:
            if self.ask() == wanted:
                return time.monotonic() - began
            time.sleep(_PAUSE_S)
        if wanted is not None:
            raise NotStarted(f"the changed file was not served in {limit_s:.0f} s")
        return passed

    def ask(self) -> bytes:
        began = time.monotonic()
        self._connection.request("GET", "/which")
        answer = self._connection.getresponse().read()
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)
        return answer


def starts(setting: Setting, peer: Peer, world: World, folder: Path, runs: int) -> Iterator[Run]:
    """With every module in the store: one start before the others compiles them."""
    folder.mkdir(parents=True)
    for run in range(runs + 1):
        port = free_port()
        began = time.monotonic()
        group = peer.start(world, setting, folder, port)
        try:
            while not answers(port, setting.tls, "x-filtered" if setting.filters else ""):
                if group.process.poll() is not None or time.monotonic() - began > _LIMIT_S:
                    raise NotStarted((folder / "output").read_text(errors="replace")[-2000:])
                time.sleep(_PAUSE_S)
            took_s = time.monotonic() - began
        finally:
            group.process.send_signal(signal.SIGTERM)
            group.end()
        if run:
            yield took_s, {}

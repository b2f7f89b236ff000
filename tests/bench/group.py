"""A program pinned to one core, with everything it starts: CPU time, memory, end."""

from __future__ import annotations

import http.client
import os
import signal
import ssl
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")
_START_S = 60.0
_END_S = 10.0


class NotStarted(Exception):
    """A program ended, or did not listen in time; the text holds the end of its output."""


class Group:
    """One session of processes. Figures cover all that live, and the dead that were waited for."""

    def __init__(
        self,
        command: Sequence[object],
        core: int | str,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        """On one core, or on several (`0,1`)."""
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                ["taskset", "-c", str(core), *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                start_new_session=True,
            )

    def wait_for(self, ready: Callable[[], bool]) -> None:
        """Return when `ready()` is true; raises NotStarted when the program ends or takes too long."""
        end = time.monotonic() + _START_S
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            if ready():
                return
            time.sleep(0.05)
        self.end()
        text = self._log.read_text(errors="replace")[-2000:]
        raise NotStarted(f"{self.process.args!r} does not serve:\n{text}")

    def members(self) -> list[int]:
        """The processes of the group: the first one's descendants."""
        parents = {pid: int(stat[1]) for pid, stat in _stats().items()}
        found = [self.process.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found

    def cpu_s(self) -> float:
        """User and system time of all members, and of children they have waited for."""
        stats = _stats()
        ticks = sum(sum(map(int, stats[pid][11:15])) for pid in self.members() if pid in stats)
        return ticks * _TICK_S

    def memory_bytes(self) -> int:
        """Proportional set size of all members: shared pages are counted once."""
        return sum(_pss(pid) for pid in self.members())

    def busiest_memory_bytes(self) -> int:
        """Proportional set size of the member that has worked most: a worker, where there are such."""
        stats = _stats()
        busiest = max(self.members(), key=lambda pid: sum(map(int, stats[pid][11:13])) if pid in stats else 0)
        return _pss(busiest)

    def end(self) -> None:
        """SIGTERM, then SIGKILL to what is left of it and of sessions its members began."""
        members = self.members()
        sessions = set(members)
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(_END_S)
            except subprocess.TimeoutExpired:
                pass
        for pid in members:
            try:
                if os.getsid(pid) in sessions:
                    os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(_END_S)


def answers(port: int, tls: bool = False, field: str = "") -> bool:
    """Whether a GET on 127.0.0.1:`port` is answered with 200, and with header `field` if one is given."""
    context = ssl._create_unverified_context() if tls else None
    make = partial(http.client.HTTPSConnection, context=context) if tls else http.client.HTTPConnection
    connection = make("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
        response = connection.getresponse()
        return response.status == 200 and (not field or field in response.headers)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _stats() -> dict[int, list[str]]:
    """Fields of /proc/PID/stat after the name, from `state` on."""
    found: dict[int, list[str]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                text = (folder / "stat").read_text()
            except OSError:
                continue
            found[int(folder.name)] = text[text.rindex(")") + 2 :].split()
    return found


def _pss(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) << 10
    except OSError:
        pass
    return 0

"""A running edge of every protocol, nothing about security configured; a judge behind it, probes beside."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.hostile.judge import Judge
from tests.hostile.strict import Arrived
from tests.integration.authority import Authority
from tests.integration.h2_client import H2Client
from tests.integration.h3_client import H3Client
from tests.integration.protocol_site import PROTOCOLS, Site, every_protocol, fields
from tests.integration.raw_client import RawClient, request
from tests.integration.running_edge import configuration, rule, running_edge
from tests.integration.scripted_upstream import Upstream, scripted

PROBE = "/probe"
_PROBE_S = 30.0
_SETTLE_S = 20.0
_CPU_CLOCK = 2
"""The kernel's number for the clock of what a process spends. Spec: clock_getcpuclockid(3)."""


@dataclass
class LiveSite(Site):
    judge: Judge
    upstream: Upstream
    worker: int
    least: int = 0
    """Complete requests that the checks found."""
    most: int = 0
    """As many there may have been, late ones of rows that are uncertain included."""
    _standing: dict[str, RawClient | H2Client | H3Client] = field(default_factory=dict)

    def probe(self, anew: bool = False) -> None:
        """Clients that stood there before are answered over every protocol, and new ones if `anew`."""
        for protocol in PROTOCOLS:
            if anew or protocol not in self._standing:
                self._leave(protocol)
                h1 = protocol in ("h1", "h1s")
                self._standing[protocol] = self.h1(protocol) if h1 else self.connect(protocol)
            client = self._standing[protocol]
            if isinstance(client, RawClient):
                assert client.exchange(request(PROBE.encode())).body == b"ok"
            else:
                stream_id = client.request(fields(PROBE))
                client.wait(lambda c=client, s=stream_id: c.ended(s), _PROBE_S)  # type: ignore[misc]
                assert client.body(stream_id) == b"ok", f"{protocol}: not answered"

    def leave(self) -> None:
        for protocol in list(self._standing):
            self._leave(protocol)

    def _leave(self, protocol: str) -> None:
        client = self._standing.pop(protocol, None)
        if client is not None:
            client.__exit__(None, None, None)

    def arrived(self, since: int) -> list[Arrived]:
        """What the judge saw since, probes left out."""
        return [each for each in self.judge.arrived[since:] if not each.target.startswith(b"/probe")]

    def check_forwarded(self, since: int, targets: tuple[bytes, ...] | None) -> list[Arrived]:
        """Exactly these requests were complete (None: any), and nothing offended the judge. Returns them.

        Probes come between: what should not have gone upstream has had time to arrive.
        """
        deadline = time.monotonic() + _SETTLE_S
        while len(self._complete(since)) < len(targets or ()) and time.monotonic() < deadline:
            time.sleep(0.002)
        probed = len(self.judge.arrived)
        self.probe()
        probes = [each for each in self.judge.arrived[probed:] if each.target == PROBE.encode()]
        assert len(probes) >= len(PROTOCOLS), "the judge did not see what was answered"
        complete = self._complete(since)
        assert targets is None or tuple(each.target for each in complete) == targets, self.judge.log()
        assert self.upstream.faults == [], self.judge.log()
        os.kill(self.worker, 0)
        self.least += len(complete)
        self.most += len(complete)
        return complete

    def _complete(self, since: int) -> list[Arrived]:
        return [each for each in self.arrived(since) if each.complete]

    def check_sum(self) -> None:
        """No request came upstream after its check, in all that was checked so far."""
        self.probe()
        assert self.least <= len(self._complete(0)) <= self.most, self.judge.log()

    def cpu_s(self) -> float:
        """What the worker has spent so far, to the nanosecond."""
        return time.clock_gettime(~self.worker << 3 | _CPU_CLOCK)

    def resident_bytes(self) -> int:
        """Of the worker; costs it nothing."""
        pages = Path(f"/proc/{self.worker}/statm").read_text().split()[1]
        return int(pages) * resource.getpagesize()


@contextmanager
def live_site(folder: Path, judge: Judge | None = None, **more: Any) -> Iterator[LiveSite]:
    """Everything started; at the end nothing was unhandled and no worker died. `more` is configuration."""
    judge = judge or Judge()
    authority = Authority(folder)
    with scripted(judge.script) as upstream:
        config = every_protocol(configuration({"up": [upstream.port]}, [rule("up")], **more), authority)
        with running_edge(folder / "edge", config, folder / "state") as edge:
            site = LiveSite(edge, authority, judge, upstream, edge.worker_pid)
            site.probe()
            try:
                yield site
            finally:
                judge.holds = False
                site.leave()
            assert edge.worker_pid == site.worker

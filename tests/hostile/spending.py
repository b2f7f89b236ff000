"""What a hostile client spends, what the worker spends on it, and what another client feels meanwhile."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from tests.hostile.live_site import PROBE, LiveSite
from tests.integration.h2_client import H2Client
from tests.integration.h3_client import H3Client
from tests.integration.protocol_site import fields
from tests.integration.raw_client import RawClient, request

RATIO: Final = 20
"""The worker spends less than so many times what the client did, CPU and memory alike."""
FLOOR_BYTES: Final = 2 << 20
"""What a process may grow by whoever asks: Python takes memory from the kernel by arenas of 1 MiB, and the C
library keeps about as much of what was given back."""
OTHERS: Final = 4
"""Times what the bystander's thread spends: what the worker may spend on the bystander, which is 1.7 by
itself."""
SLOWEST_S: Final = 5.0
"""The longest that another client's request may take meanwhile; typical are 5 ms."""
_PATIENCE_S: Final = 30.0
_INFO_BYTES: Final = 256
_ACKED_AT: Final = 120
"""Where `tcpi_bytes_acked` is in Linux's `struct tcp_info`."""


class Spent:
    """What the hostile client sent so far: CPU is that of the thread the flood runs on."""

    def __init__(self) -> None:
        self.bytes = 0

    def by(self, client: RawClient | H2Client | H3Client | socket.socket) -> None:
        """Count a connection, once it has sent all that it will."""
        if isinstance(client, H3Client):
            self.bytes += client.bytes_out
        else:
            plain = client if isinstance(client, socket.socket) else client.socket
            info = plain.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
            (acked,) = struct.unpack_from("Q", info, _ACKED_AT)
            self.bytes += int(acked)


class Bystander(threading.Thread):
    """Asks over HTTP/1.1 and HTTP/2, again and again; `took` are the seconds of each answer.

    Beside that it looks at the worker's memory: `most_bytes` it had at once.
    """

    def __init__(self, site: LiveSite) -> None:
        super().__init__(daemon=True)
        self.site = site
        self.took: list[float] = []
        self.cpu_s = 0.0
        self.most_bytes = 0
        self.fault: BaseException | None = None
        self._over = threading.Event()

    def run(self) -> None:
        try:
            with self.site.h1() as first, self.site.connect("h2") as second:
                while not self._over.wait(0.005):
                    began = time.monotonic()
                    self._ask(first, second)
                    self.took.append(time.monotonic() - began)
                    self.most_bytes = max(self.most_bytes, self.site.resident_bytes())
        except BaseException as fault:
            self.fault = fault
        finally:
            self.cpu_s = time.thread_time()

    def _ask(self, first: RawClient, second: Any) -> None:
        assert first.exchange(request(PROBE.encode())).body == b"ok"
        stream_id = second.request(fields(PROBE))
        second.wait(lambda: second.ended(stream_id))
        assert second.body(stream_id) == b"ok"

    def end(self) -> None:
        """Every answer came, and in time."""
        while len(self.took) < 3 and self.fault is None:
            self.join(0.02)
        self._over.set()
        self.join(_PATIENCE_S)
        assert self.fault is None, repr(self.fault)
        assert max(self.took) < SLOWEST_S


@contextmanager
def harmless(site: LiveSite) -> Iterator[Spent]:
    """What happens inside costs the worker little more than the client, and nobody else an answer.

    The test tells what its client sent; memory is the most that was resident at any time.
    """
    bystander, spent = Bystander(site), Spent()
    memory, worker_s, ours_s = site.resident_bytes(), site.cpu_s(), time.thread_time()
    bystander.start()
    try:
        yield spent
        ours_s = time.thread_time() - ours_s
    finally:
        site.judge.holds = False
        bystander.end()
    worker_s = site.cpu_s() - worker_s
    grown = max(bystander.most_bytes, site.resident_bytes()) - memory
    assert spent.bytes > 0, "what the client sent was not counted"
    assert grown < FLOOR_BYTES + RATIO * spent.bytes, f"{grown >> 10} KiB for {spent.bytes} bytes sent"
    assert worker_s < RATIO * ours_s + OTHERS * bystander.cpu_s, f"{worker_s} s for {ours_s} s"
    assert site.upstream.faults == []
    os.kill(site.worker, 0)
    site.probe()

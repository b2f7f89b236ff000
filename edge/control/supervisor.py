"""The supervisor: one process that owns sockets, workers, telemetry and admin.

load (done before) → compile → bind → start the worker → Prepare → Activate → serve → drain.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from edge.confine import confine
from edge.control.admin import AdminApp
from edge.control.admin.server import AdminServer
from edge.control.artefacts import CannotCompile, Progress, prepare_artefacts
from edge.control.collector import Collector, from_environment
from edge.control.config import Loaded, build, explicit_telemetry
from edge.control.keeper import Keeper, Revision, State
from edge.control.sockets import Bound, CannotBind, bind_all, bind_udp
from edge.control.view import SupervisorView
from edge.telemetry.environment import ExportSettings

log = logging.getLogger("edge.supervisor")

GRACE_S = 10.0
EXIT_OK = 0
EXIT_FAILED = 1
EXIT_REFUSED = 5
FIRST_REVISION = 1


@dataclass(frozen=True, slots=True)
class Options:
    """`on_ready` is called once, when the first worker serves."""

    state_dir: Path
    grace_s: float = GRACE_S
    on_ready: Callable[[Supervisor], None] | None = None
    on_compile: Progress | None = None


@dataclass(slots=True)
class Status:
    """What admin shows. `started` is Unix time."""

    started: float = field(default_factory=time.time)
    revision: int = FIRST_REVISION


class Supervisor:
    """One configuration, one worker, until a signal."""

    def __init__(self, loaded: Loaded, options: Options) -> None:
        self.loaded = loaded
        self.options = options
        self.status = Status()
        self.bound: list[Bound] = []
        self.bound_udp: list[Bound] = []
        self.keeper: Keeper | None = None
        self.collector: Collector | None = None
        self.admin: Bound | None = None
        self._signal = 0

    @property
    def ready(self) -> bool:
        """Whether a worker serves now."""
        return self.keeper is not None and self.keeper.state is State.SERVING

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT; the exit code. Faults are logged, one line each."""
        confine()
        try:
            revision, settings = await self._make_revision()
        except CannotBind as error:
            log.error("%s", error)
            return EXIT_FAILED
        except CannotCompile as refused:
            for line in refused.errors:
                log.error("%s", line)
            return EXIT_REFUSED
        telemetry = revision.model.telemetry
        self.collector = Collector(telemetry, settings)
        self.collector.start()
        collector = self.collector
        sockets = [*self.bound, *self.bound_udp]
        keeper = self.keeper = Keeper(0, sockets, revision, collector.take, collector.metrics.retire)
        server = self._admin_server()
        self._listen_to_signals()
        keeper.start()
        announce = asyncio.create_task(self._announce(keeper))
        try:
            reason = await keeper.ended
        finally:
            announce.cancel()
            await asyncio.gather(collector.shutdown(), server.stop())
            for bound in (*self.bound, *self.bound_udp):
                bound.socket.close()
        if reason is not None:
            log.error("%s", reason)
            return EXIT_FAILED
        return 128 + self._signal if self._signal == signal.SIGINT else EXIT_OK

    async def _make_revision(self) -> tuple[Revision, ExportSettings | None]:
        artefacts = await prepare_artefacts(self.loaded, self.options.state_dir, self.options.on_compile)
        listeners = self.loaded.root.listeners
        self.bound = bind_all((listener.name, listener.address) for listener in listeners)
        speaks_h3 = {listener.name for listener in listeners if "h3" in listener.protocols}
        self.bound_udp = bind_udp(bound for bound in self.bound if bound.name in speaks_h3)
        (self.admin,) = bind_all([("admin", self.loaded.root.admin.address)])
        ports = {bound.name: bound.address.port for bound in self.bound}
        made = build(self.loaded, self.status.revision, ports, artefacts)
        telemetry, settings = from_environment(
            made.telemetry, explicit_telemetry(self.loaded), lambda line: log.warning("%s", line)
        )
        made = msgspec.structs.replace(made, telemetry=telemetry)
        return Revision(made, artefacts.descriptors), settings

    def _admin_server(self) -> AdminServer:
        assert self.admin is not None
        app = AdminApp(SupervisorView(self), self.admin.address.port)
        server = AdminServer(app, self.admin.socket)
        server.start()
        return server

    async def _announce(self, keeper: Keeper) -> None:
        await keeper.ready.wait()
        log.info("worker %d (pid %d) serves", 0, keeper.pid)
        if self.options.on_ready is not None:
            self.options.on_ready(self)

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        # Its default would end the process; a new configuration needs a restart in this version.
        loop.add_signal_handler(
            signal.SIGHUP, log.warning, "SIGHUP: restart edge to apply a changed configuration"
        )

    def _on_signal(self, number: int) -> None:
        """The first drains, the second ends at once."""
        keeper = self.keeper
        if keeper is None:
            return
        if self._signal:
            keeper.kill()
            return
        self._signal = number
        log.info("draining for at most %g s; a second signal ends at once", self.options.grace_s)
        keeper.drain(self.options.grace_s)
        for bound in (*self.bound, *self.bound_udp):
            bound.socket.close()  # while we hold it, the kernel goes on accepting for nobody

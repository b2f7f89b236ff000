"""The supervisor: one process that owns sockets, workers, telemetry and admin.

draft (done before, in a child) → bind → start the workers → Prepare → Activate → serve → drain.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from edge.confine import confine
from edge.control.admin import AdminApp
from edge.control.admin.server import AdminServer
from edge.control.collector import Collector
from edge.control.config.quantity import HostPort
from edge.control.draft import Draft
from edge.control.fleet import Fleet
from edge.control.handover import Revision
from edge.control.sockets import Bound, CannotBind, bind_all, bind_udp
from edge.control.view import SupervisorView

log = logging.getLogger("edge.supervisor")

GRACE_S = 10.0
EXIT_OK = 0
EXIT_FAILED = 1


@dataclass(frozen=True, slots=True)
class Options:
    """`on_ready` is called once, when every worker serves."""

    grace_s: float = GRACE_S
    workers: int = 1
    on_ready: Callable[[Supervisor], None] | None = None


@dataclass(slots=True)
class Status:
    """What admin shows. `started` is Unix time."""

    started: float = field(default_factory=time.time)
    revision: int = 0


class Supervisor:
    """One configuration, its workers, until a signal. Owns `descriptors`, which `draft` counts on."""

    def __init__(self, draft: Draft, descriptors: list[int], options: Options) -> None:
        self.draft = draft
        self.options = options
        self.status = Status(revision=draft.model.revision)
        self._descriptors = descriptors
        self.bound: list[Bound] = []
        self.bound_udp: list[Bound] = []
        self.fleet: Fleet | None = None
        self.collector: Collector | None = None
        self.admin: Bound | None = None
        self._signal = 0

    @property
    def ready(self) -> bool:
        """Whether requests are served now."""
        return self.fleet is not None and self.fleet.ready

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT; the exit code. Faults are logged, one line each."""
        confine()
        for notice in self.draft.notices:
            log.warning("%s", notice)
        try:
            revision = self._bind()
        except CannotBind as error:
            log.error("%s", error)
            return EXIT_FAILED
        collector = self.collector = Collector(self.draft.export)
        collector.start()
        fleet = self.fleet = Fleet(self.options.workers, revision, collector.take, collector.metrics.retire)
        server = self._admin_server()
        self._listen_to_signals()
        fleet.start()
        announce = asyncio.create_task(self._announce(fleet))
        try:
            reason = await fleet.ended
        finally:
            announce.cancel()
            await asyncio.gather(collector.shutdown(), server.stop())
            for bound in (*self.bound, *self.bound_udp):
                bound.close()
        if reason is not None:
            log.error("%s", reason)
            return EXIT_FAILED
        return 128 + self._signal if self._signal == signal.SIGINT else EXIT_OK

    def _bind(self) -> Revision:
        made = self.draft.model
        self.bound = bind_all(
            ((each.name, HostPort(each.host, each.port)) for each in made.listeners),
            workers=self.options.workers,
        )
        speaks_h3 = {listener.name for listener in made.listeners if "h3" in listener.protocols}
        self.bound_udp = bind_udp(bound for bound in self.bound if bound.name in speaks_h3)
        (self.admin,) = bind_all([("admin", self.draft.admin)], kind="")
        listeners = [
            msgspec.structs.replace(listener, port=bound.address.port)
            for listener, bound in zip(made.listeners, self.bound, strict=True)
        ]
        made = msgspec.structs.replace(made, listeners=listeners)
        return Revision(made, self._descriptors, [*self.bound, *self.bound_udp])

    def _admin_server(self) -> AdminServer:
        assert self.admin is not None
        app = AdminApp(SupervisorView(self), self.admin.address.port)
        server = AdminServer(app, self.admin.socket)
        server.start()
        return server

    async def _announce(self, fleet: Fleet) -> None:
        await fleet.served()
        for keeper in fleet.keepers:
            log.info("worker %d (pid %d) serves", keeper.number, keeper.pid)
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
        fleet = self.fleet
        if fleet is None:
            return
        if self._signal:
            fleet.kill()
            return
        self._signal = number
        log.info("draining for at most %g s; a second signal ends at once", self.options.grace_s)
        fleet.drain(self.options.grace_s)
        for bound in self.bound:
            bound.close()  # while we hold it, the kernel goes on accepting for nobody
        # UDP sockets stay: steering counts them, and a worker that is done first must not move the others.

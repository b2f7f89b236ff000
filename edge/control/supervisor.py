"""The supervisor: one process that owns sockets, workers, telemetry and admin.

draft (done before, in a child) → bind → start the workers → Prepare → Activate → serve → drain.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from edge import wire
from edge.confine import confine
from edge.control.admin import AdminApp
from edge.control.admin.server import AdminServer
from edge.control.collector import Collector
from edge.control.config.quantity import HostPort
from edge.control.draft import Draft
from edge.control.feed import Feed
from edge.control.fleet import Fleet
from edge.control.handover import Revision
from edge.control.reload import Drafting, Reloader
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
    make_drafter: Callable[[], Drafting] | None = None
    """Without it nothing is reloaded: the configuration came from no file."""
    drafting_pid: Callable[[], int] = int
    """Of the process that is kept for drafts, 0 = none now."""
    watch: bool = False
    """Reload when a file changed, not only on SIGHUP."""


@dataclass(slots=True)
class Status:
    """What admin shows. `started` is Unix time."""

    started: float = field(default_factory=time.time)


class Supervisor:
    """One configuration, its workers, until a signal. Owns `descriptors`, which `draft` counts on."""

    def __init__(self, draft: Draft, descriptors: list[int], options: Options) -> None:
        self.draft = draft
        self.options = options
        self.status = Status()
        self.descriptors = descriptors
        self.bound: list[Bound] = []
        self.bound_udp: list[Bound] = []
        self.fleet: Fleet | None = None
        self.collector: Collector | None = None
        self.admin: Bound | None = None
        self.reloader: Reloader | None = None
        self.feed: Feed | None = None
        self._admin_server: AdminServer | None = None
        self._signal = 0
        self._ending: asyncio.Task[None] | None = None

    @property
    def workers(self) -> int:
        """How many there are to be."""
        return self.options.workers

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
        self._serve_admin()
        self.feed = Feed(fleet.tell)
        fleet.introduce(self.feed.introduction)
        await self.discover(self.draft)
        self.feed.adopted(self.draft)
        make_drafter = self.options.make_drafter
        if make_drafter is not None:
            self.reloader = Reloader(self, fleet, make_drafter, self.options.watch)
        self._listen_to_signals()
        fleet.start()
        announce = asyncio.create_task(self._announce(fleet))
        try:
            reason = await fleet.ended
        finally:
            announce.cancel()
            await asyncio.gather(
                collector.shutdown(), self._stop_reloading(), self._stop_admin(), self.feed.stop()
            )
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
        return Revision(made, self.descriptors, [*self.bound, *self.bound_udp])

    def _serve_admin(self) -> None:
        assert self.admin is not None
        app = AdminApp(SupervisorView(self), self.admin.address.port)
        self._admin_server = AdminServer(app, self.admin.socket)
        self._admin_server.start()

    async def _stop_admin(self) -> None:
        if self._admin_server is not None:
            await self._admin_server.stop()

    # ---- another configuration

    async def move_admin(self, address: HostPort) -> None:
        """Serve admin there. Raises CannotBind, and goes on where it is then."""
        (bound,) = bind_all([("admin", address)], kind="")
        before, self.admin = self._admin_server, bound
        self._serve_admin()
        log.info("admin: http://%s", bound.address)
        if before is not None:
            await before.stop()

    async def discover(self, draft: Draft) -> None:
        """Find out about the endpoints of a draft that may be served soon."""
        if self.feed is not None:
            await self.feed.begin(draft)

    def settle(self) -> None:
        """`draft` is what is served: what only another one needed is forgotten."""
        if self.feed is not None:
            self.feed.adopted(self.draft)

    async def adopted(self, before: Draft, exports_differ: bool) -> None:
        """`draft` is served since now, `before` was until now."""
        for notice in self.draft.notices:
            log.warning("%s", notice)
        if exports_differ and self.collector is not None:
            await self.collector.move(self.draft.export)

    async def _stop_reloading(self) -> None:
        if self.reloader is not None:
            await self.reloader.close()

    # ----

    async def _announce(self, fleet: Fleet) -> None:
        await fleet.served()
        gc.freeze()  # what is there by now stays; looking through it again and again delays reloads
        for keeper in fleet.keepers:
            log.info("worker %d (pid %d) serves", keeper.number, keeper.pid)
        if self.options.on_ready is not None:
            self.options.on_ready(self)

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        loop.add_signal_handler(signal.SIGUSR1, self._on_rotation)

    def _on_rotation(self) -> None:
        """Whoever rotates logs has moved the files away."""
        if self.fleet is not None:
            self.fleet.tell(wire.Reopen())

    def _on_hangup(self) -> None:
        if self.reloader is None:
            log.warning("SIGHUP: nothing to reload, the configuration came from no file")
        elif not self._signal:
            self.reloader.request("SIGHUP")

    def _on_signal(self, number: int) -> None:
        """The first drains, the second ends at once."""
        fleet = self.fleet
        if fleet is None:
            return
        if self._signal:
            fleet.kill()
            return
        self._signal = number
        self._ending = asyncio.get_running_loop().create_task(self._stop_reloading())
        log.info("draining for at most %g s; a second signal ends at once", self.options.grace_s)
        fleet.drain(self.options.grace_s)
        for bound in self.bound:
            bound.close()  # while we hold it, the kernel goes on accepting for nobody
        # UDP sockets stay: steering counts them, and a worker that is done first must not move the others.

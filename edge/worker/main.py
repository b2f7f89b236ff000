"""One worker: one loop, the data plane, and the wire to the supervisor that tells it what to serve."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from typing import Final

import uvloop

from edge import listen, wire
from edge.errors import EdgeError
from edge.exchange.admission import OVERLOADED, Admission
from edge.exchange.deadlines import Deadlines
from edge.exchange.revision import Services
from edge.telemetry.ids import Ids
from edge.telemetry.logs import Log, LogHandler
from edge.telemetry.metrics import Registry
from edge.telemetry.otlp import Encoder
from edge.telemetry.tracer import Tracer
from edge.upstream import Callouts
from edge.worker.bells import Bells
from edge.worker.building import Builder, Prepared
from edge.worker.draining import drain
from edge.worker.filters import FilterHost
from edge.worker.garbage import Garbage
from edge.worker.gauges import Gauges
from edge.worker.link import Arguments, WorkerLink, parse_arguments
from edge.worker.listening import Listening
from edge.worker.lost_lines import LostLines
from edge.worker.pressure import PERIOD_S, Pressure
from edge.worker.revisions import Revisions
from edge.worker.services import WorkerServices

_log: Final = logging.getLogger("edge.worker")

HEALTH_PERIOD_S: Final = 1.0
CLOCK_NOISE_S: Final = 0.05
"""The loop's own time is as old as its turn, so less of a difference means nothing."""
SWITCH_INTERVAL_S: Final = 0.0005
"""The ticker's thread must get the interpreter in time to end a looping guest."""


class Worker:
    """Does what the supervisor says, and reports."""

    def __init__(self, arguments: Arguments) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self._number = number = arguments.number
        self._ended = loop.create_future()
        ids = Ids()
        deadlines = Deadlines(loop.time, loop.call_later)
        admission = Admission(arguments.workers)
        self.services = Services(
            loop.time, time.time_ns, deadlines, loop.call_soon, ids.request_id, admission
        )
        self._registry = Registry()
        self._callouts = Callouts({}, deadlines, loop.time, loop.call_soon)
        log = Log(loop.call_later, time.time, "stderr", f"worker-{number}", loop.call_soon_threadsafe)
        self._lines = log
        logging.basicConfig(level=logging.INFO, handlers=[LogHandler(log)], force=True)
        services = WorkerServices(loop, self._callouts, self._registry, log, number)
        self._shared = services.sharing
        self._filters = FilterHost(loop, services)
        self._link = WorkerLink(arguments.wire_fd, self._on_message, self._on_closed)
        self._tracer = Tracer(Encoder(ids), self._link.send, loop.call_later)
        self._listening = Listening(
            self.services, number, arguments.workers, self._on_unhandled, self._on_refused
        )
        self._builder = Builder(
            loop,
            self.services,
            self._filters,
            self._callouts,
            self._registry,
            ids,
            self._tracer,
            arguments.workers,
        )
        self._garbage = Garbage(loop)
        self._revisions = Revisions(
            self._builder, self._listening, self._garbage, self._link.send, self._on_active
        )
        self._unhandled = self._registry.counter("edge.worker.unhandled")
        self._gauges = Gauges(self._registry, number == 0)
        self._lost_lines = LostLines(loop.time)
        self._pressure = Pressure(arguments.workers, lambda: admission.total, self._on_pressure)
        self._drain_task: asyncio.Task[None] | None = None
        self.services.unhandled = self._on_unhandled
        loop.set_exception_handler(self._on_loop_error)
        self._beat()
        self._feel()

    async def run(self) -> None:
        """Until drained, or until the supervisor is gone."""
        await self._ended

    # ---- orders from the supervisor

    def _on_message(self, message: wire.Down, descriptors: list[int]) -> None:
        if isinstance(message, wire.Prepare):
            self._shared.take_in(message.shared, descriptors, len(message.sockets))
            self._revisions.prepare(message, descriptors)
        elif isinstance(message, wire.Routes):
            self._revisions.routes(message)
        elif isinstance(message, wire.Activate):
            self._revisions.activate(message.revision)
        elif isinstance(message, wire.Abort):
            self._revisions.abort(message.revision)
        elif isinstance(message, wire.Endpoints):
            self._revisions.endpoints(message)
        elif isinstance(message, wire.Certificates):
            self._on_certificates(message)
        elif isinstance(message, wire.GroupKeys):
            self._listening.keys = message
            self._shared.join(
                self._number, Bells(self._loop, self._number, descriptors, self._shared.wake).ring
            )
        elif isinstance(message, wire.TicketKeys):
            listen.set_ticket_keys(message.keys)
        elif isinstance(message, wire.Verbosity):
            logging.getLogger().setLevel(message.level.upper())
        elif isinstance(message, wire.Reopen):
            self._reopen()
        elif isinstance(message, wire.Drain):
            self._drain_task = self._loop.create_task(self._drain(message.grace_s))

    def _on_closed(self, reason: str) -> None:
        """Without a supervisor nobody could stop us, so we stop."""
        _log.error("the wire to the supervisor ended: %s", reason)
        if not self._ended.done():
            self._ended.set_result(None)

    def _on_active(self, prepared: Prepared) -> None:
        """Requests are served by it from here on."""
        self.services.revision = prepared.revision
        self._callouts.clusters = prepared.clusters
        self._pressure.allow(prepared.model.limits.memory_bytes)
        self._tracer.encoder.show(prepared.model.telemetry.safe_query_params)

    def _on_certificates(self, message: wire.Certificates) -> None:
        try:
            self._listening.set_certificates(message.listener, message.certificates)
        except (ValueError, OSError) as error:
            _log.error("listener %s keeps its certificates: %s", message.listener, error)

    def _reopen(self) -> None:
        for target, access_log in self._builder.access_logs.items():
            fault = access_log.reopen()
            if fault:
                _log.error("access log %s is not opened anew: %s", target, fault)

    async def _drain(self, grace_s: float) -> None:
        await drain(self._listening, grace_s)
        self._tracer.flush()
        for log in self._builder.access_logs.values():
            log.close()
        self._report()
        self._lines.flush()
        await asyncio.sleep(0)
        if not self._ended.done():
            self._ended.set_result(None)

    # ---- how full it is

    def _feel(self) -> None:
        self._loop.call_later(PERIOD_S, self._feel)
        self._pressure.look()

    def _on_pressure(self, level: int) -> None:
        self.services.admission.level = level
        self._listening.hold(level == OVERLOADED)
        self._registry.gauge("edge.worker.pressure").value = level
        _log.warning("memory and descriptors: %s", ("at ease", "strained", "overloaded")[level])

    # ---- reports to the supervisor

    def _beat(self) -> None:
        self._look_at_the_clock()
        self._lost_lines.look(self._builder.access_logs)
        self._report()
        self._loop.call_later(HEALTH_PERIOD_S, self._beat)

    def _look_at_the_clock(self) -> None:
        """The wall clock may have been put right: lines of the access log tell its time."""
        wall_s = time.time() - self._loop.time()
        if abs(wall_s - self._builder.wall_s) > CLOCK_NOISE_S:
            self._builder.wall_s = wall_s
            for prepared in self._revisions.alive():
                prepared.reports.wall_s = wall_s

    def _report(self) -> None:
        active = self._revisions.active
        number = active.revision.number if active else 0
        exchanges = self._revisions.exchanges()
        connections = self._listening.connections()
        self._link.send(wire.Health(self._number, number, sum(connections.values()), exchanges))
        gauges = self._gauges
        gauges.requests(exchanges)
        gauges.connections(connections)
        gauges.without_h3(self._listening.without_h3())
        gauges.upstreams(active.clusters if active else {})
        gauges.filters(self._filters.figures())
        gauges.shared(*self._shared.damage())
        gauges.lost_lines(sum(log.dropped for log in self._builder.access_logs.values()), self._lines.dropped)
        samples, gone = self._registry.part()
        if not self._link.send(wire.Counters(self._number, samples, gone)):
            self._registry.tell_again(gone)

    def _on_refused(self, listener: str, error: EdgeError, client: bytes = b"", protocol: str = "") -> None:
        active = self._revisions.active
        if active is not None:
            active.reports.refused(listener, error, client, protocol)

    def _on_unhandled(self, error: BaseException) -> None:
        self._unhandled.value += 1
        _log.error("unhandled in a connection", exc_info=error)

    def _on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError):
            return  # a handshake or a socket that failed: the peer's affair
        self._unhandled.value += 1
        cause = error if isinstance(error, BaseException) else None
        _log.error("unhandled in the loop: %s", context.get("message"), exc_info=cause)


async def _serve(arguments: Arguments) -> None:
    await Worker(arguments).run()


def main(argv: list[str]) -> int:
    """Entry of `python -m edge.worker`; started by the supervisor only."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="edge worker: %(levelname)s %(message)s"
    )
    logging.getLogger("hypercorn.error").setLevel(logging.ERROR)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    arguments = parse_arguments(argv)
    listen.install()
    uvloop.run(_serve(arguments))
    return 0

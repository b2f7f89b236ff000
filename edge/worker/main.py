"""One worker: one loop, the data plane, and the wire to the supervisor that tells it what to serve."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Final

import uvloop

from edge import listen, model, wire
from edge.codec.context import ListenerContext
from edge.codec.h1.server import H1Server
from edge.errors import EdgeError
from edge.exchange.deadlines import Deadlines
from edge.exchange.revision import Revision, Services
from edge.pipeline import Pipeline
from edge.telemetry.access_log import AccessLog
from edge.telemetry.ids import Ids
from edge.telemetry.logs import Log, LogHandler
from edge.telemetry.metrics import Registry
from edge.telemetry.otlp import Encoder
from edge.telemetry.tracer import Tracer
from edge.upstream import Callouts, Clusters, TcpDialer
from edge.worker.build import Prepared, tables
from edge.worker.filters import FilterHost
from edge.worker.gauges import Gauges
from edge.worker.link import Arguments, WorkerLink, parse_arguments
from edge.worker.reporting import Reports, Traces
from edge.worker.services import WorkerServices

if TYPE_CHECKING:
    from edge.listen.quic import QuicListener

_log: Final = logging.getLogger("edge.worker")

UDP: Final = "/udp"
"""Behind a listener's name: its socket for HTTP/3."""

HEALTH_PERIOD_S: Final = 1.0
DRAIN_POLL_S: Final = 0.02
SWITCH_INTERVAL_S: Final = 0.0005
"""The ticker's thread must get the interpreter in time to end a looping guest."""


class Worker:
    """Prepares and activates revisions, serves by the active one, drains on order."""

    def __init__(self, arguments: Arguments) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self._number = arguments.number
        self._workers = arguments.workers
        self._sockets: dict[str, int] = {}
        self._keys = wire.GroupKeys(b"", b"")
        self._ended = loop.create_future()
        ids = Ids()
        deadlines = Deadlines(loop.time, loop.call_later)
        self.services = Services(loop.time, time.time_ns, deadlines, loop.call_soon, ids.request_id)
        self._ids = ids
        self._registry = Registry()
        self._wall_s = time.time() - loop.time()
        self._dialer = TcpDialer(loop)
        self._callouts = Callouts({}, deadlines, loop.time, loop.call_soon)
        log = Log(loop.call_later, time.time, "stderr", f"worker-{self._number}", loop.call_soon_threadsafe)
        self._lines = log
        logging.basicConfig(level=logging.INFO, handlers=[LogHandler(log)])
        self._filters = FilterHost(loop, WorkerServices(loop, self._callouts, self._registry, log))
        self._access_logs: dict[str, AccessLog] = {}
        self._prepared: dict[int, Prepared] = {}
        self._active: Prepared | None = None
        self._listeners: dict[str, listen.Listener] = {}
        self._quic: dict[str, QuicListener] = {}
        self._contexts: dict[str, ListenerContext] = {}
        self._next_connection = count(1).__next__
        self._link = WorkerLink(arguments.wire_fd, self._on_message, self._on_closed)
        self._tracer = Tracer(Encoder(ids), self._link.send, loop.call_later)
        self._unhandled = self._registry.counter("edge.worker.unhandled")
        self._gauges = Gauges(self._registry)
        self.services.unhandled = self._on_unhandled
        loop.set_exception_handler(self._on_loop_error)
        self._beat()

    async def run(self) -> None:
        """Until drained, or until the supervisor is gone."""
        await self._ended

    # ---- orders from the supervisor

    def _on_message(self, message: wire.Down, descriptors: list[int]) -> None:
        if isinstance(message, wire.Prepare):
            self._take_sockets(message.sockets, descriptors)
            self._loop.create_task(self._prepare(message.model, descriptors))
        elif isinstance(message, wire.GroupKeys):
            self._keys = message
        elif isinstance(message, wire.Activate):
            self._activate(message.revision)
        elif isinstance(message, wire.Abort):
            aborted = self._prepared.pop(message.revision, None)
            if aborted is not None:
                self._retire(aborted)
        elif isinstance(message, wire.Drain):
            self._loop.create_task(self._drain(message.grace_s))

    def _take_sockets(self, names: list[str], descriptors: list[int]) -> None:
        """Sockets come last among `descriptors`; what is left is the model's."""
        first = len(descriptors) - len(names)
        for name, descriptor in zip(names, descriptors[first:], strict=True):
            if name in self._sockets:
                os.close(descriptor)
            else:
                self._sockets[name] = descriptor
        del descriptors[first:]

    def _on_closed(self, reason: str) -> None:
        """Without a supervisor nobody could stop us, so we stop."""
        _log.error("the wire to the supervisor ended: %s", reason)
        if not self._ended.done():
            self._ended.set_result(None)

    async def _prepare(self, made: model.Model, descriptors: list[int]) -> None:
        try:
            prepared = await self._build(made, descriptors)
        except OSError as error:
            self._link.send(wire.Refused(made.revision, [f"{error.filename or ''}: {error.strerror}"]))
            return
        except Exception as error:
            _log.exception("revision %d cannot be built", made.revision)
            self._link.send(wire.Refused(made.revision, [f"{type(error).__name__}: {error}"]))
            return
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        self._prepared[made.revision] = prepared
        self._link.send(wire.Prepared(made.revision))

    async def _build(self, made: model.Model, descriptors: list[int]) -> Prepared:
        active = self._active
        clusters = Clusters(
            made.clusters,
            self._dialer,
            self.services.deadlines,
            self.services.clock,
            made.limits,
            active.clusters if active else None,
        )
        reports = Reports(self._registry, self._access_log(made.telemetry.access_log), self._wall_s)
        chains = await self._filters.chains(made, descriptors)
        traces = Traces(made.telemetry, self._ids, self._tracer, reports) if made.telemetry.tracing else None
        routes = tables(made, clusters, chains, reports)
        revision = Revision(made.revision, routes, clusters, made.limits, traces, reports)
        for listener in made.listeners:
            if listener.name not in self._sockets:
                raise ValueError(f"listener {listener.name!r} has no socket")
        return Prepared(made, revision, clusters, chains, reports)

    def _access_log(self, target: str) -> AccessLog | None:
        if not target:
            return None
        found = self._access_logs.get(target)
        if found is None:
            found = self._access_logs[target] = AccessLog(target, self._loop.call_later)
        return found

    def _activate(self, number: int) -> None:
        prepared = self._prepared.pop(number, None)
        if prepared is None:
            _log.error("revision %d was never prepared", number)
            return
        before, self._active = self._active, prepared
        self.services.revision = prepared.revision
        self._callouts.clusters = prepared.clusters
        self._tracer.encoder.show(prepared.model.telemetry.safe_query_params)
        for listener in prepared.model.listeners:
            if listener.name not in self._listeners:
                self._listen(listener, prepared.model.limits)
        if before is not None:
            before.clusters.retire(prepared.clusters)
            before.revision.drain(lambda revision: self._drained(revision, before))
        gc.collect()
        gc.freeze()

    def _drained(self, revision: Revision, prepared: Prepared) -> None:
        self._retire(prepared)
        self._link.send(wire.Drained(revision.number))

    def _retire(self, prepared: Prepared) -> None:
        self._filters.retire(prepared.chains)
        if prepared is not self._active and self._active is not None:
            prepared.clusters.retire(self._active.clusters)

    # ---- listeners

    def _listen(self, listener: model.Listener, limits: model.Limits) -> None:
        pipeline = Pipeline(listener.name, self.services)
        context = ListenerContext(
            accept=pipeline.accept,
            scheme=b"https" if listener.certificates else b"http",
            limits=limits,
            deadlines=self.services.deadlines,
            clock=self.services.clock,
            next_id=self._next_connection,
            unhandled=self._on_unhandled,
            refused=partial(self._on_refused, listener.name),
        )
        self._contexts[listener.name] = context
        made = listen.Listener(listener, self._socket(listener.name), _codecs(listener, context))
        made.start()
        self._listeners[listener.name] = made
        if "h3" in listener.protocols:
            self._listen_quic(listener, context)

    def _listen_quic(self, listener: model.Listener, context: ListenerContext) -> None:
        """HTTP/3 beside TCP. Alt-Svc points to it only while it is up."""
        from edge.listen import quic, quic_seam

        quic_seam.install()
        sock = self._socket(listener.name + UDP)
        made = quic.QuicListener(listener, sock, context, self._keys, self._number, self._workers)
        made.start()
        self._quic[listener.name] = made
        port = listener.advertised_port or listener.port
        self.services.alt_svc[listener.name] = (b"alt-svc", b'h3=":%d"; ma=3600' % port)

    def _socket(self, name: str) -> socket.socket:
        sock = socket.socket(fileno=self._sockets[name])
        sock.setblocking(False)
        return sock

    def _connections(self) -> int:
        return sum(len(context.connections) for context in self._contexts.values())

    async def _drain(self, grace_s: float) -> None:
        """Accept no more, let exchanges end, then go; at the latest after `grace_s`."""
        for listener in list(self._listeners.values()):
            await listener.stop()
        self.services.alt_svc.clear()
        for quic in self._quic.values():
            await quic.stop()
        for context in self._contexts.values():
            context.drain()
        deadline = self._loop.time() + grace_s
        while self._connections() and self._loop.time() < deadline:
            await asyncio.sleep(DRAIN_POLL_S)
        for quic in self._quic.values():
            quic.close()
        self._tracer.flush()
        for log in self._access_logs.values():
            log.close()
        self._report()
        self._lines.flush()
        await asyncio.sleep(0)
        if not self._ended.done():
            self._ended.set_result(None)

    # ---- reports to the supervisor

    def _beat(self) -> None:
        self._report()
        self._loop.call_later(HEALTH_PERIOD_S, self._beat)

    def _report(self) -> None:
        active = self._active
        number = active.revision.number if active else 0
        exchanges = active.revision.active if active else 0
        self._link.send(wire.Health(self._number, number, self._connections(), exchanges))
        gauges = self._gauges
        gauges.requests(exchanges)
        gauges.connections({name: len(context.connections) for name, context in self._contexts.items()})
        gauges.upstreams(active.clusters if active else {})
        gauges.filters(self._filters.figures())
        gauges.lost_lines(sum(log.dropped for log in self._access_logs.values()), self._lines.dropped)
        self._link.send(wire.Counters(self._number, self._registry.samples()))

    def _on_refused(self, listener: str, error: EdgeError, client: bytes = b"", protocol: str = "") -> None:
        if self._active is not None:
            self._active.reports.refused(listener, error, client, protocol)

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


def _codecs(listener: model.Listener, context: ListenerContext) -> Callable[[], asyncio.Protocol]:
    """What speaks on a new TCP connection of `listener`. HTTP/2 is loaded only where it is spoken."""

    def h1() -> asyncio.Protocol:
        return H1Server(context)

    if "h2" not in listener.protocols and "h2c" not in listener.protocols:
        return h1
    from edge.codec.h2 import selftest
    from edge.codec.h2.server import H2Server

    selftest.check()

    def h2() -> asyncio.Protocol:
        return H2Server(context)

    switch = listen.AlpnSwitch if listener.certificates else listen.PrefaceSwitch
    return lambda: switch(h1, h2)


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

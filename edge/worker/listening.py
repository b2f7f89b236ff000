"""The listeners of a worker: what a revision changes about them, without a connection lost.

A listener that stands in both revisions keeps its socket and its connections; limits, protocols and
certificates are replaced, and the next head, connection or handshake sees the new ones. One whose
name comes with another socket has moved: the old one ends as if it had been removed.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from typing import Protocol

import msgspec

from edge import listen, model, wire
from edge.codec.context import ListenerContext
from edge.errors import EdgeError
from edge.exchange.revision import Revision, Services
from edge.pipeline import Pipeline
from edge.worker.codecs import check_codecs, codecs
from edge.worker.leaving import Leaving
from edge.worker.planned import UDP, Inode, Plan, Planned, Standing
from edge.worker.slices import Slices

Sockets = Mapping[str, socket.socket]


class TurnedAway(Protocol):
    """Hears of what a listener turned away: its name, and the rest as `codec.context.Refused`."""

    def __call__(self, listener: str, error: EdgeError, client: bytes = b"", protocol: str = "") -> None: ...


class Listening:
    """Every listener that serves, and those that are on their way out."""

    def __init__(
        self,
        services: Services,
        worker: int,
        workers: int,
        unhandled: Callable[[BaseException], None],
        refused: TurnedAway,
    ) -> None:
        self.keys = wire.GroupKeys(b"", b"")
        """What QUIC of all workers has in common; told before the first revision."""
        self._worker = worker
        self._workers = workers
        self._services = services
        self._unhandled = unhandled
        self._refused = refused
        self._standing: dict[str, Standing] = {}
        self._leaving: set[Leaving] = set()
        self._next_connection = count(1).__next__

    def connections(self) -> dict[str, int]:
        """By listener, those that are on their way out included."""
        shown = {name: len(standing.context.connections) for name, standing in self._standing.items()}
        for leaving in self._leaving:
            shown[leaving.name] = shown.get(leaving.name, 0) + leaving.connections()
        return shown

    def without_h3(self) -> dict[str, int]:
        """By listener: 1 where HTTP/3 should be and is not, 0 otherwise."""
        return {
            name: int(standing.quic is not None and standing.quic.is_down)
            for name, standing in self._standing.items()
        }

    def held(self) -> int:
        """How many exchanges revisions count that are none: they keep a revision for who is leaving."""
        return sum(leaving.pinned for leaving in self._leaving)

    def hold(self, held: bool) -> None:
        """Accept nothing while `held`."""
        for standing in self._standing.values():
            standing.tcp.hold(held)

    # ---- a revision

    async def plan(self, made: model.Model, sockets: Sockets, slices: Slices) -> Plan:
        """Make ready what `made` needs, beside what serves. `sockets` belong to the plan.

        Raises ValueError or ssl.SSLError when a listener has no socket or its certificates are no good.
        """
        plan = Plan(made.limits, sockets)
        try:
            for listener in made.listeners:
                if slices.due():
                    await slices.turn()
                for name in [listener.name, *([listener.name + UDP] if "h3" in listener.protocols else [])]:
                    if name not in sockets:
                        raise ValueError(f"listener {name!r} has no socket")
                check_codecs(listener)
                plan.planned[listener.name] = Planned(listener, self._standing.get(listener.name))
        except BaseException:
            plan.close()
            raise
        return plan

    def apply(self, plan: Plan, before: Revision | None) -> None:
        """Serve as planned from now on. What leaves is served by `before` to its end."""
        for name, standing in list(self._standing.items()):
            planned = plan.planned.get(name)
            if planned is None or not standing.tcp_socket.is_same(plan.sockets[name]):
                self._remove(name, before)
        for planned in plan.planned.values():
            standing_now = self._standing.get(planned.model.name)
            if standing_now is None:
                self._add(planned, plan)
            else:
                self._update(standing_now, planned, plan)
        plan.close()

    def set_certificates(self, name: str, certificates: list[model.Certificate]) -> None:
        """Use these from the next handshake on.

        Raises ValueError or ssl.SSLError, and changes nothing, when they are no good.
        """
        standing = self._standing.get(name)
        if standing is None or bool(certificates) is not bool(standing.model.certificates):
            raise ValueError(f"no listener {name!r} with certificates")
        planned = Planned(msgspec.structs.replace(standing.model, certificates=certificates), standing)
        standing.model = planned.model
        standing.tcp.replace(codecs(planned.model, standing.context), planned.context)
        standing.know_clients()
        if standing.quic is not None:
            standing.quic.replace(planned.certificates, standing.context.limits)

    # ---- the end

    async def stop(self) -> None:
        """Accept no more; every connection is told to end."""
        for name in list(self._standing):
            self._remove(name, None)
        await asyncio.gather(*(leaving.stopped() for leaving in self._leaving))

    def close(self) -> None:
        """End what is left."""
        for leaving in self._leaving:
            leaving.close()

    # ---- one listener

    def _add(self, planned: Planned, plan: Plan) -> None:
        listener = planned.model
        pipeline = Pipeline(listener.name, self._services)
        context = self._context(listener, pipeline, plan.limits)
        sock = plan.take(listener.name)
        tcp = listen.Listener(listener, sock, codecs(listener, context), planned.context)
        standing = Standing(listener, context, pipeline, tcp, sock)
        standing.know_clients()
        tcp.start()
        self._standing[listener.name] = standing
        if planned.certificates is not None:
            self._add_quic(standing, planned, plan)

    def _update(self, standing: Standing, planned: Planned, plan: Plan) -> None:
        was, listener = standing.model, planned.model
        standing.model = listener
        if bool(was.certificates) is not bool(listener.certificates):
            # What connections under way were told of their scheme must stay true, so they end.
            self._leave(Leaving(listener.name, context=standing.context))
            standing.context = self._context(listener, standing.pipeline, plan.limits)
        standing.context.limits = plan.limits
        standing.tcp.replace(codecs(listener, standing.context), planned.context)
        standing.know_clients()
        udp = plan.sockets.get(listener.name + UDP)
        quic_socket = standing.quic_socket
        if standing.quic is not None and (udp is None or quic_socket is None or not quic_socket.is_same(udp)):
            self._leave(Leaving(listener.name, quic=standing.quic))
            standing.quic = None
        if udp is not None and standing.quic is None:
            self._add_quic(standing, planned, plan)
        elif standing.quic is not None:
            standing.quic.replace(planned.certificates, plan.limits)
        self._show_alt_svc(standing)

    def _remove(self, name: str, before: Revision | None) -> None:
        standing = self._standing.pop(name)
        self._services.alt_svc.pop(name, None)
        if before is not None:
            standing.pipeline.pin(before)
        self._leave(
            Leaving(name, context=standing.context, tcp=standing.tcp, quic=standing.quic, revision=before)
        )

    def _leave(self, leaving: Leaving) -> None:
        self._leaving.add(leaving)
        leaving.start(self._leaving.discard)

    def _add_quic(self, standing: Standing, planned: Planned, plan: Plan) -> None:
        """HTTP/3 beside TCP. Alt-Svc points to it only while it is up."""
        from edge.listen import quic, quic_seam

        quic_seam.install()
        listener = standing.model
        sock = plan.take(listener.name + UDP)
        made = quic.QuicListener(
            *(listener, sock, standing.context, self.keys, self._worker, self._workers),
            certificates=planned.certificates,
            on_change=partial(self._show_alt_svc, standing),
        )
        standing.quic = made
        standing.quic_socket = Inode(sock)
        made.start()

    def _show_alt_svc(self, standing: Standing) -> None:
        """Tell clients of HTTP/3 while it is there, and no longer."""
        listener, shown = standing.model, self._services.alt_svc
        if self._standing.get(listener.name) is not standing:
            return  # it leaves: the name is another's, or nobody's
        if standing.quic is not None and standing.quic.is_up:
            port = listener.advertised_port or listener.port
            shown[listener.name] = (b"alt-svc", b'h3=":%d"; ma=3600' % port)
        else:
            shown.pop(listener.name, None)

    def _context(self, listener: model.Listener, pipeline: Pipeline, limits: model.Limits) -> ListenerContext:
        return ListenerContext(
            accept=pipeline.accept,
            scheme=b"https" if listener.certificates else b"http",
            limits=limits,
            deadlines=self._services.deadlines,
            clock=self._services.clock,
            next_id=self._next_connection,
            unhandled=self._unhandled,
            refused=partial(self._refused, listener.name),
            admission=self._services.admission,
        )

"""The revisions of a worker: prepared beside what runs, activated at once, drained, given back.

| message | a revision of that number | follows |
|---|---|---|
| Prepare | is built, in slices | Prepared, or Refused and everything given back |
| Abort | is prepared | given back |
| Abort | is being built | given back as soon as it is built |
| Abort | has come in part | forgotten |
| Activate | is prepared | it serves; the one before drains, and Drained follows its last exchange |
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable
from typing import Final

import msgspec

from edge import model, wire
from edge.exchange.revision import Revision
from edge.worker.building import Builder, Prepared
from edge.worker.garbage import Garbage
from edge.worker.listening import Listening
from edge.worker.slices import Slices

_log: Final = logging.getLogger("edge.worker")


class Revisions:
    """`on_active(prepared)` is called within the turn in which a revision begins to serve."""

    def __init__(
        self,
        builder: Builder,
        listening: Listening,
        garbage: Garbage,
        send: Callable[[wire.Up], object],
        on_active: Callable[[Prepared], None],
    ) -> None:
        self.active: Prepared | None = None
        self._builder = builder
        self._listening = listening
        self._garbage = garbage
        self._send = send
        self._on_active = on_active
        self._prepared: dict[int, Prepared] = {}
        self._draining: list[Prepared] = []
        self._building: dict[int, bool] = {}
        """By number: whether it is still wanted."""
        self._routes: dict[int, list[model.Route]] = {}
        """By revision: those that came before its Prepare."""
        self._tasks: set[asyncio.Task[None]] = set()

    def alive(self) -> list[Prepared]:
        """All that are prepared, active or draining; the active one first."""
        active = [self.active] if self.active is not None else []
        return [*active, *self._prepared.values(), *self._draining]

    def exchanges(self) -> int:
        """Under way, of all revisions."""
        return sum(each.revision.active for each in self.alive()) - self._listening.held()

    def routes(self, message: wire.Routes) -> None:
        """Some of a revision to come."""
        if message.revision not in self._routes:
            self._garbage.hold()
            self._routes[message.revision] = []
        self._routes[message.revision] += message.routes

    def prepare(self, message: wire.Prepare, descriptors: list[int]) -> None:
        """Build, and answer. `descriptors`: the model's, then those of the sockets; all are taken."""
        made = message.model
        self._building[message.revision] = True
        sockets = _sockets(message.sockets, descriptors)
        if message.revision in self._routes:
            routes = self._routes.pop(message.revision) + made.routes
            made = msgspec.structs.replace(made, routes=routes)
        else:
            self._garbage.hold()
        task = asyncio.get_running_loop().create_task(self._prepare(made, descriptors, sockets))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _prepare(
        self, made: model.Model, descriptors: list[int], sockets: dict[str, socket.socket]
    ) -> None:
        errors: list[str] = []
        prepared: Prepared | None = None
        try:
            prepared = await self._build(made, descriptors, sockets)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            errors = [f"{where}{error.strerror or error}"]
        except Exception as error:
            _log.exception("revision %d cannot be built", made.revision)
            errors = [f"{type(error).__name__}: {error}"]
        finally:
            self._garbage.release()
            wanted = self._building.pop(made.revision)
            for descriptor in descriptors:
                os.close(descriptor)
        if prepared is None:
            self._garbage.tidy()
            self._send(wire.Refused(made.revision, errors))
        elif wanted:
            self._prepared[made.revision] = prepared
            self._send(wire.Prepared(made.revision))
        else:
            self._give_back(prepared)

    async def _build(
        self, made: model.Model, descriptors: list[int], sockets: dict[str, socket.socket]
    ) -> Prepared:
        slices = Slices(time.perf_counter)
        plan = await self._listening.plan(made, sockets, slices)
        try:
            return await self._builder.build(made, descriptors, self.active, plan, slices)
        except BaseException:
            plan.close()
            raise

    def abort(self, number: int) -> None:
        """It is not wanted any more."""
        if number in self._building:
            self._building[number] = False
        if self._routes.pop(number, None) is not None:
            self._garbage.release()
        prepared = self._prepared.pop(number, None)
        if prepared is not None:
            self._give_back(prepared)

    def endpoints(self, message: wire.Endpoints) -> None:
        """What a cluster's endpoints are now, in the revisions it is for."""
        for prepared in self.alive():
            if message.revision in (0, prepared.revision.number):
                cluster = prepared.clusters.get(message.cluster)
                if cluster is not None:
                    cluster.update(message.endpoints, message.generation)

    def activate(self, number: int) -> None:
        """Every request from now on is served by it."""
        prepared = self._prepared.pop(number, None)
        if prepared is None:
            _log.error("revision %d was never prepared", number)
            return
        before, self.active = self.active, prepared
        self._on_active(prepared)
        self._listening.apply(prepared.plan, before.revision if before is not None else None)
        self._garbage.settle(at_once=before is None)
        if before is not None:
            self._draining.append(before)
            before.revision.drain(lambda revision: self._drained(revision, before))

    def _drained(self, revision: Revision, prepared: Prepared) -> None:
        # Within the end of its last exchange: what is given back may still be on the stack.
        asyncio.get_running_loop().call_soon(self._over, revision, prepared)

    def _over(self, revision: Revision, prepared: Prepared) -> None:
        if revision.active or prepared not in self._draining:
            return
        self._draining.remove(prepared)
        revision.on_drained = None  # it leads back here: nothing of a revision may hold itself
        self._give_back(prepared)
        self._send(wire.Drained(revision.number))

    def _give_back(self, prepared: Prepared) -> None:
        prepared.plan.close()
        for steps in self._builder.give_back(prepared, self.alive()):
            self._garbage.take_apart(steps)
        self._garbage.tidy()


def _sockets(names: list[str], descriptors: list[int]) -> dict[str, socket.socket]:
    """Sockets come last among `descriptors`, which are left with the model's."""
    first = len(descriptors) - len(names)
    sockets = {}
    for name, descriptor in zip(names, descriptors[first:], strict=True):
        made = sockets[name] = socket.socket(fileno=descriptor)
        made.setblocking(False)
    del descriptors[first:]
    return sockets

"""What a worker does with the revisions it is told of, and what is left of them."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterable, Iterator
from typing import cast

import pytest

from edge import model, wire
from edge.exchange.revision import Revision
from edge.route import RouteTable
from edge.telemetry.metrics import Registry
from edge.upstream import Clusters
from edge.worker.build import tables
from edge.worker.building import Builder, Prepared, names_of
from edge.worker.garbage import Garbage
from edge.worker.listening import Listening
from edge.worker.planned import Plan
from edge.worker.reporting import Reports
from edge.worker.revisions import Revisions
from edge.worker.slices import Slices
from tests.unit.worker.test_build import LISTENERS, FakeClusters, route, rule


class FakeListening:
    """Listens nowhere."""

    async def plan(self, made: model.Model, sockets: object, slices: Slices) -> Plan:
        return Plan(made.limits, {})

    def apply(self, plan: Plan, before: Revision | None) -> None:
        pass

    def held(self) -> int:
        return 0


class FakeBuilder:
    """Builds tables, and nothing else."""

    def __init__(self) -> None:
        self.made: list[weakref.ref[RouteTable]] = []

    async def build(
        self, made: model.Model, descriptors: list[int], active: object, plan: Plan, slices: Slices
    ) -> Prepared:
        names = names_of(made)
        clusters = cast(Clusters, FakeClusters({"one": object()}))
        reports = Reports(Registry(), None, 0.0)
        built = await tables(made, clusters, {}, reports, slices)
        self.made.append(weakref.ref(built["web"]))
        revision = Revision(made.revision, built, clusters, made.limits, None, reports)
        return Prepared(made, revision, clusters, {}, reports, plan, names)

    def give_back(self, prepared: Prepared, alive: Iterable[Prepared]) -> list[Iterator[None]]:
        return [table.taking_apart() for table in prepared.revision.tables.values()]


class Worker:
    """Revisions, and what they answered."""

    def __init__(self) -> None:
        self.sent: list[wire.Up] = []
        self.builder = FakeBuilder()
        self.revisions = Revisions(
            cast(Builder, self.builder),
            cast(Listening, FakeListening()),
            Garbage(asyncio.get_running_loop()),
            self.sent.append,
            lambda prepared: None,
        )

    async def serve(self, number: int) -> None:
        self.revisions.prepare(wire.Prepare(number, made(number)), [])
        await self.until(wire.Prepared(number))
        self.revisions.activate(number)

    async def until(self, message: wire.Up) -> None:
        async with asyncio.timeout(60):
            while message not in self.sent:
                await asyncio.sleep(0)


def made(number: int, *routes: model.Route) -> model.Model:
    return model.Model(
        revision=number,
        listeners=LISTENERS[:1],
        routes=list(routes) or [route(f"r{each}", rule(cluster="one"), on=["web"]) for each in range(50)],
        clusters=[],
    )


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    yield
    gc.enable()
    gc.unfreeze()


def test_nothing_of_a_revision_that_is_over_waits_for_the_collector() -> None:
    async def main() -> None:
        worker = Worker()
        await worker.serve(1)
        await worker.serve(2)
        gc.disable()
        first = worker.builder.made[0]
        await worker.until(wire.Drained(1))
        async with asyncio.timeout(60):
            while first() is not None:
                await asyncio.sleep(0)
        assert worker.builder.made[1]() is not None

    asyncio.run(main())


def test_an_exchange_keeps_its_revision_whole() -> None:
    async def main() -> None:
        worker = Worker()
        await worker.serve(1)
        assert worker.revisions.active is not None
        before = worker.revisions.active.revision
        before.active += 1
        await worker.serve(2)
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(before.tables["web"].filed) == 50 and wire.Drained(1) not in worker.sent
        before.release()
        await worker.until(wire.Drained(1))

    asyncio.run(main())


def test_routes_of_a_revision_that_is_aborted_before_it_has_come_are_forgotten() -> None:
    async def main() -> None:
        worker = Worker()
        await worker.serve(1)
        worker.revisions.routes(wire.Routes(2, made(2).routes))
        worker.revisions.routes(wire.Routes(2, made(2).routes))
        assert not gc.isenabled()
        worker.revisions.abort(2)
        assert gc.isenabled()
        worker.revisions.abort(2)
        worker.revisions.routes(wire.Routes(3, made(3).routes))
        worker.revisions.prepare(wire.Prepare(3, made(3, route("last", rule(cluster="one"), on=["web"]))), [])
        await worker.until(wire.Prepared(3))
        assert gc.isenabled()
        worker.revisions.activate(3)
        assert worker.revisions.active is not None
        filed = worker.revisions.active.revision.tables["web"].filed
        assert len(filed) == 51 and filed[-1][1].rule.route == "last"

    asyncio.run(main())

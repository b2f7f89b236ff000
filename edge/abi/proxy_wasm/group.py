"""A group: filters that stand side by side in a chain and share Stores, and the life of those Stores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar
from weakref import WeakSet

from edge import model
from edge.abi.life import Life
from edge.abi.proxy_wasm.cell import Cell
from edge.abi.proxy_wasm.express import ProxyWasmExpress
from edge.abi.proxy_wasm.express_traced import TracedExpress
from edge.abi.proxy_wasm.filter import ProxyWasmFilter
from edge.abi.proxy_wasm.host import ProxyWasmModule
from edge.abi.proxy_wasm.layout import GUESTS_LIMIT
from edge.abi.services import HostServices
from edge.chain.filter import Phase
from edge.chain.host import ChainHost
from edge.chain.plan import ChainPlan
from edge.errors import FilterUnavailable
from edge.head import RequestHead

T = TypeVar("T")


class Figures(NamedTuple):
    """Of a group's cells: `calls` and `cpu_s` since the start, `memory_bytes` by slot now."""

    cells: int
    calls: int
    cpu_s: float
    memory_bytes: list[int]


class Group:
    """At most `GUESTS_LIMIT` filters, slot n of a cell is `filters[n]`."""

    def __init__(self, filters: tuple[ProxyWasmFilter, ...], shared: bool, services: HostServices) -> None:
        self.filters = filters
        self.name = "+".join(bound.name for bound in filters)
        self._cells: WeakSet[Cell] = WeakSet()
        self._shared = shared
        self._retired = False
        self._fresh: tuple[RequestHead, Cell] | None = None
        self.calls = 0
        """Driver calls into cells that are gone."""
        self.spent_ns = 0
        self.life: Life[Cell] = Life(self.name, self._make, _Attaching(self, services), services, shared)

    def prepare(self, done: Callable[[Exception | None], None]) -> None:
        """Start the first cell on `warm`; `done` gets why it could not be started, or None."""
        self.life.prepare(done)

    def _make(self, inline: bool) -> Cell:
        cell = Cell(self, inline)
        self._cells.add(cell)
        return cell

    def delivered(self, result: object) -> None:
        """The life has taken what `warm` made; a trial of Request isolation is over with that."""
        if isinstance(result, Cell) and not self._shared:
            result.discard()
        self.attach_current()

    def attach_current(self) -> None:
        """Whatever the life put in charge begins to serve."""
        current = self.life.current
        if current is not None and not current.attached and not self._retired:
            current.attach()

    def acquire(self, request: RequestHead, slot: int) -> Cell | FilterUnavailable:
        """A cell when there is no current one; the filters of one exchange get the same fresh one."""
        fresh, self._fresh = self._fresh, None
        if slot and fresh is not None and fresh[0] is request and not fresh[1].dead:
            found: Cell | FilterUnavailable = fresh[1]
        else:
            found = self.life.acquire()
        if isinstance(found, FilterUnavailable):
            return FilterUnavailable(found.detail, self.filters[slot].name)
        if slot + 1 < len(self.filters) and not self.life.keeps(found):
            self._fresh = (request, found)
        if not found.attached:
            found.attach()
        return found

    def express(
        self, plan: ChainPlan, host: ChainHost, sampled: bool, clock_ns: Callable[[], int]
    ) -> ProxyWasmExpress | None:
        """See `edge.chain.plan.Express`; for a plan of exactly these filters."""
        cell = self.life.current
        if cell is None or not cell.attached:
            return None
        lane = TracedExpress if sampled else ProxyWasmExpress
        return lane(plan, host, clock_ns, cell)

    def figures(self) -> Figures:
        """What the cells cost, since the start and now."""
        cells = [cell for cell in self._cells if not cell.dead]
        return Figures(
            len(cells),
            self.calls + sum(cell.budget.call for cell in cells),
            (self.spent_ns + sum(cell.budget.spent_ns for cell in cells)) / 1e9,
            [sum(cell.instances[slot].memory_bytes() for cell in cells) for slot in range(len(self.filters))],
        )

    def account(self, cell: Cell) -> None:
        """A cell is gone."""
        self.calls += cell.budget.call
        self.spent_ns += cell.budget.spent_ns

    def fits_express(self) -> bool:
        """Whether every filter wants the request's head, and none a body or trailers."""
        return self._shared and all(
            bound.phases & ~Phase.RESPONSE_HEAD == Phase.REQUEST_HEAD for bound in self.filters
        )

    def cell_trapped(self, cell: Cell) -> None:
        """Called once by a cell that just died."""
        self.life.trapped(cell)
        self.attach_current()

    def retire(self) -> None:
        """No new exchange will come; cells end with their last one."""
        self._retired = True
        self._fresh = None
        self.life.retire()
        for cell in list(self._cells):
            cell.retire()
        for bound in self.filters:
            bound.part()


class _Attaching:
    """The warm thread as the life sees it: what it put in charge is attached on the loop."""

    def __init__(self, owner: Group, services: HostServices) -> None:
        self._owner = owner
        self._warm = services.warm

    def submit(self, job: Callable[[], T], done: Callable[[T | Exception], None]) -> None:
        def delivered(result: T | Exception) -> None:
            done(result)
            self._owner.delivered(result)

        self._warm.submit(job, delivered)


def may_share(one: model.Filter, other: model.Filter) -> bool:
    """Whether two filters side by side in a chain may live in one Store: equal bounds, equal handling."""
    return (
        one.isolation == other.isolation == "Shared"
        and one.abi.startswith("proxy-wasm/")
        and other.abi.startswith("proxy-wasm/")
        and (one.limits, one.fail_open, one.non_utf8) == (other.limits, other.fail_open, other.non_utf8)
    )


def grouped(chain: Sequence[model.Filter]) -> list[tuple[model.Filter, ...]]:
    """The filters of a chain in order, cut into groups that may share a Store."""
    groups: list[tuple[model.Filter, ...]] = []
    for made in chain:
        last = groups[-1] if groups else ()
        if last and len(last) < GUESTS_LIMIT and may_share(last[-1], made):
            groups[-1] = (*last, made)
        else:
            groups.append((made,))
    return groups


def bind_group(
    made: Sequence[model.Filter], modules: Sequence[ProxyWasmModule], services: HostServices
) -> Group:
    """The filters of one group over their modules; call `prepare` before the revision serves.

    More than one only where `may_share` says so.
    """
    filters = tuple(
        ProxyWasmFilter(one, module, services, slot)
        for slot, (one, module) in enumerate(zip(made, modules, strict=True))
    )
    group = Group(filters, made[0].isolation == "Shared", services)
    for bound in filters:
        bound.join(group)
    return group


def bind_filter(made: model.Filter, module: ProxyWasmModule, services: HostServices) -> ProxyWasmFilter:
    """A filter in a Store of its own."""
    return bind_group((made,), (module,), services).filters[0]

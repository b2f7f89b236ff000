"""The express lane of a sampled exchange: one crossing a guest, so that the times of each are real."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from time import perf_counter_ns
from typing import Final

from edge.abi.proxy_wasm import drain
from edge.abi.proxy_wasm.cell import Cell
from edge.abi.proxy_wasm.express import LEFTOVER, OPS, STOPPED, STOPS, ProxyWasmExpress
from edge.abi.proxy_wasm.instance import Instance
from edge.abi.proxy_wasm.layout import GUEST_SHIFT, ONE_STEP, RETURNED, Control
from edge.chain.adopted import AdoptedRun
from edge.chain.filter import Direction, FilterRecord
from edge.chain.host import ChainHost
from edge.chain.plan import ChainPlan
from edge.head import RequestHead, ResponseHead
from edge.wasm.budget import UNTIMED

_REQUEST, _RESPONSE = Direction.REQUEST, Direction.RESPONSE
_LEFT: Final = Control.LEFT // 2


class TracedExpress(ProxyWasmExpress):
    """Leaves the records that the general run leaves.

    `_direction` is that of the walk under way, None once the end has begun; `_record` takes down what the
    guest that runs does through answers of the world.
    """

    __slots__ = ("_direction", "_kept", "_record")

    sampled = True

    def __init__(self, plan: ChainPlan, host: ChainHost, clock_ns: Callable[[], int], cell: Cell) -> None:
        ProxyWasmExpress.__init__(self, plan, host, clock_ns, cell)
        self._kept: list[FilterRecord] = []
        self._record: FilterRecord | None = None
        self._direction: Direction | None = None

    @property
    def records(self) -> Sequence[FilterRecord]:
        return self._kept if self.run is None else self.run.records

    def enter(self, instance: Instance, call: int) -> None:
        """From its first question on, what the answers to a guest take is told from its own time."""
        if self._entered == instance.slot or self._direction is None:
            super().enter(instance, call)
            return
        instance.timed, instance.host_ns = True, 0
        slot = instance.slot
        self._record = FilterRecord(self.plan[slot].name, slot, self._direction, 0)
        super().enter(instance, call)
        self._made[slot][1].record = self._record

    # ---- the walks, guest by guest

    def _walk_request(self, head: RequestHead, end: bool, size: int, count: int) -> bool:
        cell = self._cell
        args = cell.args
        args[2], args[4], args[6], args[8] = self._id, size, count, end
        cell.wide[_LEFT] = cell.allowance
        return self._walk(_REQUEST, range(cell.last + 1), cell.group_request_head, head, end)

    def _walk_response(self, head: ResponseHead, end: bool, size: int, count: int) -> bool:
        cell = self._cell
        args = cell.args
        args[2], args[4], args[6], args[8], args[10] = self._id, size, count, end, True
        return self._walk(_RESPONSE, range(cell.last, -1, -1), cell.group_response_head, head, end)

    def _walk(
        self,
        direction: Direction,
        slots: Iterable[int],
        driver: Callable[[], int],
        head: RequestHead | ResponseHead,
        end: bool,
    ) -> bool:
        """As `_cross` for one guest after the other, with figures of each. A driver leaves its arguments."""
        cell = self._cell
        args, wide, budget, kept = cell.args, cell.wide, cell.budget, self._kept
        self._direction = direction
        self._entered = -1
        budget.call = call = budget.call + 1  # whose turn it is tells the guests apart
        cross = driver if call & UNTIMED else partial(budget.timed, driver)
        wide[1] = cell.now_ns()
        offset_ns = self._clock_ns() - perf_counter_ns()
        for slot in slots:
            args[0] = slot | ONE_STEP
            before = wide[_LEFT + slot]
            cell.lane = self
            begun = perf_counter_ns()
            error = cross()
            ended = perf_counter_ns()
            cell.lane = None
            instance = cell.instances[slot]
            record = FilterRecord(
                instance.owner.name, slot, direction, offset_ns + begun, offset_ns + ended, ended - begun,
                1, before - wide[0], instance.memory_bytes(),
            )  # fmt: skip
            kept.append(record)
            entered = self._entered
            if entered >= 0:
                self._tell_apart(record, instance)
            word = args[0]
            if word != RETURNED | slot << GUEST_SHIFT or budget.used_ns:
                self._error = error
                if not self._took(slot, head, end, word):
                    return False
            if entered >= 0:
                self._entered = -1
            args[10] = False
        self._left = bytes(cell.left_words)
        return True

    def _tell_apart(self, record: FilterRecord, instance: Instance) -> None:
        """The guest asked for something: what answering took is not its own time."""
        instance.timed = False
        record.host_ns = instance.host_ns
        record.guest_ns -= instance.host_ns
        if self._record is not None:
            record.edits = self._record.edits
        self._made[record.position][1].record = record

    def _took(self, slot: int, head: RequestHead | ResponseHead, end: bool, word: int) -> bool:
        """Take up what the guest left; False = the general run has taken over."""
        cell, record = self._cell, self._kept[-1]
        if word >= RETURNED and cell.budget.used_ns:
            self._used_ns = cell.budget.take_used()
            if self._used_ns:
                word |= STOPPED
        if word < RETURNED or word & STOPS:
            self._left = bytes(cell.left_words)
            self._hand_over(record.direction, head, end, word)
            return False
        if word & OPS:
            names = self._edit(head, word)[::2]
            record.edits = [name.decode("ascii", "replace") for name in names]
        if word & LEFTOVER:
            drain.drain(cell.instances[slot], word, self.context(slot))
        return True

    # ---- what follows

    def _adopt(self, run: AdoptedRun, head: RequestHead, reached: int) -> None:
        run.records = self._kept
        super()._adopt(run, head, reached)

    def _end(self) -> None:
        self._direction = None
        super()._end()

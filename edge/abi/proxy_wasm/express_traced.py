"""The express lane of a sampled exchange: one crossing a guest, so that the times of each are real."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
_HALF: Final = 0xFFFFFFFF


class TracedExpress(ProxyWasmExpress):
    """Leaves the records that the general run leaves.

    `_record` is of the guest that runs, or ran last; None once the end has begun.
    """

    __slots__ = ("_kept", "_record")

    sampled = True

    def __init__(self, plan: ChainPlan, host: ChainHost, clock_ns: Callable[[], int], cell: Cell) -> None:
        ProxyWasmExpress.__init__(self, plan, host, clock_ns, cell)
        self._kept: list[FilterRecord] = []
        self._record: FilterRecord | None = None

    @property
    def records(self) -> Sequence[FilterRecord]:
        return self._kept if self.run is None else self.run.records

    def enter(self, instance: Instance, call: int) -> None:
        """The first question of a guest: from now on what the answers take is told from its own time."""
        if self._entered != instance.slot and self._record is not None:
            instance.timed, instance.host_ns = True, 0
        super().enter(instance, call)
        self._made[instance.slot][1].record = self._record

    # ---- the walks, guest by guest

    def _walk_request(self, head: RequestHead, end: bool, size: int, count: int) -> bool:
        cell = self._cell
        args, wide = cell.args, cell.wide
        wide[1] = cell.now_ns()
        wide[_LEFT] = cell.allowance
        number, driver = self._id, cell.group_request_head
        offset_ns = self._clock_ns() - perf_counter_ns()
        for slot, bound in enumerate(self.plan):
            args[0], args[2], args[4], args[6], args[8] = slot | ONE_STEP, number, size, count, end
            record = FilterRecord(bound.name, slot, _REQUEST, 0)
            word = self._step(record, slot, driver, offset_ns)
            if word != RETURNED | slot << GUEST_SHIFT and not self._took(record, head, end, word):
                return False
        self._left = bytes(cell.left_words)
        return True

    def _walk_response(self, head: ResponseHead, end: bool, size: int, count: int) -> bool:
        cell = self._cell
        args, plan = cell.args, self.plan
        cell.wide[1] = cell.now_ns()
        number, driver, last = self._id, cell.group_response_head, cell.last
        offset_ns = self._clock_ns() - perf_counter_ns()
        for slot in range(last, -1, -1):
            args[0], args[2], args[4], args[6], args[8] = slot | ONE_STEP, number, size, count, end
            args[10] = slot == last
            record = FilterRecord(plan[slot].name, slot, _RESPONSE, 0)
            word = self._step(record, slot, driver, offset_ns)
            if word != RETURNED | slot << GUEST_SHIFT and not self._took(record, head, end, word):
                return False
        self._left = bytes(cell.left_words)
        return True

    def _step(self, record: FilterRecord, slot: int, driver: Callable[[], int], offset_ns: int) -> int:
        """As `_cross`, for one guest, with its figures; `offset_ns` + the finer clock = wall time."""
        cell = self._cell
        wide, budget = cell.wide, cell.budget
        before = wide[_LEFT + slot]
        cell.lane = self
        self._entered = -1
        self._record = record
        self._kept.append(record)
        budget.call = call = budget.call + 1
        begun = perf_counter_ns()
        error = driver() if call & UNTIMED else budget.timed(driver)
        ended = perf_counter_ns()
        cell.lane = None
        record.start_ns = offset_ns + begun
        record.end_ns = offset_ns + ended
        record.guest_ns = ended - begun
        record.calls = 1
        left = wide[0]
        record.host_calls = (before & _HALF) - (left & _HALF)
        record.bytes_out = (before >> 32) - (left >> 32)
        instance = cell.instances[slot]
        record.memory_bytes = instance.memory_bytes()
        if self._entered >= 0:
            instance.timed = False
            record.host_ns = instance.host_ns
            record.guest_ns -= instance.host_ns
        word = cell.args[0]
        if word < RETURNED:
            self._error = error
        elif budget.used_ns:
            self._used_ns = budget.take_used()
            return word | STOPPED if self._used_ns else word
        return word

    def _took(self, record: FilterRecord, head: RequestHead | ResponseHead, end: bool, word: int) -> bool:
        """Take up what the guest left; False = the general run has taken over."""
        cell = self._cell
        if word < RETURNED or word & STOPS:
            self._left = bytes(cell.left_words)
            self._hand_over(record.direction, head, end, word)
            return False
        if word & OPS:
            names = self._edit(head, word)[::2]
            record.edits = [name.decode("ascii", "replace") for name in names]
        if word & LEFTOVER:
            drain.drain(cell.instances[record.position], word, self.context(record.position))
        return True

    # ---- what follows

    def _adopt(self, run: AdoptedRun, head: RequestHead, reached: int) -> None:
        run.records = self._kept
        super()._adopt(run, head, reached)

    def _end(self) -> None:
        self._record = None
        super()._end()

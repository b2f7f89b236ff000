"""The express lane of a sampled exchange: one crossing a guest, so that the times of each are real."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from time import perf_counter_ns
from typing import Final

from edge.abi.proxy_wasm import drain
from edge.abi.proxy_wasm.cell import Cell
from edge.abi.proxy_wasm.express import LEFTOVER, OPS, STOPS, ProxyWasmExpress
from edge.abi.proxy_wasm.instance import Instance
from edge.abi.proxy_wasm.layout import ONE_STEP, RETURNED, Control, Flag
from edge.chain.adopted import AdoptedRun
from edge.chain.filter import Direction, FilterRecord
from edge.chain.host import ChainHost
from edge.chain.passage import Passage, edited, recorded
from edge.chain.plan import ChainPlan
from edge.head import RequestHead, ResponseHead
from edge.wasm.budget import UNTIMED

_REQUEST, _RESPONSE = Direction.REQUEST, Direction.RESPONSE
_FIRST: Final = int(Control.TOLD_FIRST)
_CAME, _LEFT = Control.CAME_WORD // 2, Control.LEFT // 2
_WORD: Final = ~int(Flag.OPS | Flag.MIXED)
"""Of the word, all but whether and how the head was edited."""


class TracedExpress(ProxyWasmExpress):
    """Leaves the records that the general run leaves.

    `_direction` is that of the walk under way, None once the end has begun; `_record` takes down what the
    guest that runs does through answers of the world.
    """

    __slots__ = ("_direction", "_kept", "_record")

    sampled = True

    def __init__(self, plan: ChainPlan, host: ChainHost, clock_ns: Callable[[], int], cell: Cell) -> None:
        ProxyWasmExpress.__init__(self, plan, host, clock_ns, cell)
        self._kept: list[FilterRecord | Passage] = []
        self._record: FilterRecord | None = None
        self._direction: Direction | None = None

    @property
    def records(self) -> Sequence[FilterRecord]:
        return recorded(self._kept) if self.run is None else self.run.records

    @property
    def kept(self) -> Sequence[FilterRecord | Passage]:
        return self._kept if self.run is None else self.run.records

    def enter(self, instance: Instance, call: int) -> None:
        """From its first question on, what the answers to a guest take is told from its own time."""
        if self._entered == self._turn(instance.slot) or self._direction is None:
            super().enter(instance, call)
            return
        instance.timed, instance.host_ns = True, 0
        slot = instance.slot
        self._record = FilterRecord(self.plan[slot].name, slot, self._direction, 0)
        super().enter(instance, call)
        self._context(slot)[1].record = self._record

    # ---- the walks, guest by guest

    def _ask_request(self, head: RequestHead, end: bool) -> bool:
        cell = self._cell
        laid = self._laid(head, cell.request_arena)
        if laid is None:
            self._start_over(head, end)
            return False
        self.request = head
        self._id = number = cell.take_id()
        cell.lanes[number] = self
        return self._walk(_REQUEST, range(cell.last + 1), cell.group_request_head, *laid, head, end)

    def _ask_response(self, head: ResponseHead, end: bool) -> bool:
        cell = self._cell
        laid = self._laid(head, cell.response_arena)
        if laid is None:
            self.general().response_head(head, end)
            return False
        self.response = head
        return self._walk(_RESPONSE, range(cell.last, -1, -1), cell.group_response_head, *laid, head, end)

    def _laid(self, head: RequestHead | ResponseHead, at: int) -> tuple[int, int] | None:
        """(bytes, fields) of `head`, which lies at `at` now; None where guests cannot be shown it."""
        data, count = head._encoded or head.encoded()
        shown = self._shown(data)
        if shown is None:
            return None
        size = len(shown)
        self._cell.memory[at : at + size] = shown
        return size, count

    def _walk(
        self,
        direction: Direction,
        slots: Iterable[int],
        driver: Callable[[], int],
        size: int,
        count: int,
        head: RequestHead | ResponseHead,
        end: bool,
    ) -> bool:
        """As `_cross` for one guest after the other, with figures of each."""
        cell = self._cell
        control, wide, budget, kept = cell.control, cell.wide, cell.budget, self._kept
        self._direction = direction
        self._entered = -1
        budget.call = call = budget.call + 1  # whose turn it is tells the guests apart
        cross = driver if call & UNTIMED else partial(budget.timed, driver)
        tell, now_ns, clock_ns = cell.tell, cell.now_ns, self._clock_ns
        tell(cell.block, 0, now_ns(), self._id, 0, size, count, end, True, self._left)
        offset_ns = clock_ns() - perf_counter_ns()
        instances, plain = cell.instances, cell.plain_words
        cell.lane = self
        for slot in slots:
            control[_FIRST] = slot | ONE_STEP
            wide[_CAME] = 0
            before = wide[_LEFT + slot]
            begun = perf_counter_ns()
            error = cross()
            ended = perf_counter_ns()
            instance = instances[slot]
            word, name, spent = wide[_CAME], instance.owner.name, before - wide[0]
            if word & _WORD == plain[slot] and self._entered < 0 and not budget.used_ns:
                edits = self._edit(head, word) if word & OPS else ()
                memory_bytes = instance.memory_bytes
                shape = name, slot, direction, spent, memory_bytes(), edits
                kept.append((shape, offset_ns + begun, offset_ns + ended))
            else:
                cell.lane = None
                record = FilterRecord(
                    name, slot, direction, offset_ns + begun, offset_ns + ended, ended - begun,
                    1, spent, instance.memory_bytes(),
                )  # fmt: skip
                kept.append(record)
                self._error = error
                *_, self._left = cell.came()
                if not self._settle(record, head, end, word):
                    return False
                cell.lane = self
        cell.lane, came = None, cell.came
        *_, self._left = came()
        return True

    def _settle(self, record: FilterRecord, head: RequestHead | ResponseHead, end: bool, word: int) -> bool:
        """Take up what a guest left that did more than pass; False = the general run has taken over."""
        if self._entered >= 0:
            self._tell_apart(record, self._cell.instances[record.position])
        taken = self._took(record, head, end, word)
        if taken:
            self._entered = -1
        return taken

    def _tell_apart(self, record: FilterRecord, instance: Instance) -> None:
        """The guest asked for something: what answering took is not its own time."""
        instance.timed = False
        record.host_ns = instance.host_ns
        record.guest_ns -= instance.host_ns
        if self._record is not None:
            record.edits = self._record.edits
        self._context(record.position)[1].record = record

    def _took(self, record: FilterRecord, head: RequestHead | ResponseHead, end: bool, word: int) -> bool:
        cell, slot = self._cell, record.position
        word = self._charged(word)
        if word < RETURNED or word & STOPS:
            self._hand_over(record.direction, head, end, word)
            return False
        if word & OPS:
            record.edits = edited(self._edit(head, word))
        if word & LEFTOVER:
            drain.drain(cell.instances[slot], word, self.context(slot))
        return True

    # ---- what follows

    def _adopt(self, run: AdoptedRun, head: RequestHead, reached: int) -> None:
        run.records = recorded(self._kept)
        super()._adopt(run, head, reached)

    def _end(self) -> None:
        self._direction = None
        super()._end()

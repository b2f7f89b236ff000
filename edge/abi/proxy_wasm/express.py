"""The express lane of a cell: one crossing a phase for all guests, and no object for any of them.

A `StreamContext` is made for a guest only when it asks the world for something of the exchange,
logs, or does what the general run has to take up.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Final

from edge.abi.proxy_wasm import drain, edits
from edge.abi.proxy_wasm.cell import Cell
from edge.abi.proxy_wasm.exchange import StreamContext
from edge.abi.proxy_wasm.instance import Instance
from edge.abi.proxy_wasm.layout import MAP_LIMIT_BYTES, RETURNED, Control, Flag, World
from edge.chain.adopted import AdoptedRun
from edge.chain.express import ExpressRun
from edge.chain.express_port import ExpressPort
from edge.chain.filter import Action, Direction
from edge.chain.host import ChainHost
from edge.chain.plan import ChainPlan
from edge.head import RequestHead, ResponseHead
from edge.wasm.budget import UNTIMED

_REQUEST, _RESPONSE = int(Direction.REQUEST), int(Direction.RESPONSE)
OPS, _MIXED, STOPPED = int(Flag.OPS), int(Flag.MIXED), int(Flag.STOPPED)
LEFTOVER: Final = int(Flag.LOGS | Flag.METRICS | Flag.NOTES)
_OPS_COUNT, _OPS_SIZE, _STOP = int(Control.OPS), int(Control.OPS_BYTES), int(Control.STOP)
_MARK, _MARK_SIZE, _GUEST = int(Control.MARK_OPS), int(Control.MARK_BYTES), int(Control.GUEST)
_ANSWER: Final = 0xFF
STOPS: Final = _ANSWER | STOPPED
"""Bits of a word with which the general run takes over."""
_ALLOWANCE: Final = Struct("<Q")
_QUIET: Final = frozenset(
    int(call)
    for call in (
        *(World.LOAD, World.PROPERTY, World.BUFFER, World.BUFFER_SIZE, World.PULL, World.PUSH),
        *(World.SHARED_GET, World.SHARED_SET, World.METRIC, World.METRIC_VALUE, World.METRICS),
        World.RANDOM,
    )
)
"""World calls after which the lane goes on: they only read, or change nothing of the exchange."""


class ProxyWasmExpress(ExpressRun):
    """`_made`: contexts and their ports by slot, as far as needed. `_left`: what each guest may still use."""

    __slots__ = ("_cell", "_entered", "_error", "_id", "_left", "_made", "_used_ns")

    def __init__(self, plan: ChainPlan, host: ChainHost, clock_ns: Callable[[], int], cell: Cell) -> None:
        ExpressRun.__init__(self, plan, host, clock_ns)
        self._cell = cell
        self._id = 0
        self._left = b""
        self._entered = -1
        self._error = self._used_ns = 0
        self._made: dict[int, tuple[StreamContext, ExpressPort]] = {}

    # What the cell asks

    def enter(self, instance: Instance, call: int) -> None:
        """A guest asks the world in a crossing of this exchange."""
        if self._entered != instance.slot:
            self._entered = instance.slot
            instance.current = self.context(instance.slot)
        if call not in _QUIET:
            self._cell.control[_STOP] = 1

    def context(self, slot: int) -> StreamContext:
        """The context of a guest in this exchange, made now if there was none."""
        made = self._made.get(slot)
        if made is None:
            assert self.request is not None
            port = ExpressPort(self, self.request)
            made = self._made[slot] = (StreamContext(self._cell.instances[slot], port, self._id), port)
        return made[0]

    # The request

    def _ask_request(self, head: RequestHead, end: bool) -> bool:
        data, count = head._encoded or head.encoded()
        if len(data) > MAP_LIMIT_BYTES or not data.isascii():
            shown = self._shown(data)
            if shown is None:
                self._start_over(head, end)
                return False
            data = shown
        cell = self._cell
        self.request = head
        self._id = number = cell.next_id
        cell.next_id = number + 1
        cell.lanes[number] = self
        size, at = len(data), cell.request_arena
        cell.memory[at : at + size] = data
        cell.wide[0] = cell.allowance
        return self._walk_request(head, end, size, count)

    def _walk_request(self, head: RequestHead, end: bool, size: int, count: int) -> bool:
        cell = self._cell
        args, driver = cell.args, cell.group_request_head
        args[0], args[2], args[4], args[6], args[8] = 0, self._id, size, count, end
        word = self._cross(driver)
        while word & ~_MIXED != cell.ran_up:
            if word == cell.ran_up_plain:
                return True
            if not self._passes(_REQUEST, head, end, word):
                return False
            first = cell.control[_GUEST] + 1
            if first > cell.last:
                return True
            args[0], args[2], args[4], args[6], args[8] = first, self._id, size, count, end
            word = self._cross(driver)
        self._edit(head, word)
        return True

    def _ask_response(self, head: ResponseHead, end: bool) -> bool:
        data, count = head._encoded or head.encoded()
        if len(data) > MAP_LIMIT_BYTES or not data.isascii():
            shown = self._shown(data)
            if shown is None:
                # No filter can be asked about this response here.
                self.general().response_head(head, end)
                return False
            data = shown
        cell = self._cell
        self.response = head
        size, at = len(data), cell.response_arena
        cell.memory[at : at + size] = data
        cell.left_words[:] = self._left
        return self._walk_response(head, end, size, count)

    def _walk_response(self, head: ResponseHead, end: bool, size: int, count: int) -> bool:
        cell = self._cell
        args, driver = cell.args, cell.group_response_head
        args[0], args[2], args[4], args[6], args[8], args[10] = cell.last, self._id, size, count, end, True
        word = self._cross(driver)
        while word & ~_MIXED != cell.ran_down:
            if word == cell.ran_down_plain:
                return True
            if not self._passes(_RESPONSE, head, end, word):
                return False
            first = cell.control[_GUEST] - 1
            if first < 0:
                return True
            args[0], args[2], args[4], args[6], args[8], args[10] = first, self._id, size, count, end, False
            word = self._cross(driver)
        self._edit(head, word)
        return True

    def _shown(self, data: bytes) -> bytes | None:
        """A head that is long, or not all ASCII, as filters may see it; None when they may not here."""
        shown = data if data.isascii() else self._cell.group.filters[0].shown(data)
        return None if shown is None or len(shown) > MAP_LIMIT_BYTES else shown

    # One crossing

    def _cross(self, bound: Callable[[], int]) -> int:
        """Arguments are set; gives the driver's word, smaller than RETURNED after a trap."""
        cell = self._cell
        cell.lane = self
        self._entered = -1
        budget = cell.budget
        budget.call = call = budget.call + 1
        cell.wide[1] = cell.now_ns()
        error = bound() if call & UNTIMED else budget.timed(bound)
        cell.lane = None
        word = cell.args[0]
        if word < RETURNED:
            self._error = error
            return word
        self._left = bytes(cell.left_words)
        if budget.used_ns:
            self._used_ns = budget.take_used()
            if self._used_ns:
                return word | STOPPED
        return word

    def _edit(self, head: RequestHead | ResponseHead, word: int) -> list[bytes]:
        """Take over what all guests wrote; none of it can fail. Gives the names and values in turn."""
        cell = self._cell
        control = cell.control
        at = cell.ops_at
        parts = bytes(cell.memory[at : at + control[_OPS_SIZE] - 1]).split(b"\0")
        if word & _MIXED:
            edits.edit_head(head, cell.op_words[: control[_OPS_COUNT]].tolist(), parts)
        elif len(parts) == 2:
            head.fields.append((parts[0], parts[1]))
            head._encoded = None
        else:
            head.fields.extend(zip(parts[::2], parts[1::2], strict=True))
            head._encoded = None
        return parts

    # What is not plain

    def _passes(self, direction: int, head: RequestHead | ResponseHead, end: bool, word: int) -> bool:
        """Take up what the guest that came last left; False = the general run has taken over."""
        if word < RETURNED or word & STOPS:
            self._hand_over(direction, head, end, word)
            return False
        if word & OPS:
            self._edit(head, word)
        if word & LEFTOVER:
            slot = self._cell.control[_GUEST]
            drain.drain(self._cell.instances[slot], word, self.context(slot))
        return True

    def _hand_over(self, direction: int, head: RequestHead | ResponseHead, end: bool, word: int) -> None:
        """The callback of the guest that came last is ended by the general run."""
        cell = self._cell
        control = cell.control
        slot = control[_GUEST]
        context = self.context(slot)
        if self._entered != slot:
            context.instance.current = context
        mark, size = control[_MARK], control[_MARK_SIZE]
        at = cell.ops_at
        if mark:
            before = bytes(cell.memory[at : at + size - 1]).split(b"\0")
            edits.edit_head(head, cell.op_words[:mark].tolist(), before)
        words = cell.op_words[mark : control[_OPS_COUNT]].tolist()
        payload = bytes(cell.memory[at + size : at + control[_OPS_SIZE] - 1]) if words else b""

        def answer() -> Action:
            if word < RETURNED:
                return context.trapped(cell.store.trap(self._error))
            return context.crossed(direction, word & ~(OPS | _MIXED | STOPPED), words, payload, self._used_ns)

        if isinstance(head, RequestHead):
            self._adopted(slot + 1).end_request_callback(answer)
        else:
            run = self._adopted(len(self.plan))
            run.adopt_request_left()
            run.end_response_callback(head, end, slot, answer)

    def _adopt(self, run: AdoptedRun, head: RequestHead, reached: int) -> None:
        self._cell.lanes.pop(self._id, None)
        contexts = [self.context(slot) for slot in range(reached)]
        ports = [self._made[slot][1] for slot in range(reached)]
        waits = [port.waits for port in ports]
        places = run.adopt_request(head, self._request_end, self._request_whole, contexts, waits)
        for slot, place in enumerate(places):
            ports[slot].place = place
            (left,) = _ALLOWANCE.unpack_from(self._left, 8 * slot) if self._left else (self._cell.allowance,)
            contexts[slot].move(place, left)
        self._made = {}

    def _end(self) -> None:
        cell = self._cell
        cell.lanes.pop(self._id, None)
        if cell.ends:
            cell.left_words[:] = self._left
            self._end_guests()
        if self._made:
            for context, _ in self._made.values():
                context.instance.forget(context)
            self._made = {}
        if cell.closing:
            cell.left()

    def _end_guests(self) -> None:
        cell = self._cell
        first = 0
        while 0 <= first <= cell.last:
            cell.args[0], cell.args[2] = first, self._id
            word = self._cross(cell.group_end)
            if word == cell.ran_up_plain:
                return
            first = self._next_end(word)

    def _next_end(self, word: int) -> int:
        """Take up what the guest that ended last left; gives who is next, negative for nobody."""
        cell = self._cell
        slot = cell.control[_GUEST]
        context = self.context(slot)
        instance = context.instance
        if word < RETURNED:
            instance.trapped(cell.store.trap(self._error), context)
            return -1
        if self._entered != slot:
            instance.current = context
        instance.settle(word, context)
        return slot + 1

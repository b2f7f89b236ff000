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
    """`_made`: contexts and their ports by slot, as far as needed. `_left`: what each guest may still use.

    The plain way of each phase is written out in one function: every frame and every name looked up
    counts here. What is not plain goes on in `_go_on_*`.
    """

    __slots__ = ("_cell", "_entered", "_error", "_id", "_left", "_made", "_used_ns")

    _made: dict[int, tuple[StreamContext, ExpressPort]] | None
    _id: int
    _error: int
    _used_ns: int

    def __init__(self, plan: ChainPlan, host: ChainHost, clock_ns: Callable[[], int], cell: Cell) -> None:
        # As in ExpressRun, written out as well.
        self.plan = plan
        self.host = host
        self._clock_ns = clock_ns
        self._cell = cell
        self._left = cell.allowances
        self.run = self.request = self.response = self._made = None
        self.request_left = self.response_left = self.gone = self.gone_for_good = False
        self._busy = self._request_whole = False
        self._entered = -1

    # What the cell asks

    def enter(self, instance: Instance, call: int) -> None:
        """A guest asks the world in a crossing of this exchange."""
        turn = self._turn(instance.slot)
        if self._entered != turn:
            self._entered = turn
            instance.current = self.context(instance.slot)
        if call not in _QUIET:
            self._cell.control[_STOP] = 1

    def _turn(self, slot: int) -> int:
        """Of a guest in the crossing under way or just over, another one for each."""
        return self._cell.budget.call << 8 | slot

    def context(self, slot: int) -> StreamContext:
        """The context of a guest in this exchange, made now if there was none."""
        return self._context(slot)[0]

    def _context(self, slot: int) -> tuple[StreamContext, ExpressPort]:
        if self._made is None:
            self._made = {}
        made = self._made.get(slot)
        if made is None:
            assert self.request is not None
            port = ExpressPort(self, self.request)
            made = self._made[slot] = (StreamContext(self._cell.instances[slot], port, self._id), port)
        return made

    # The request

    def _ask_request(self, head: RequestHead, end: bool) -> bool:
        data, count = head._encoded or head.encoded()
        size = len(data)
        if size > MAP_LIMIT_BYTES or not data.isascii():
            shown = self._shown(data)
            if shown is None:
                self._start_over(head, end)
                return False
            data, size = shown, len(shown)
        cell = self._cell
        self.request = head
        self._id = number = cell.next_id if cell.next_id < cell.next_taken else cell.skip_taken()
        cell.next_id = number + 1
        cell.lanes[number] = cell.lane = self
        memory, at = cell.memory, cell.request_arena
        memory[at : at + size] = data
        tell, now_ns, came = cell.tell, cell.now_ns, cell.came  # not methods: called by name they cost more
        tell(cell.block, 0, now_ns(), number, 0, size, count, end, True, self._left)
        budget, driver = cell.budget, cell.group_request_head
        budget.call = call = budget.call + 1
        error = driver() if call & UNTIMED else budget.timed(driver)
        cell.lane = None
        word, written, _, self._left = came()
        if budget.used_ns or word not in cell.passed_up:
            self._error = error
            return self._go_on_request(head, end, size, count, self._charged(word))
        if written:
            at = cell.ops_at
            added = bytes(memory[at : at + written - 1])
            head.fields += (cell.added.get(added) or cell.note_added(added))[0]
            head._encoded = None
        return True

    def _go_on_request(self, head: RequestHead, end: bool, size: int, count: int, word: int) -> bool:
        """Behind the guest after which the driver came back with `word`."""
        cell = self._cell
        while word & ~_MIXED != cell.ran_up:
            if word == cell.ran_up_plain:
                return True
            if not self._passes(_REQUEST, head, end, word):
                return False
            first = cell.control[_GUEST] + 1
            if first > cell.last:
                return True
            word = self._cross(cell.group_request_head, first, size, count, end)
        self._edit(head, word)
        return True

    def _ask_response(self, head: ResponseHead, end: bool) -> bool:
        data, count = head._encoded or head.encoded()
        size = len(data)
        if size > MAP_LIMIT_BYTES or not data.isascii():
            shown = self._shown(data)
            if shown is None:
                # No filter can be asked about this response here.
                self.general().response_head(head, end)
                return False
            data, size = shown, len(shown)
        cell = self._cell
        self.response = head
        cell.lane = self
        memory, at = cell.memory, cell.response_arena
        memory[at : at + size] = data
        tell, now_ns, came = cell.tell, cell.now_ns, cell.came
        tell(cell.block, 0, now_ns(), self._id, cell.last, size, count, end, True, self._left)
        budget, driver = cell.budget, cell.group_response_head
        budget.call = call = budget.call + 1
        error = driver() if call & UNTIMED else budget.timed(driver)
        cell.lane = None
        word, written, _, self._left = came()
        if budget.used_ns or word not in cell.passed_down:
            self._error = error
            return self._go_on_response(head, end, size, count, self._charged(word))
        if written:
            at = cell.ops_at
            added = bytes(memory[at : at + written - 1])
            head.fields += (cell.added.get(added) or cell.note_added(added))[0]
            head._encoded = None
        return True

    def _go_on_response(self, head: ResponseHead, end: bool, size: int, count: int, word: int) -> bool:
        """As `_go_on_request`, backwards."""
        cell = self._cell
        while word & ~_MIXED != cell.ran_down:
            if word == cell.ran_down_plain:
                return True
            if not self._passes(_RESPONSE, head, end, word):
                return False
            first = cell.control[_GUEST] - 1
            if first < 0:
                return True
            word = self._cross(cell.group_response_head, first, size, count, end)
        self._edit(head, word)
        return True

    def _shown(self, data: bytes) -> bytes | None:
        """A head that is long, or not all ASCII, as filters may see it; None when they may not here."""
        shown = data if data.isascii() else self._cell.group.filters[0].shown(data)
        return None if shown is None or len(shown) > MAP_LIMIT_BYTES else shown

    # One crossing, that goes on with the map of the one before

    def _cross(self, driver: Callable[[], int], first: int, size: int, count: int, end: bool) -> int:
        """Gives the driver's word, smaller than RETURNED after a trap."""
        cell = self._cell
        cell.lane = self
        cell.tell(cell.block, 0, cell.now_ns(), self._id, first, size, count, end, False, self._left)
        budget = cell.budget
        budget.call = call = budget.call + 1
        self._error = driver() if call & UNTIMED else budget.timed(driver)
        cell.lane = None
        word, _, _, self._left = cell.came()
        return self._charged(word)

    def _charged(self, word: int) -> int:
        """CPU time that a tick saw is for the general run to charge."""
        self._used_ns = 0
        budget = self._cell.budget
        if word >= RETURNED and budget.used_ns:
            self._used_ns = budget.take_used()
            if self._used_ns:
                return word | STOPPED
        return word

    def _edit(self, head: RequestHead | ResponseHead, word: int) -> tuple[bytes, ...]:
        """Take over what guests wrote; none of it can fail. Gives the names."""
        cell = self._cell
        control, at = cell.control, cell.ops_at
        written = bytes(cell.memory[at : at + control[_OPS_SIZE] - 1])
        if word & _MIXED:
            parts = written.split(b"\0")
            edits.edit_head(head, cell.op_words[: control[_OPS_COUNT]].tolist(), parts)
            return tuple(parts[::2])
        fields, names = cell.added.get(written) or cell.note_added(written)
        head.fields += fields
        head._encoded = None
        return names

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
        if self._entered != self._turn(slot):
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
        made = [self._context(slot) for slot in range(reached)]
        waits = [port.waits for _, port in made]
        contexts = [context for context, _ in made]
        places = run.adopt_request(head, self._request_end, self._request_whole, contexts, waits)
        lefts = _ALLOWANCE.iter_unpack(self._left)
        for place, left, (context, port) in zip(places, lefts, made, strict=False):
            port.place = place
            context.move(place, left[0])
        self._made = None

    # The end

    def _end(self) -> None:
        cell = self._cell
        del cell.lanes[self._id]
        if cell.ends:
            cell.lane = self
            tell, now_ns, came = cell.tell, cell.now_ns, cell.came
            tell(cell.block, 0, now_ns(), self._id, 0, 0, 0, True, True, self._left)
            budget, driver = cell.budget, cell.group_end
            budget.call = call = budget.call + 1
            error = driver() if call & UNTIMED else budget.timed(driver)
            cell.lane = None
            word, _, _, self._left = came()
            if word != cell.ran_up_plain or budget.used_ns:
                self._error = error
                self._go_on_ending(self._charged(word))
        if self._made is not None:
            for context, _ in self._made.values():
                context.instance.forget(context)
            self._made = None
        if cell.closing:
            cell.left()

    def _go_on_ending(self, word: int) -> None:
        """Behind the guest after whose end the driver came back with `word`."""
        cell = self._cell
        while word != cell.ran_up_plain:
            first = self._next_end(word)
            if not 0 <= first <= cell.last:
                return
            word = self._cross(cell.group_end, first, 0, 0, True)

    def _next_end(self, word: int) -> int:
        """Take up what the guest that ended last left; gives who is next, negative for nobody."""
        cell = self._cell
        slot = cell.control[_GUEST]
        context = self.context(slot)
        instance = context.instance
        if word < RETURNED:
            instance.trapped(cell.store.trap(self._error), context)
            return -1
        if self._entered != self._turn(slot):
            instance.current = context
        instance.settle(word, context)
        return slot + 1

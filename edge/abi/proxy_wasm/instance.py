"""One guest of a cell: its start, its driver calls, its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from edge.abi.proxy_wasm import callouts, drain
from edge.abi.proxy_wasm.context import Context, RootContext
from edge.abi.proxy_wasm.layout import (
    RETURNED,
    STRINGS_BYTES,
    TRAPS,
    Area,
    Control,
    Flag,
    Own,
    Root,
)
from edge.abi.proxy_wasm.traps import describe
from edge.errors import FilterTrap, FilterUnavailable
from edge.wasm.budget import UNTIMED
from edge.wasm.store import RawInstance
from edge.wasm.trap import Trap

if TYPE_CHECKING:
    from edge.abi.proxy_wasm.cell import Cell
    from edge.abi.proxy_wasm.exchange import StreamContext
    from edge.abi.proxy_wasm.filter import ProxyWasmFilter
    from edge.abi.proxy_wasm.surface import Surface

DRIVERS: Final = (
    *(("request_head", 5), ("request_data", 4), ("request_trailers", 3)),
    *(("response_head", 5), ("response_data", 4), ("response_trailers", 3)),
    *(("end", 1), ("root_call", 3), ("call_response", 5)),
)
"""Names and numbers of arguments; those that act on the guest that `Control.GUEST` names."""

_OPS_COUNT, _OPS_SIZE = int(Control.OPS), int(Control.OPS_BYTES)
_GUEST: Final = int(Control.GUEST)
_LEFT: Final = Control.CALLS // 2
_NOW: Final = Control.NOW // 2
_LEFTOVER: Final = int(Flag.LOGS | Flag.METRICS | Flag.NOTES)
_OPS: Final = int(Flag.OPS)


class Instance:
    """What a guest has of its own, and the cell's things within reach.

    `current` is the effective context, `touched` the contexts whose actions wait for the end of
    the driver call under way.
    """

    __slots__ = (
        *("__weakref__", "_ops", "addresses", "allowance", "answer", "args", "attached"),
        *("budget", "call_response", "callout", "cell", "contexts", "control", "current", "dead", "end"),
        *(
            "gone",
            "hears",
            "held",
            "host_ns",
            "last_call",
            "memory",
            "memory_bytes",
            "now_ns",
            "op_words",
            "owner",
            "pushed",
        ),
        *("request_arena", "request_data", "request_head", "request_trailers", "response_arena"),
        *("response_data", "response_head", "response_trailers", "root", "root_call", "series"),
        *("series_ids", "services", "slot", "store", "timed", "touched", "wide"),
    )

    request_head: Callable[[], int]
    request_data: Callable[[], int]
    request_trailers: Callable[[], int]
    response_head: Callable[[], int]
    response_data: Callable[[], int]
    response_trailers: Callable[[], int]
    end: Callable[[], int]
    root_call: Callable[[], int]
    call_response: Callable[[], int]

    def __init__(
        self, cell: Cell, owner: ProxyWasmFilter, slot: int, drivers: dict[str, Callable[[], int]]
    ) -> None:
        self.cell = cell
        self.owner = owner
        self.slot = slot
        self.services = owner.services
        self.now_ns = owner.services.now_ns
        self.allowance = owner.allowance
        self.attached = self.dead = self.gone = self.timed = self.hears = False
        self.held: list[Callable[[], None]] = []
        self.contexts: dict[int, StreamContext] = {}
        self.last_call = 0
        self.callout: callouts.Answer | None = None
        self.answer = self.pushed = b""
        self.touched: list[Surface] = []
        self.series: list[int] = []
        self.series_ids: dict[tuple[int, bytes], int] = {}
        self.host_ns = 0
        self.root = RootContext(self)
        self.current: Context = self.root
        self.memory_bytes: Callable[[], int] = int
        """What the guest's memory has grown to."""
        self._reach(cell)
        for name, bound in drivers.items():
            setattr(self, name, bound)

    def _reach(self, cell: Cell) -> None:
        """The cell's things, for one look-up less on the way of each call."""
        self.store, self.budget, self.args = cell.store, cell.budget, cell.args
        self.memory, self.control, self.wide = cell.memory, cell.control, cell.wide
        self.addresses = at = cell.addresses
        self.op_words = cell.op_words
        self._ops = at[Area.OPS_BYTES]
        self.request_arena = at[Area.MAPS]
        self.response_arena = at[Area.MAPS + 2]

    # Start

    def start(self, inner: RawInstance) -> None:
        """Guest and bridge into the Store, then the guest's own start. Raises Trap, FilterUnavailable."""
        store, module, owner = self.store, self.owner.module, self.owner
        self._fill_control()
        guest = store.instantiate(module.guest, [(inner, name) for name in module.guest_imports])
        self.memory_bytes = store.memory_size(store.extern(guest, b"memory"))
        sides = [(inner if own else guest, name) for own, name in module.bridge_imports]
        store.instantiate(module.bridge, sides)
        store.call(store.extern(inner, b"enter_context"), 0)
        self._run_start(guest)
        self._root(Root.CREATE)
        for call, size, what in (
            (Root.VM_START, len(owner.vm_config), "proxy_on_vm_start"),
            (Root.VALIDATE, len(owner.config), "proxy_validate_configuration"),
            (Root.CONFIGURE, len(owner.config), "proxy_on_configure"),
        ):
            if not self._root(call, size) & 0xFF:
                raise FilterUnavailable(f"{what} answered false", owner.name, "configuration_refused")

    def _fill_control(self) -> None:
        owner, control = self.owner, self.control
        arguments = [owner.name.encode()]
        environment = [f"{name}={value}".encode() for name, value in owner.environment.items()]
        strings = b"".join(text.replace(b"\0", b"") + b"\0" for text in arguments)
        variables = b"".join(text.replace(b"\0", b"") + b"\0" for text in environment)
        if len(strings) + len(variables) > STRINGS_BYTES:
            raise FilterUnavailable("env is larger than 16 KiB", owner.name, "configuration_refused")
        at = self.addresses[Area.STRINGS] + self.slot * STRINGS_BYTES
        self.memory[at : at + len(strings) + len(variables)] = strings + variables
        own = Control.OWN + self.slot * Own.WORDS
        control[own + Own.ARGC], control[own + Own.ARGV_BYTES] = 1, len(strings)
        control[own + Own.ENVC], control[own + Own.ENV_BYTES] = len(environment), len(variables)
        control[own + Own.ABI] = owner.module.level
        control[Control.LOG_LEVEL] = self.services.log_level
        control[_GUEST] = self.slot
        self.wide[_LEFT] = owner.allowance
        self.wide[_NOW] = self.services.now_ns()

    def _run_start(self, guest: RawInstance) -> None:
        """`_initialize` and main, else `_start`, where leaving with 0 is success."""
        exports = self.owner.module.exports
        names = ["_initialize", *(m for m in ("main", "__main_void") if m in exports)][:2]
        if "_initialize" not in exports:
            names = ["_start"] if "_start" in exports else []
        for name in names:
            try:
                self.store.call(self.store.extern(guest, name.encode()), 0, 0)
            except Trap:
                control = self.control
                if TRAPS.get(control[Control.TRAP]) != "exit" or control[Control.TRAP_DETAIL]:
                    raise
                control[Control.TRAP] = 0
        word = RETURNED
        if self.control[Control.LOG_BYTES]:
            word |= Flag.LOGS
        drain.drain(self, word, self.root)

    def attach(self) -> None:
        """See `Cell.attach`."""
        self.attached = True
        held, self.held = self.held, []
        for start in held:
            start()
        self.root.arm()
        if self.hears:
            self.services.queues.wake()

    # Calls

    def run(self, left: int, bound: Callable[[], int]) -> int:
        """One driver call, its arguments set; gives its word. Raises Trap."""
        wide = self.wide
        self.control[_GUEST] = self.slot
        wide[_LEFT] = left
        wide[_NOW] = self.now_ns()
        budget = self.budget
        budget.call += 1
        error = bound() if budget.call & UNTIMED else budget.timed(bound)
        word = self.args[0]
        if word < RETURNED:
            raise self.store.trap(error)
        return word

    def settle(self, word: int, entered: Context) -> None:
        """After a call whose word says so: edits, logs, metrics, then actions on other contexts."""
        if word & _OPS:
            self.take_ops()
        if word & _LEFTOVER:
            drain.drain(self, word, entered)
        if self.touched:
            touched, self.touched = self.touched, []
            for context in touched:
                if context is not entered:
                    context.act()

    def take_ops(self) -> None:
        """Edits so far, to the context they were made under."""
        words = self.op_words[: self.control[_OPS_COUNT]].tolist()
        self.current.apply(words, self.take_payload())

    def take_payload(self) -> bytes:
        """Names and values of the edits so far, joined by NULs."""
        at = self._ops
        return bytes(self.memory[at : at + self.control[_OPS_SIZE] - 1])

    def _root(self, call: Root, size: int = 0) -> int:
        """A callback on the root context. Raises Trap."""
        root = self.root
        root.renew()
        self.current = root
        args = self.args
        args[0], args[2], args[4] = call, root.id, size
        word = self.run(self.owner.allowance, self.root_call)
        if word != RETURNED or self.touched:
            self.settle(word, root)
        return word

    def tick(self) -> None:
        if not self.dead:
            try:
                self._root(Root.TICK)
            except Trap as trap:
                self.trapped(trap)

    def queue_ready(self, token: int) -> bool:
        """on_queue_ready on the root context; False = not while it does not serve."""
        if self.dead or self.gone or not self.attached:
            return False
        try:
            self._root(Root.QUEUE, token)
        except Trap as trap:
            self.trapped(trap)
        return True

    def answer_callout(self, answer: callouts.Answer) -> None:
        """on_http_call_response on the root context; maps 6, 7 and buffer 4 live meanwhile."""
        root = self.root
        root.renew()
        self.current = root
        self.callout = answer
        args = self.args
        args[0], args[2], args[4] = root.id, answer.token, answer.head_count
        args[6], args[8] = len(answer.body), answer.trailer_count
        try:
            word = self.run(self.owner.allowance, self.call_response)
            self.settle(word, root)
        except Trap as trap:
            self.trapped(trap)
        finally:
            self.callout = None

    # End

    def explain(self, trap: Trap) -> str:
        """One line with the trap's name and the innermost frames."""
        return describe(trap, self.control[Control.TRAP], self.control[Control.TRAP_DETAIL])

    def trapped(self, trap: Trap, entered: StreamContext | None = None) -> FilterTrap:
        """The whole cell is dead; its other exchanges are told, that of `entered` has the failure."""
        code = TRAPS.get(self.control[Control.TRAP], trap.code)
        failure = FilterTrap(self.explain(trap), self.owner.name, code)
        self.last_words(entered or self.root)
        self.owner.traps += 1
        self.cell.trapped(failure, entered)
        return failure

    def last_words(self, entered: Context) -> None:
        """What the guest logged before it trapped says most about why."""
        if self.control[Control.LOG_BYTES]:
            drain.drain(self, int(Flag.LOGS), entered)

    def discard(self) -> None:
        """See `Cell.discard`."""
        self.dead = True
        self.root.disarm()
        self.touched = []
        self.held = []
        self.current = self.root
        del self.root.instance

    def forget(self, context: StreamContext) -> None:
        """An exchange is over. In a dead cell nobody is known any more."""
        self.contexts.pop(context.id, None)
        self.current = self.root
        if self.cell.closing:
            self.cell.left()

    def finish(self) -> None:
        """on_done and on_delete of the root context; false from on_done waits for proxy_done."""
        if self.dead or self.gone:
            return
        try:
            if self._root(Root.DONE) & 0xFF:
                self.delete_root()
            else:
                self.root.done_pending = True
        except Trap as trap:
            self.trapped(trap)

    def delete_root(self) -> None:
        if self.dead or self.gone:
            return
        self.gone = True
        try:
            self._root(Root.DELETE)
        except Trap as trap:
            self.trapped(trap)
        else:
            self.cell.finished()

"""A cell: one Store with the inner host, its guests and their bridges, which live and die together."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from struct import Struct
from typing import TYPE_CHECKING, Final, Protocol
from weakref import ref

from edge.abi.proxy_wasm import world
from edge.abi.proxy_wasm.drain import WARN
from edge.abi.proxy_wasm.instance import DRIVERS, Instance
from edge.abi.proxy_wasm.layout import GUEST_SHIFT, RETURNED, Area, Control, Flag
from edge.errors import FilterTrap, FilterUnavailable
from edge.head import Fields
from edge.wasm.budget import START_CPU_NS, START_WALL_NS, Budget
from edge.wasm.store import RawInstance, Store, StoreLimits
from edge.wasm.trap import Trap

if TYPE_CHECKING:
    from edge.abi.proxy_wasm.exchange import StreamContext
    from edge.abi.proxy_wasm.group import Group

Added = tuple[Fields, tuple[bytes, ...]]
"""Fields that guests added, and their names."""
_ADDED_KEPT: Final = 256
_ADDED_BYTES: Final = 1024

_GROUP_DRIVERS: Final = (("group_request_head", 0), ("group_response_head", 0), ("group_end", 0))
_NUMBERS: Final = count(1)
_FIRST_ID: Final = 2
"""Of contexts of exchanges; 1 is the root's."""
_LAST_ID: Final = 0xFFFF_FF00
"""With it they begin again: an id has 32 bits, which a busy cell uses up in days."""
FINISH_S: Final = 10.0
"""A root context whose on_done put off its end has so long to call proxy_done. Spec: ABI call proxy_done."""
_GUEST_TABLES: Final = 4
_INNER_MEMORY_BYTES: Final = 2304 << 10


class Lane(Protocol):
    """An exchange that all guests of a cell serve in one crossing a phase, as the cell sees it."""

    def enter(self, instance: Instance, call: int) -> None:
        """A guest asks the world, in a crossing of this exchange."""

    def context(self, slot: int) -> StreamContext: ...
    def general(self) -> object:
        """Give the exchange to the general run, with a context for each guest."""


class Cell:
    """Lives on one thread at a time: on `warm` until it has started, then on the loop.

    `lane` is the express run whose driver call is under way, `lanes` are those that are open.
    `closing` says that it ends with its last user. `added` is kept by what a driver left, see `note_added`.
    """

    __slots__ = (
        *("__weakref__", "added", "addresses", "allowances", "args", "attached", "block", "budget"),
        *("came", "closing", "control"),
        *(
            "dead",
            "ends",
            "finishing",
            "group",
            "group_end",
            "group_request_head",
            "group_response_head",
            "inline",
        ),
        *("instances", "lane", "lanes", "last", "memory", "next_id", "next_taken", "now_ns"),
        *("passed_down", "passed_up"),
        "plain_words",
        *(
            "number",
            "op_words",
            "ops_at",
            "request_arena",
            "response_arena",
            "ran_down",
            "ran_down_plain",
            "ran_up",
            "ran_up_plain",
            "start_ns",
        ),
        *("starting", "store", "tell", "wide"),
    )

    group_request_head: Callable[[], int]
    group_response_head: Callable[[], int]
    group_end: Callable[[], int]

    def __init__(self, group: Group, inline: bool) -> None:
        """Instantiate and start. Raises FilterUnavailable with the reason when a guest will not."""
        self.group = group
        self.number = next(_NUMBERS)
        self.inline = self.closing = inline
        self.attached = self.dead = self.finishing = False
        self.starting = True
        self.next_id = _FIRST_ID
        self.next_taken = _LAST_ID
        self.lane: Lane | None = None
        self.lanes: dict[int, Lane] = {}
        self.instances: tuple[Instance, ...] = ()
        self.added: dict[bytes, Added] = {}
        self._know_words(len(group.filters) - 1)
        world.LIVE[self.number] = ref(self)
        filters = group.filters
        self.allowances = filters[0].allowance.to_bytes(8, "little") * len(filters)
        self.now_ns = filters[0].services.now_ns
        self.ends = any(bound.ends for bound in filters)
        limits = filters[0].limits
        self.budget = Budget(int(limits.cpu_per_call_s * 1e9), int(limits.cpu_per_request_s * 1e9))
        if inline:
            self.budget.start_inline()
        else:
            self.budget.allow(len(filters) * START_CPU_NS, len(filters) * START_WALL_NS)
        memory_bytes = max(limits.memory_bytes, _INNER_MEMORY_BYTES)
        limited = StoreLimits(len(filters), memory_bytes, _GUEST_TABLES * len(filters))
        self.store = Store(limited, self.budget)
        try:
            self._start()
        except FilterUnavailable:
            self.discard()
            raise
        finally:
            self.starting = False
        self.start_ns = self.budget.take_used() if inline else 0
        self.budget.serve()

    def _know_words(self, last: int) -> None:
        """What group drivers say when every guest continued, with edits and without (`plain`)."""
        self.last = last
        self.ran_up_plain, self.ran_down_plain = RETURNED | last << GUEST_SHIFT, RETURNED
        self.plain_words = tuple(RETURNED | slot << GUEST_SHIFT for slot in range(last + 1))
        self.ran_up, self.ran_down = self.ran_up_plain | int(Flag.OPS), RETURNED | int(Flag.OPS)
        self.passed_up = (self.ran_up, self.ran_up_plain)
        self.passed_down = (self.ran_down, self.ran_down_plain)

    def __del__(self) -> None:
        world.LIVE.pop(self.number, None)

    # Start

    def _start(self) -> None:
        store, filters = self.store, self.group.filters
        host = filters[0].module.inner
        inner = store.instantiate(host.module, [store.define(world.FUNCTION, self.number)])
        self.addresses = at = host.addresses(store, inner)
        self.memory = memory = store.memory(store.extern(inner, b"memory"))
        block = memory[at[Area.CONTROL] : at[Area.CONTROL] + 4 * Control.WORDS]
        self.control = block.cast("I")
        self.wide = block.cast("Q")
        self.args = store.args
        self._know_block(memory[at[Area.CONTROL] + 4 * Control.TOLD_NOW :], 8 * len(filters))
        self.ops_at = at[Area.OPS_BYTES]
        self.request_arena = at[Area.MAPS]
        self.response_arena = at[Area.MAPS + 2]
        self.op_words = memory[at[Area.OPS_WORDS] : at[Area.OPS_WORDS] + 1024].cast("I")
        self.control[Control.GUESTS] = len(filters)
        self.budget.turn = self.control[Control.GUEST : Control.GUEST + 1]
        drivers = self._bound(inner, DRIVERS)
        for name, bound in self._bound(inner, _GROUP_DRIVERS).items():
            setattr(self, name, bound)
        self.instances = tuple(Instance(self, owner, slot, drivers) for slot, owner in enumerate(filters))
        for instance in self.instances:
            try:
                instance.start(inner)
            except Trap as trap:
                reason = instance.explain(trap)
                instance.last_words(instance.root)
                raise FilterUnavailable(f"start: {reason}", instance.owner.name, trap.code) from None

    def _know_block(self, block: memoryview, left_bytes: int) -> None:
        """`tell` a group driver: `block`, 0, now, context, first guest, length, count, end, fresh map, left.

        After it, `came()` gives its word (0 when a guest trapped), bytes of edits, last guest, what is left.
        """
        told, came = Struct(f"<Q6I16x{left_bytes}s"), Struct(f"<QII{left_bytes}s")
        self.block, self.tell = block, told.pack_into
        self.came = partial(came.unpack_from, block, 4 * (Control.CAME_WORD - Control.TOLD_NOW))

    def note_added(self, written: bytes) -> Added:
        """What a driver left where all that guests wrote were additions; requests repeat them."""
        parts = written.split(b"\0")
        names = tuple(parts[::2])
        noted = (list(zip(names, parts[1::2], strict=True)), names)
        if len(written) <= _ADDED_BYTES:
            if len(self.added) >= _ADDED_KEPT:
                self.added.clear()
            self.added[written] = noted
        return noted

    def _bound(
        self, inner: RawInstance, drivers: tuple[tuple[str, int], ...]
    ) -> dict[str, Callable[[], int]]:
        store = self.store
        return {name: store.bind(store.extern(inner, name.encode()), size) for name, size in drivers}

    def take_id(self) -> int:
        """For a context of an exchange; the plain way of the express lane has it written out."""
        number = self.next_id if self.next_id < self.next_taken else self.skip_taken()
        self.next_id = number + 1
        return number

    def skip_taken(self) -> int:
        """The next free id where `next_id` has come to one in use, or to the end of their 32 bits.

        Ids are given out up to `next_taken` without a look: only what was open then can be in the way.
        """
        number = self.next_id if self.next_id < _LAST_ID else _FIRST_ID
        taken = set(self.lanes).union(*(instance.contexts for instance in self.instances))
        while number in taken:
            number += 1
        self.next_taken = min((each for each in taken if each > number), default=_LAST_ID)
        return number

    def attach(self) -> None:
        """On the loop, when the cell begins to serve: timers run, callouts of the start go out."""
        self.attached = True
        for instance in self.instances:
            instance.attach()

    # End

    def trapped(self, failure: FilterTrap, entered: StreamContext | None) -> None:
        """A guest trapped: a fresh cell takes over, the exchanges in this one fail."""
        for lane in list(self.lanes.values()):
            lane.general()
        contexts = [context for each in self.instances for context in each.contexts.values()]
        for instance in self.instances:
            instance.contexts = {}
        self.discard()
        self.group.cell_trapped(self)
        for context in contexts:
            if context is not entered:
                context.die(failure, entered)

    def discard(self) -> None:
        """It will not be called again. Undoes the cycles, so that its memory goes at once."""
        if not self.dead:
            self.dead = True
            self.group.account(self)
            for instance in self.instances:
                instance.discard()
            self.instances = ()
            self.lane = None
            self.budget.turn = None

    def left(self) -> None:
        """A user is gone; only asked while `closing`."""
        if self.dead or self.finishing or self.lanes or any(instance.contexts for instance in self.instances):
            return
        if self.inline:
            self.discard()
        else:
            self._finish()

    def retire(self) -> None:
        """No new exchange will come."""
        self.closing = True
        self.left()

    def _finish(self) -> None:
        self.finishing = True
        if not self.attached:
            self.discard()
            return
        for instance in self.instances:
            instance.finish()
        if not self.dead:
            self.instances[0].services.call_later(FINISH_S, self._overdue)

    def _overdue(self) -> None:
        """Memory must not stay for a guest that never comes to its end."""
        text = "on_done put off the end of the root context and proxy_done did not come within"
        for instance in self.instances:
            if not instance.gone:
                instance.services.log(instance.owner.name, WARN, f"{text} {FINISH_S:.0f} s: ended", None)
        self.discard()

    def finished(self) -> None:
        """One more root context is gone."""
        if all(instance.gone for instance in self.instances):
            self.discard()

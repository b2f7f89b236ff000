"""What filters share, as the host calls want it: values and queues by vm id, and who hears of queues."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol
from weakref import WeakMethod

from edge.abi.shared_memory import SharedLog, make_area
from edge.abi.shared_state import QUEUES_LIMIT, SharedState

AGAIN_S: Final = 0.02
"""After a turn in which the shared memory could not be had."""
AREAS_LIMIT: Final = 64

Ring = Callable[[Iterable[int]], None]
"""With numbers of workers, any thread."""
Ready = Callable[[int], bool]
"""Called with a queue's token in a later turn. False = whoever it belongs to serves no more, or not yet."""


class Turns(Protocol):
    """The loop."""

    def call_soon(self, callback: Callable[[], None]) -> object: ...
    def call_later(self, delay_s: float, callback: Callable[[], None]) -> object: ...


class SharedData:
    """Implements `services.SharedData` and `services.Queues` for one process of a group.

    A token is made of the number of a vm id's area and the queue's place in it, so that every
    process knows a queue by the same one.
    """

    def __init__(self, turns: Turns, alone: bool = False) -> None:
        """`alone` makes areas as they are needed, for a process that shares with nobody."""
        self._ring: Ring = lambda workers: self.wake()
        self._turns = turns
        self._worker = 0
        self._alone = alone
        self._states: dict[str, SharedState] = {}
        self._by_number: dict[int, SharedState] = {}
        self._ears: dict[int, list[WeakMethod[Ready]]] = {}
        self._scheduled = False
        self._missed = False

    def join(self, worker: int, ring: Ring) -> None:
        """This is the process of that number in its group; `ring` has others call `wake`."""
        self._worker = worker
        self._ring = ring

    def take_in(self, areas: Sequence[tuple[str, int]], descriptors: list[int], behind: int) -> None:
        """Areas by vm id and number. Theirs among `descriptors`, the last but for `behind`, are removed
        and closed. An area that is known stays as it is; the oldest go when there are too many.
        """
        first = len(descriptors) - behind - len(areas)
        mine = descriptors[first : first + len(areas)]
        del descriptors[first : first + len(areas)]
        for (vm_id, number), descriptor in zip(areas, mine, strict=True):
            self._add(vm_id, number, descriptor)
        named = {number for _, number in areas}
        gone = [number for number in self._by_number if number not in named]
        for number in gone[: max(0, len(self._by_number) - AREAS_LIMIT)]:
            state = self._by_number.pop(number)
            self._states = {vm_id: each for vm_id, each in self._states.items() if each is not state}

    def _add(self, vm_id: str, number: int, descriptor: int) -> None:
        try:
            if number not in self._by_number:
                self._by_number[number] = self._states[vm_id] = SharedState(SharedLog(descriptor))
        finally:
            os.close(descriptor)

    def damage(self) -> tuple[int, int]:
        """How often this process found that another died while it wrote, and that all was lost by damage."""
        logs = [state.log for state in self._by_number.values()]
        return sum(log.torn for log in logs), sum(log.emptied for log in logs)

    # ---- values

    def get(self, vm_id: str, key: bytes) -> tuple[bytes, int] | None:
        state = self._state(vm_id)
        return None if state is None else state.get(key)

    def set(self, vm_id: str, key: bytes, value: bytes, cas: int) -> bool | None:
        state = self._state(vm_id)
        return None if state is None else state.set(key, value, cas)

    # ---- queues

    def register(self, vm_id: str, name: bytes, ready: Ready) -> int:
        """The token, 0 = no room. `ready` must be a method; its object is not kept alive."""
        state = self._state(vm_id)
        index = state.register(name, self._worker) if state is not None else None
        if state is None or index is None:
            return 0
        token = self._token(state, index)
        ears = self._ears.setdefault(token, [])
        ears[:] = [ear for ear in ears if ear() is not None]
        ears.append(WeakMethod(ready))
        return token

    def resolve(self, vm_id: str, name: bytes) -> int:
        """The token, 0 = there is no such queue."""
        state = self._state(vm_id)
        index = state.queue(name) if state is not None else None
        return 0 if state is None or index is None else self._token(state, index)

    def put(self, token: int, data: bytes) -> bool:
        """False = no such queue, or no room in it."""
        state, index = self._place(token)
        listeners = state.put(index, data) if state is not None else None
        if listeners is None:
            return False
        self._ring(listeners)
        return True

    def take(self, token: int) -> bytes | None:
        """The oldest, None = nothing there. Raises LookupError when there is no such queue."""
        state, index = self._place(token)
        if state is None:
            raise LookupError(token)
        taken = state.take(index)
        if taken is None and state.waiting(index):
            self._missed = True
        return taken

    # ---- who hears of them

    def wake(self) -> None:
        """Call whoever listens here to a queue in which something waits, in the next turn."""
        if not self._scheduled:
            self._scheduled = True
            self._turns.call_soon(self._turn)

    def _turn(self) -> None:
        """One call a queue and turn; a queue that grew shorter by it is called for again."""
        self._scheduled = self._missed = False
        for token, ears in list(self._ears.items()):
            state, index = self._place(token)
            before = state.waiting(index) if state is not None else 0
            if state is None or not before or not self._call(token, ears):
                continue
            if 0 < state.waiting(index) < before:
                self.wake()
        if self._missed:
            self._turns.call_later(AGAIN_S, self.wake)

    def _call(self, token: int, ears: list[WeakMethod[Ready]]) -> bool:
        """The one who registered last, of those who can be called."""
        for ear in reversed(list(ears)):
            ready = ear()
            if ready is not None and ready(token):
                return True
        return False

    # ---- areas

    def _state(self, vm_id: str) -> SharedState | None:
        state = self._states.get(vm_id)
        if state is None and self._alone and len(self._states) < AREAS_LIMIT:
            self._add(vm_id, len(self._states), make_area("edge-shared"))
            state = self._states[vm_id]
        return state

    def _token(self, state: SharedState, index: int) -> int:
        number = next(number for number, each in self._by_number.items() if each is state)
        return number * QUEUES_LIMIT + index + 1

    def _place(self, token: int) -> tuple[SharedState | None, int]:
        number, index = divmod(token - 1, QUEUES_LIMIT)
        return self._by_number.get(number), index

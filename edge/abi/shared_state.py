"""What the filters of one vm id share: values and queues, the same in every worker.

Every process keeps all of it in dicts and follows the log (`shared_memory`). So a read that finds
the log as it was costs a look at one word, and nothing ever waits for another process's answer.
"""

from __future__ import annotations

from collections import deque
from struct import Struct
from struct import error as StructError  # noqa: N812
from threading import Lock
from typing import Final

from edge.abi.shared_memory import WAIT_S, Broken, SharedLog

QUOTA_BYTES: Final = 1 << 20
"""Keys, values and what waits in queues, of one vm id."""
ENTRIES_LIMIT: Final = 4096
"""Keys, queues and what waits in them, in number: a full log is rewritten on the loop, in milliseconds."""
QUEUES_LIMIT: Final = 256

_VALUE, _QUEUE, _LISTEN, _PUT, _TAKE = range(5)
_HEAD: Final = Struct("<BxHI")
"""Kind, then: VALUE size of the key, number; QUEUE; LISTEN queue, worker; PUT queue; TAKE queue."""
_NUMBER: Final = 0xFFFFFFFF


class SharedQueue:
    """`listeners` are numbers of workers in which somebody wants to hear of what is put in."""

    __slots__ = ("items", "listeners", "name")

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.items: deque[bytes] = deque()
        self.listeners: set[int] = set()


class SharedState:
    """One for each vm id and process. Safe on any thread."""

    def __init__(self, log: SharedLog) -> None:
        self.log = log
        self._mine = Lock()
        self._seen = 0
        self._forget()

    def _forget(self) -> None:
        self._values: dict[bytes, tuple[bytes, int]] = {}
        self._queues: list[SharedQueue] = []
        self._by_name: dict[bytes, int] = {}
        self._bytes = 0
        self._waiting = 0
        self._last = 0

    # ---- values

    def get(self, key: bytes) -> tuple[bytes, int] | None:
        self._look()
        return self._values.get(key)

    def set(self, key: bytes, value: bytes, cas: int) -> bool | None:
        """A key that is not there is set whatever `cas` says. Spec: proxy_set_shared_data.

        False also when others kept the log from us for too long: whoever can be told that a number
        differs can be told to try again.
        """
        if not self._begin():
            return False
        try:
            old = self._values.get(key)
            if old is not None and cas and cas != old[1]:
                return False
            grown = len(value) - len(old[0]) if old is not None else len(key) + len(value)
            if not self._has_room(grown, old is None):
                return None
            # Numbers are never given twice, so a swap cannot be fooled by a value that came back.
            number = self._last % _NUMBER + 1
            self._commit(_HEAD.pack(_VALUE, len(key), number) + key + value)
            return True
        finally:
            self._end()

    # ---- queues, numbered from 0

    def queue(self, name: bytes) -> int | None:
        """Its index, if there is one of this name."""
        self._look()
        return self._by_name.get(name)

    def register(self, name: bytes, worker: int) -> int | None:
        """Its index, made when there is none; `worker` listens from now on. None = no room, or no lock."""
        if not self._begin():
            return None
        try:
            index = self._by_name.get(name)
            if index is None:
                if len(self._queues) >= QUEUES_LIMIT or not self._has_room(len(name), True):
                    return None
                index = len(self._queues)
                self._commit(_HEAD.pack(_QUEUE, 0, 0) + name)
            if worker not in self._queues[index].listeners:
                self._commit(_HEAD.pack(_LISTEN, index, worker))
            return index
        finally:
            self._end()

    def put(self, index: int, data: bytes) -> frozenset[int] | None:
        """At the end of a queue; who listens there. None = no such queue, no room, or no lock."""
        if not self._begin():
            return None
        try:
            if index >= len(self._queues) or not self._has_room(len(data), True):
                return None
            self._commit(_HEAD.pack(_PUT, index, 0) + data)
            return frozenset(self._queues[index].listeners)
        finally:
            self._end()

    def take(self, index: int) -> bytes | None:
        """The oldest of a queue; None = nothing there, or no lock. Raises LookupError: no such queue."""
        self._look()
        if index >= len(self._queues):
            raise LookupError(index)
        if not self._queues[index].items or not self._begin():
            return None
        try:
            items = self._queues[index].items if index < len(self._queues) else None
            if not items:
                return None
            taken = items[0]
            self._commit(_HEAD.pack(_TAKE, index, 0))
            return taken
        finally:
            self._end()

    def waiting(self, index: int) -> int:
        """How many wait in a queue."""
        self._look()
        return len(self._queues[index].items) if index < len(self._queues) else 0

    # ---- following the log

    def _look(self) -> None:
        """Know what is committed, without the others' lock. What cannot be had now is had the next time."""
        if self.log.commit == self._seen or not self._mine.acquire(timeout=WAIT_S):
            return
        try:
            if not self._follow() and self.log.acquire():
                if not self._follow():
                    self._begin_anew()
                self.log.release()
        finally:
            self._mine.release()

    def _begin(self) -> bool:
        """The lock, with everything that is committed known. False = it could not be had."""
        if not self._mine.acquire(timeout=WAIT_S):
            return False
        if not self.log.acquire():
            self._mine.release()
            return False
        if self.log.commit != self._seen and not self._follow():
            self._begin_anew()
        return True

    def _end(self) -> None:
        self.log.release()
        self._mine.release()

    def _follow(self) -> bool:
        """Apply what was committed since the last time; False = it cannot be right."""
        try:
            seen, anew, payloads = self.log.read(self._seen)
            if anew:
                self._forget()
            for payload in payloads:
                self._apply(payload)
        except (Broken, LookupError, ValueError, StructError):
            self._seen = -1
            return False
        self._seen = seen
        return True

    def _begin_anew(self) -> None:
        self._forget()
        self._seen = self.log.empty()

    def _has_room(self, grown: int, another: bool) -> bool:
        entries = len(self._values) + len(self._queues) + self._waiting
        return self._bytes + grown <= QUOTA_BYTES and (not another or entries < ENTRIES_LIMIT)

    def _commit(self, payload: bytes) -> None:
        self._apply(payload)
        self._seen = self.log.append([payload]) or self.log.rewrite(self._everything())

    def _apply(self, payload: bytes) -> None:
        kind, small, number = _HEAD.unpack_from(payload)
        rest = payload[_HEAD.size :]
        if kind == _VALUE:
            self._keep(rest[:small], rest[small:], number)
        elif kind == _QUEUE:
            self._by_name[rest] = len(self._queues)
            self._queues.append(SharedQueue(rest))
            self._bytes += len(rest)
        elif kind == _LISTEN:
            self._queues[small].listeners.add(number)
        elif kind == _PUT:
            self._queues[small].items.append(rest)
            self._bytes += len(rest)
            self._waiting += 1
        else:
            self._bytes -= len(self._queues[small].items.popleft())
            self._waiting -= 1

    def _keep(self, key: bytes, value: bytes, number: int) -> None:
        old = self._values.get(key)
        self._bytes += len(value) - len(old[0]) if old is not None else len(key) + len(value)
        self._values[key] = (value, number)
        self._last = number

    def _everything(self) -> list[bytes]:
        """Records that make what there is; values in the order of their numbers."""
        values = sorted(self._values.items(), key=lambda item: item[1][1])
        records = [_HEAD.pack(_VALUE, len(key), number) + key + value for key, (value, number) in values]
        for index, queue in enumerate(self._queues):
            records.append(_HEAD.pack(_QUEUE, 0, 0) + queue.name)
            records += [_HEAD.pack(_LISTEN, index, worker) for worker in queue.listeners]
            records += [_HEAD.pack(_PUT, index, 0) + item for item in queue.items]
        return records

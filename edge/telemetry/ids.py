"""Random identifiers, cut from pools of system randomness so that one costs a slice.

An `Ids` belongs to one process: make it after the fork, never share it across one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import chain
from os import urandom
from struct import Struct
from typing import Final

_POOL_BYTES: Final = 4096
_TRACE_BYTES: Final = 16
_SPAN_BYTES: Final = 8
_REQUEST_HEX: Final = 32
_NO_SPAN: Final = bytes(_SPAN_BYTES)
_NO_TRACE: Final = bytes(_TRACE_BYTES)


@cache
def _cut(count: int) -> Callable[[bytes], tuple[bytes, ...]]:
    """Cuts so many span ids in one step. As many counts as a trace can have spans."""
    return Struct(f"{_SPAN_BYTES}s" * count).unpack


class Ids:
    """Trace ids, span ids and request ids; unguessable, because all bits are the system's."""

    __slots__ = ("_at", "_pool", "request_id")

    def __init__(self) -> None:
        self._pool = urandom(_POOL_BYTES)
        self._at = 0
        self.request_id: Callable[[], bytes] = chain.from_iterable(_request_ids()).__next__
        """32 lower-case hex digits."""

    def trace_id(self) -> bytes:
        """16 bytes, not all zero. Spec: W3C Trace Context §3.2.2.3."""
        at = self._at
        if at > _POOL_BYTES - _TRACE_BYTES:
            self._pool = urandom(_POOL_BYTES)
            at = 0
        self._at = at + _TRACE_BYTES
        taken = self._pool[at : at + _TRACE_BYTES]
        return taken if taken != _NO_TRACE else self.trace_id()

    def span_id(self) -> bytes:
        """8 bytes, not all zero. Spec: W3C Trace Context §3.2.2.4."""
        at = self._at
        if at > _POOL_BYTES - _SPAN_BYTES:
            self._pool = urandom(_POOL_BYTES)
            at = 0
        self._at = at + _SPAN_BYTES
        taken = self._pool[at : at + _SPAN_BYTES]
        return taken if taken != _NO_SPAN else self.span_id()

    def span_ids(self, count: int) -> list[bytes]:
        """So many of them; cheaper than one by one."""
        at = self._at
        end = at + count * _SPAN_BYTES
        taken = self._pool[at:end]
        if end > _POOL_BYTES or _NO_SPAN in taken:
            return [self.span_id() for _ in range(count)]
        self._at = end
        return [*_cut(count)(taken)]

    def trace_ids(self) -> tuple[bytes, bytes, bytes]:
        """A trace id and two span ids."""
        at = self._at
        end = at + _TRACE_BYTES + 2 * _SPAN_BYTES
        taken = self._pool[at:end]
        if end > _POOL_BYTES or _NO_SPAN in taken:
            return self.trace_id(), self.span_id(), self.span_id()
        self._at = end
        return taken[:16], taken[16:24], taken[24:]


def _request_ids() -> Iterator[tuple[bytes, ...]]:
    """In batches, each cut from its pool in one step."""
    cut = Struct(f"{_REQUEST_HEX}s" * (2 * _POOL_BYTES // _REQUEST_HEX)).unpack
    while True:
        yield cut(urandom(_POOL_BYTES).hex().encode())

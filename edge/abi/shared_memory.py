"""A log in memory that processes share: appended under a lock that dies with its holder.

    0      64                 4096                   4096 + HALF_BYTES
    │ words │ …                │ half 0               │ half 1              │

The word COMMIT says all: its upper 32 bits are the epoch, whose lowest bit is the half in use, the
lower 32 bits how much of that half counts. It is stored last and in one piece, so what a holder of
the lock wrote before it died is either there whole or not at all. GENERATION is odd while somebody
writes: one who finds it odd under the lock knows that a holder died, and counts that. Everybody
checks what it reads; a log that cannot be right is emptied and counted, by whoever finds it.

Readers take no lock. A record is `crc32, size, payload`, padded to 8 bytes. A full half is
rewritten into the other by whoever knows all of it.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import time
from collections.abc import Sequence
from errno import EACCES, EAGAIN
from struct import Struct
from typing import Final
from zlib import crc32

HALF_BYTES: Final = 2 << 20
_HALVES_AT: Final = 4096
AREA_BYTES: Final = _HALVES_AT + 2 * HALF_BYTES

SPIN_S: Final = 0.001
"""CPU time spent on trying to get the lock, giving way in between."""
WAIT_S: Final = 0.1
"""In all, asleep but for the spin. A holder works for microseconds, but on a busy machine it may wait
for its turn to run. Whoever has waited so long in vain only tries from then on, until it succeeds once.
"""
_NAP_S: Final = 0.0002

_GENERATION, _COMMIT = range(2)
_USED: Final = 0xFFFFFFFF
_RECORD: Final = Struct("<II")
_FLOCK: Final = Struct("hhxxxxqqixxxx")
_TAKE: Final = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
_LEAVE: Final = _FLOCK.pack(fcntl.F_UNLCK, os.SEEK_SET, 0, 1, 0)


class Broken(Exception):
    """The log cannot be right."""


class SharedLog:
    """One area, as one process sees it; one thread at a time."""

    def __init__(self, descriptor: int) -> None:
        """Of a file of AREA_BYTES that cannot shrink; it stays the caller's.

        It is opened anew, as a lock belongs to an open file: the one that came has been passed
        around, and all who have it would hold the lock together.
        """
        self._file = os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR | os.O_CLOEXEC)
        self._memory = memoryview(mmap.mmap(self._file, AREA_BYTES))
        self._words = self._memory[:64].cast("Q")
        self._patient = True
        self.torn = 0
        """How often this one found that a process died while it wrote; nothing committed was lost."""
        self.emptied = 0
        """How often this one found a log that cannot be right, and began it anew."""

    def __del__(self) -> None:
        os.close(self._file)

    @property
    def commit(self) -> int:
        """Changes whenever anything does."""
        return self._words[_COMMIT]

    # ---- the lock

    def acquire(self) -> bool:
        """False when it cannot be had within WAIT_S: then nothing may be written, by whoever asks."""
        if not self._try():
            if not self._patient:
                os.sched_yield()
            if not (self._wait() if self._patient else self._try()):
                self._patient = False
                return False
        self._patient = True
        words = self._words
        if words[_GENERATION] & 1:
            self.torn += 1
            words[_GENERATION] += 1
        return True

    def release(self) -> None:
        fcntl.fcntl(self._file, fcntl.F_OFD_SETLK, _LEAVE)

    def _try(self) -> bool:
        try:
            fcntl.fcntl(self._file, fcntl.F_OFD_SETLK, _TAKE)
        except OSError as error:
            if error.errno in (EAGAIN, EACCES):
                return False
            raise
        return True

    def _wait(self) -> bool:
        """Hot first, as it is nearly always over at once, then in naps."""
        spin_until = time.thread_time() + SPIN_S
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until:
            if time.thread_time() < spin_until:
                os.sched_yield()
            else:
                time.sleep(_NAP_S)
            if self._try():
                return True
        return False

    # ---- reading, by anybody

    def read(self, seen: int) -> tuple[int, bool, list[bytes]]:
        """What came since the commit word `seen` (0 = everything): the word now, whether it begins
        at the log's beginning, the payloads. Raises Broken.
        """
        for _ in range(3):
            commit = self._words[_COMMIT]
            epoch, used = commit >> 32, commit & _USED
            anew = epoch != seen >> 32
            try:
                payloads = self._payloads(epoch, 0 if anew else seen & _USED, used)
            except Broken:
                if self._words[_COMMIT] >> 32 == epoch:
                    raise
            else:
                # The next epoch is written into the other half, the one after it into this.
                if self._words[_COMMIT] >> 32 <= epoch + 1:
                    return commit, anew, payloads
        raise Broken("rewritten faster than it can be read")

    def _payloads(self, epoch: int, start: int, used: int) -> list[bytes]:
        if not start <= used <= HALF_BYTES:
            raise Broken("more is committed than there can be")
        base = _HALVES_AT + (epoch & 1) * HALF_BYTES
        data = bytes(self._memory[base + start : base + used])
        payloads, at = [], 0
        while at < len(data):
            if len(data) - at < 8:
                raise Broken("a record is cut off")
            crc, size = _RECORD.unpack_from(data, at)
            payload = data[at + 8 : at + 8 + size]
            if len(payload) < size or crc32(payload) != crc:
                raise Broken("a record is not what was written")
            payloads.append(payload)
            at += 8 + (size + 7 & ~7)
        return payloads

    # ---- writing, with the lock and knowing all that is committed

    def append(self, payloads: Sequence[bytes]) -> int | None:
        """Commit them; the commit word now. None = they do not fit: `rewrite`."""
        data = _framed(payloads)
        commit = self._words[_COMMIT]
        if (commit & _USED) + len(data) > HALF_BYTES:
            return None
        return self._store(commit >> 32, commit & _USED, data)

    def rewrite(self, payloads: Sequence[bytes]) -> int:
        """Commit them in place of everything; the commit word now. They must fit."""
        return self._store((self._words[_COMMIT] >> 32) + 1, 0, _framed(payloads))

    def empty(self) -> int:
        """Begin anew, and count that."""
        self.emptied += 1
        return self.rewrite([])

    def _store(self, epoch: int, at: int, data: bytes) -> int:
        words = self._words
        words[_GENERATION] += 1
        base = _HALVES_AT + (epoch & 1) * HALF_BYTES + at
        self._memory[base : base + len(data)] = data
        commit = words[_COMMIT] = (epoch & _USED) << 32 | at + len(data)
        words[_GENERATION] += 1
        return commit


def _framed(payloads: Sequence[bytes]) -> bytes:
    parts: list[bytes] = []
    for payload in payloads:
        parts += (_RECORD.pack(crc32(payload), len(payload)), payload, bytes(-len(payload) & 7))
    return b"".join(parts)


def make_area(name: str) -> int:
    """A descriptor of an empty area; nobody who gets it can make it shorter under the others."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, AREA_BYTES)
    seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor

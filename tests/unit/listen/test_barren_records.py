"""Case 98 and its like: TLS records that carry nothing, KeyUpdates most of all, end their connection."""

from __future__ import annotations

import ssl
from types import SimpleNamespace

import pytest

from edge.listen.session import Session


class Records:
    """A session over pieces of (bytes on the wire, bytes of data in them)."""

    def __init__(self) -> None:
        self.session = Session.__new__(Session)
        self.wire = SimpleNamespace(pending=0)
        self.data = 0
        self.session.incoming = self.wire  # type: ignore[assignment]
        self.session.inner_read = self._read

    def _read(self, size: int) -> bytes:
        self.wire.pending = 0
        if not self.data:
            raise ssl.SSLWantReadError
        return bytes(self.data)

    def take(self, wire: int, data: int) -> int:
        """How much data came out; raises what the session raises."""
        self.wire.pending, self.data = wire, data
        try:
            return len(self.session.read(1 << 18))
        except ssl.SSLWantReadError:
            return 0


def test_records_without_data_are_counted_until_they_are_too_many() -> None:
    records = Records()
    for _ in range(4):
        records.take(16 << 10, 0)
    with pytest.raises(ssl.SSLError, match="records without data"):
        records.take(16 << 10, 0)


def test_small_reads_are_not_looked_at() -> None:
    records = Records()
    for _ in range(10_000):
        records.take(1_000, 0)


def test_parts_of_honest_records_never_add_up() -> None:
    records = Records()
    for _ in range(1_000):
        assert records.take(10 << 10, 0) == 0
        assert records.take(7 << 10, 16 << 10) == 16 << 10


def test_records_of_one_byte_are_honest() -> None:
    records = Records()
    for _ in range(1_000):
        records.take(23 * 200, 200)

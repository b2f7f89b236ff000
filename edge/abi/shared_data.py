"""Shared data of one worker, in a dict: the store behind `proxy_*_shared_data`."""

from __future__ import annotations

from threading import Lock
from typing import Final

QUOTA_BYTES: Final = 1 << 20
"""Keys and values of one vm id."""


class LocalSharedData:
    """Implements `services.SharedData`, visible inside one worker."""

    def __init__(self, quota_bytes: int = QUOTA_BYTES) -> None:
        self._quota = quota_bytes
        self._values: dict[tuple[str, bytes], tuple[bytes, int]] = {}
        self._used: dict[str, int] = {}
        self._lock = Lock()
        self._last = 0

    def get(self, vm_id: str, key: bytes) -> tuple[bytes, int] | None:
        return self._values.get((vm_id, key))

    def set(self, vm_id: str, key: bytes, value: bytes, cas: int) -> bool | None:
        """A key that is not there is set whatever `cas` says. Spec: proxy_set_shared_data."""
        with self._lock:
            old = self._values.get((vm_id, key))
            if old is not None and cas and cas != old[1]:
                return False
            grown = len(value) - len(old[0]) if old is not None else len(key) + len(value)
            used = self._used.get(vm_id, 0) + grown
            if used > self._quota:
                return None
            self._used[vm_id] = used
            self._last += 1
            # Numbers are never given twice, so a swap cannot be fooled by a value that came back.
            self._values[vm_id, key] = (value, self._last & 0xFFFFFFFF or 1)
            return True

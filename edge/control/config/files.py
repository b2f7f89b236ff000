"""Which files a configuration was made of, and how each was when it was read."""

from __future__ import annotations

import os
from collections.abc import Iterable

Signature = tuple[int, int, int, int]
"""Device, inode, time of change (ns) and size: another file, or another content, has another one."""
Files = dict[str, Signature | None]
"""What was read, by path; None = it could not be."""


def signature_of(status: os.stat_result) -> Signature:
    """Of an open file, taken before it is read, so that a change meanwhile is seen afterwards."""
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def files_now(paths: Iterable[str]) -> Files:
    """As they are now. Symbolic links are followed: one that leads elsewhere is a change."""
    found: Files = {}
    for path in paths:
        try:
            found[path] = signature_of(os.stat(path))
        except (OSError, ValueError):
            found[path] = None
    return found

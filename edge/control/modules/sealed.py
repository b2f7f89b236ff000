"""Sealed memory files: a private copy that nobody can change any more, passed by descriptor."""

from __future__ import annotations

import fcntl
import mmap
import os
from typing import Final

_SEALS: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def sealed_copy(content: bytes | memoryview, name: str) -> int:
    """A new descriptor (close-on-exec) of a sealed memfd holding `content`. The caller owns it."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view) :]
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(fd)
        raise
    return fd


def is_sealed(fd: int) -> bool:
    """Whether nobody can change what is behind `fd`."""
    return fcntl.fcntl(fd, fcntl.F_GET_SEALS) & _SEALS == _SEALS


def content_of(fd: int) -> mmap.mmap:
    """Read-only map of a sealed file; close it after use."""
    return mmap.mmap(fd, 0, prot=mmap.PROT_READ)

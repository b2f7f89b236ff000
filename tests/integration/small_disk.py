"""A file system of some MiB that only those who are started in it see, and that is gone with them."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

_OWN: Final = () if os.geteuid() == 0 else ("-r", "-U")
"""Who is not root is root of a name space of its own."""
_HOLD: Final = 'mount -t tmpfs -o size="$1" tmpfs "$2" && echo mounted && exec cat'
_BLOCK: Final = b"x" * 4096


@cache
def can_mount() -> bool:
    """Whether this machine lets us; some containers do not."""
    command = ["unshare", *_OWN, "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    try:
        return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0
    except OSError:
        return False


class SmallDisk:
    """Mounted at `inside` for those who begin with `launcher`; `outside` is how the tests see it."""

    def __init__(self, inside: Path, holder: int) -> None:
        self.inside = inside
        self.outside = Path(f"/proc/{holder}/root{inside}")
        own = ("-U", "--preserve-credentials") if _OWN else ()
        self.launcher = ("nsenter", "-t", str(holder), *own, "-m", f"--wd={inside.parent}")
        self._ballast = self.outside / "ballast"

    def fill(self) -> None:
        """Until not a byte more goes in."""
        with self._ballast.open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(_BLOCK)
            except OSError as error:
                assert error.errno == errno.ENOSPC

    def free(self) -> None:
        self._ballast.unlink()

    @property
    def free_bytes(self) -> int:
        return shutil.disk_usage(self.outside).free


@contextmanager
def small_disk(inside: Path, size: str) -> Iterator[SmallDisk]:
    """`inside` must exist; everything beside it is as it was."""
    command = ["unshare", *_OWN, "-m", "sh", "-c", _HOLD, "sh", size, str(inside)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None and holder.stdout is not None
        try:
            assert holder.stdout.readline() == b"mounted\n"
            yield SmallDisk(inside, holder.pid)
        finally:
            holder.stdin.close()
            holder.wait(30)

"""A Python whose wall clock, and that of every Python it starts by `sys.executable`, is set by the tests.

Workers keep nothing of the environment that could preload a library, so the interpreter itself is a
script that sets it: it stands in a virtual environment of its own, which is ours but for that. The
library is ours too: Debian's libfaketime 0.9.10 fails `clock_nanosleep` on the monotonic clock.
"""

from __future__ import annotations

import mmap
import os
import shutil
import struct
import sys
import time
from hashlib import sha256
from pathlib import Path
from typing import Final

from tests.tools import require, zig
from tests.tools.cache import once, run

_SOURCE: Final = Path(__file__).with_name("fake_clock.c")
_SCRIPT: Final = """\
#!/bin/bash
export LD_PRELOAD={library} FAKE_CLOCK={setting}
exec -a "$0" {python} "$@"
"""


def _library() -> Path:
    compiler = require(zig)
    digest = sha256(_SOURCE.read_bytes()).hexdigest()[:16]

    def make(target: Path) -> None:
        run([compiler, "cc", "-shared", "-fPIC", "-O1", "-o", target, _SOURCE], 300.0)

    return once(f"fake-clock-{digest}.so", make)


class FakeClock:
    """What begins with `launcher` and the true Python runs under this one. Monotonic clocks stay true."""

    def __init__(self, folder: Path) -> None:
        setting = folder / "setting"
        setting.write_bytes(bytes(8))
        with setting.open("r+b") as file:
            self._offset = mmap.mmap(file.fileno(), 8)
        self.offset_s = 0
        environment = Path(sys.prefix)
        if (environment / "pyvenv.cfg").exists():
            shutil.copy(environment / "pyvenv.cfg", folder)
        (folder / "lib").symlink_to(environment / "lib")
        python = folder / "bin" / "python"
        python.parent.mkdir()
        python.write_text(
            _SCRIPT.format(library=_library(), setting=setting, python=os.path.realpath(sys.executable))
        )
        python.chmod(0o755)
        self.launcher = ("sh", "-c", 'shift; exec "$0" "$@"', str(python))

    def set(self, offset_s: int) -> None:
        """So much ahead of the true clock from now on."""
        self._offset[:] = struct.pack("=q", offset_s)
        self.offset_s = offset_s

    def now(self) -> float:
        """Its wall clock, in seconds."""
        return time.time() + self.offset_s

"""What every process of edge gives up as soon as it starts. Linux only, like edge."""

from __future__ import annotations

import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38


def confine() -> None:
    """No core dumps and no ptrace by others (keys are in memory), no gain of rights by exec.

    NO_NEW_PRIVS is inherited; DUMPABLE is reset by exec, so each process calls this itself.
    Raises OSError.
    """
    _prctl(PR_SET_DUMPABLE, 0)
    _prctl(PR_SET_NO_NEW_PRIVS, 1)


def die_with_parent() -> None:
    """The kernel kills this process when its parent ends, however that ends and whatever runs here.

    An orphaned worker would hold the listeners' ports against the next supervisor.
    """
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {os.strerror(number)}")

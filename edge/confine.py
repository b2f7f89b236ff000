"""What every process of edge gives up as soon as it starts. Linux only, like edge."""

from __future__ import annotations

import ctypes
import os

PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38


def confine() -> None:
    """No core dumps and no ptrace by others (keys are in memory), no gain of rights by exec.

    NO_NEW_PRIVS is inherited; DUMPABLE is reset by exec, so each process calls this itself.
    Raises OSError.
    """
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    for option, value in ((PR_SET_DUMPABLE, 0), (PR_SET_NO_NEW_PRIVS, 1)):
        if prctl(option, value, 0, 0, 0) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"prctl({option}): {os.strerror(number)}")

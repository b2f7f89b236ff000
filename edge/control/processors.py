"""How many CPUs this process may use: what the number of workers goes by."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Final

_MOUNT: Final = Path("/sys/fs/cgroup")
_OWN: Final = Path("/proc/self/cgroup")


def usable(mount: Path = _MOUNT, own: Path = _OWN) -> int:
    """CPUs of the affinity, or of the control groups' quota, begun ones counted, where that is less.

    A container with two CPUs on a machine of 64 must not start 64 workers.
    """
    return max(1, math.ceil(min(len(os.sched_getaffinity(0)), _quota(mount, own))))


def _quota(mount: Path, own: Path) -> float:
    """The least of the groups we are in. Spec: cgroup v2 `cpu.max`."""
    try:
        line = next(line for line in own.read_text().splitlines() if line.startswith("0::"))
    except (OSError, StopIteration):
        return math.inf
    group = mount / line.removeprefix("0::").strip().lstrip("/")
    places = [group, *(each for each in group.parents if each.is_relative_to(mount))]
    return min(_of_group(place) for place in places)


def _of_group(place: Path) -> float:
    try:
        quota, period = (place / "cpu.max").read_text().split()
        return math.inf if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return math.inf

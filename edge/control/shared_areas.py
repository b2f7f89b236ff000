"""Shared memory for what filters share: one area for each vm id, the same in all workers of the group."""

from __future__ import annotations

import os
from typing import Final, NamedTuple

from edge import model
from edge.abi.shared_memory import make_area

_SHARING: Final = frozenset(("set_shared_data", "get_shared_data", "register_shared_queue"))


class SharedArea(NamedTuple):
    """`number` is never given twice: queues are known by it."""

    vm_id: str
    number: int
    descriptor: int


class SharedAreas:
    """Made when a revision first needs them; what is in them outlives workers, and reloads with the vm id."""

    def __init__(self) -> None:
        self._areas: dict[str, SharedArea] = {}
        self._made = 0

    def of(self, made: model.Model) -> list[SharedArea]:
        """Those that filters of `made` can use. They stay this object's."""
        return [self._area(vm_id) for vm_id in sorted(_vm_ids(made))]

    def keep(self, made: model.Model) -> None:
        """Let go of what no filter of `made` can use; workers that have it keep it for the moment."""
        wanted = _vm_ids(made)
        for vm_id in [vm_id for vm_id in self._areas if vm_id not in wanted]:
            os.close(self._areas.pop(vm_id).descriptor)

    def close(self) -> None:
        for area in self._areas.values():
            os.close(area.descriptor)
        self._areas = {}

    def _area(self, vm_id: str) -> SharedArea:
        found = self._areas.get(vm_id)
        if found is None:
            found = self._areas[vm_id] = SharedArea(vm_id, self._made, make_area("edge-shared"))
            self._made += 1
        return found


def _vm_ids(made: model.Model) -> set[str]:
    """Of filters whose modules import the calls for it."""
    sharing = {
        module.digest
        for module in made.modules
        if any(name.removeprefix("proxy_") in _SHARING for _, name, _ in module.guest_imports)
    }
    return {each.vm_id for chain in made.chains for each in chain.filters if each.module in sharing}

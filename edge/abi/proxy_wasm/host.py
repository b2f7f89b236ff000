"""Compiled parts that instances are made of: the inner host, and for each module guest and bridge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from edge import model
from edge.abi.proxy_wasm.layout import Area
from edge.wasm.module import Module
from edge.wasm.store import RawInstance, Store

_AREAS: Final = (*range(9), *(Area.MAPS + kind for kind in (0, 1, 2, 3, 6, 7)))

_LEVELS: Final = {"proxy-wasm/0.1.0": 100, "proxy-wasm/0.2.0": 200, "proxy-wasm/0.2.1": 201}


class InnerHost:
    """The inner host's code. Where its areas lie is asked of the first instance, once."""

    __slots__ = ("_addresses", "module")

    def __init__(self, module: Module) -> None:
        self.module = module
        self._addresses: dict[int, int] = {}

    def addresses(self, store: Store, instance: RawInstance) -> dict[int, int]:
        """Area -> offset in the inner host's memory."""
        if not self._addresses:
            address = store.extern(instance, b"address")
            self._addresses = {area: store.call(address, area) & 0xFFFFFFFF for area in _AREAS}
        return self._addresses


class ProxyWasmModule:
    """A guest with its bridge, ready to be instantiated beside the inner host."""

    __slots__ = (
        "abi",
        "bridge",
        "bridge_imports",
        "digest",
        "exports",
        "guest",
        "guest_imports",
        "inner",
        "level",
    )

    def __init__(
        self,
        inner: InnerHost,
        guest: Module,
        bridge: Module,
        description: model.Module,
    ) -> None:
        self.inner = inner
        self.guest = guest
        self.bridge = bridge
        self.digest = description.digest
        self.abi = description.abi
        self.level = _LEVELS[description.abi]
        self.exports = frozenset(description.exports)
        self.guest_imports = [export.encode() for _, _, export in description.guest_imports]
        self.bridge_imports = [(side == "s", name.encode()) for side, name in description.bridge_imports]


def load_inner(fd: int) -> InnerHost:
    """From the descriptor of its artefact."""
    return InnerHost(Module.load(fd))


def load_module(description: model.Module, fds: Sequence[int], inner: InnerHost) -> ProxyWasmModule:
    """From the descriptors of a Prepare message, which `description` indexes.

    Raises KeyError for an ABI this host does not know.
    """
    guest = Module.load(fds[description.guest_fd])
    bridge = Module.load(fds[description.bridge_fd])
    return ProxyWasmModule(inner, guest, bridge, description)

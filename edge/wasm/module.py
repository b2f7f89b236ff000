"""Compiled modules: made in the compile child, deserialised from sealed descriptors in workers."""

from __future__ import annotations

from ctypes import addressof, c_void_p

from wasmtime import WasmtimeError, wat2wasm

from edge.wasm import raw
from edge.wasm.engine import core_engine
from edge.wasm.trap import take_message


class ModuleError(Exception):
    """The bytes are no module that the profile takes; the text is the engine's."""


class Module:
    """Code ready to be instantiated in any Store, on any thread."""

    __slots__ = ("pointer",)

    def __init__(self, pointer: int) -> None:
        self.pointer = pointer

    def __del__(self) -> None:
        raw.module_delete(self.pointer)

    @classmethod
    def load(cls, fd: int) -> Module:
        """Map an artefact from a descriptor, normally a sealed memfd. The descriptor may be closed after.

        The engine trusts artefacts: only bytes whose HMAC the supervisor has checked come here.
        """
        cell = c_void_p()
        error = raw.module_deserialize_file(core_engine().pointer, b"/proc/self/fd/%d" % fd, addressof(cell))
        if error:
            raise ModuleError(take_message(error))
        return cls(cell.value or 0)

    @classmethod
    def compile(cls, wasm: bytes) -> Module:
        """Compile a binary (never text). Costs seconds and gigabytes for hostile input."""
        cell = c_void_p()
        error = raw.module_new(core_engine().pointer, wasm, len(wasm), addressof(cell))
        if error:
            raise ModuleError(take_message(error))
        return cls(cell.value or 0)

    def serialise(self) -> bytes:
        """The artefact that `load` takes, valid for this wasmtime version, profile and CPU."""
        vector = raw.ByteVec()
        error = raw.module_serialize(self.pointer, addressof(vector))
        if error:
            raise ModuleError(take_message(error))
        return vector.take()


def assemble(text: str) -> bytes:
    """WAT to binary, for code we generate ourselves and for tests. Raises ModuleError."""
    try:
        return bytes(wat2wasm(text))
    except WasmtimeError as error:
        raise ModuleError(str(error)) from None

"""Host functions: the few calls from WASM that Python answers.

An exception that left a raw callback would end the process, so every function is wrapped: what it
raises becomes a trap with code `host`, and stays in `HostFunction.error`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import addressof, c_void_p, cast
from typing import Any, Final

from edge.wasm import raw

_KINDS: Final = {"i": 0, "I": 1, "f": 2, "F": 3}

HostCode = Callable[[int, Any], None]
"""(env, values): value k is `values[2 * k]`, arguments in, results out in the same place.

An i32 argument has garbage above its 32 bits: mask it.
"""


class HostFunction:
    """A function made once per process and defined in many Stores, told apart by `env`.

    `params`, `results`: one letter a value, i = i32, I = i64, f = f32, F = f64.
    """

    __slots__ = ("_callback", "_type", "code", "error", "name")

    def __init__(self, name: str, params: str, results: str, function: HostCode) -> None:
        self.name = name
        self.error: BaseException | None = None
        self._type: int = _functype(params, results)
        self._callback = raw.HostCallback(self._guarded(function))
        self.code: int = cast(self._callback, c_void_p).value or 0

    def _guarded(self, function: HostCode) -> Callable[[Any, Any, Any, int], int]:
        def run(env: int | None, _caller: int | None, values: Any, _count: int) -> int:
            try:
                function(env or 0, values)
            except BaseException as error:
                return self._failed(error)
            return 0

        return run

    def _failed(self, error: BaseException) -> int:
        self.error = error
        try:
            text = f"host function {self.name} failed: {error!r}".encode("utf-8", "replace")[:400]
        except BaseException:
            text = b"host function failed"
        return raw.trap_new(text, len(text)) or 0

    def define(self, context: int, env: int, address: int) -> None:
        """Write the function as an extern of the Store behind `context` to `address`."""
        ctypes.memset(address, 0, raw.EXTERN_BYTES)
        raw.func_new(context, self._type, self.code, env, None, address + raw.EXTERN_OF)


def _functype(params: str, results: str) -> int:
    """Lives as long as the process: host functions are made once."""
    vectors = []
    for letters in (params, results):
        types = (c_void_p * max(1, len(letters)))(*[raw.valtype_new(_KINDS[k]) for k in letters])
        vector = raw.ByteVec()
        raw.valtype_vec_new(addressof(vector), len(letters), addressof(types))
        vectors.append(vector)
    return raw.functype_new(addressof(vectors[0]), addressof(vectors[1])) or 0

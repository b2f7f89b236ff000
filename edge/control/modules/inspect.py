"""What an uploaded module is, and whether a worker could run it, before anything is compiled."""

from __future__ import annotations

import hashlib
from typing import Final

from edge.abi.proxy_wasm.bridge import UnfitGuest, generate
from edge.abi.proxy_wasm.imports import plan
from edge.wasm.binary import Inspection, inspect
from edge.wasm.reader import InvalidModule

_MARKERS: Final = {
    "proxy_abi_version_0_1_0": "proxy-wasm/0.1.0",
    "proxy_abi_version_0_2_0": "proxy-wasm/0.2.0",
    "proxy_abi_version_0_2_1": "proxy-wasm/0.2.1",
}


class Report:
    """`errors` refuse the module, `warnings` do not. `links`: (module, name, inner host's export).

    `bridge` is the generated bridge, empty for a module that is refused.
    """

    __slots__ = ("abi", "bridge", "digest", "errors", "inspection", "links", "size", "warnings")

    def __init__(self, wasm: bytes) -> None:
        self.digest = hashlib.sha256(wasm).hexdigest()
        self.size = len(wasm)
        self.abi = ""
        self.bridge = b""
        self.inspection: Inspection | None = None
        self.links: list[tuple[str, str, str]] = []
        self.errors: list[str] = []
        self.warnings: list[str] = []


def report(wasm: bytes) -> Report:
    """Everything that is wrong, at once. Takes milliseconds whatever the bytes."""
    found = Report(wasm)
    _examine(found, wasm)
    found.errors = [printable(line) for line in found.errors]
    found.warnings = [printable(line) for line in found.warnings]
    return found


def printable(line: str) -> str:
    """Names in a module are the uploader's: no line breaks or escape sequences reach a terminal."""
    return line if line.isprintable() else "".join(c if c.isprintable() else "?" for c in line)


def _examine(found: Report, wasm: bytes) -> None:
    try:
        inspection = found.inspection = inspect(wasm)
    except InvalidModule as error:
        found.errors.append(str(error))
        return
    _recognise(found, inspection)
    _check_shape(found, inspection)
    if found.abi:
        _link(found, inspection)


def _recognise(found: Report, inspection: Inspection) -> None:
    abis = [abi for marker, abi in _MARKERS.items() if marker in inspection.exports]
    if abis:
        # SDKs export one marker; of several the newest is meant.
        found.abi = abis[-1]
        return
    other = [name for name in inspection.exports if name.startswith("proxy_abi_version_")]
    if other:
        found.errors.append(f"{other[0]} is exported: this version of Proxy-Wasm is not supported")
    elif any(imported.module == "http_handler" for imported in inspection.imports):
        found.errors.append("this is an http-wasm module: that ABI is not supported yet")
    else:
        found.errors.append("no known ABI: no proxy_abi_version_0_1_0, _0_2_0 or _0_2_1 is exported")


def _check_shape(found: Report, inspection: Inspection) -> None:
    if inspection.memories != 1:
        found.errors.append(f"the module has {inspection.memories} memories, it must have exactly one")
    if inspection.has_start:
        found.warnings.append("it has a start section: no host call works before the instance is linked")


def _link(found: Report, inspection: Inspection) -> None:
    linked = plan(inspection.imports)
    found.links = list(linked.links)
    found.errors += [f"unknown import {missing}" for missing in linked.missing]
    found.warnings += linked.warnings
    try:
        generated = generate(inspection)
    except UnfitGuest as unfit:
        found.errors.append(str(unfit))
    else:
        found.bridge = generated

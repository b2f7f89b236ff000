"""The bytes of the modules a file names: read once, their digests checked."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path as FilePath
from urllib.parse import unquote, urlsplit

from edge import builtin
from edge.control.config.certificates import read_file
from edge.control.config.check import find
from edge.control.config.document import Document
from edge.control.config.problem import Path, Problem
from edge.control.config.secret_places import ANY

MODULE_LIMIT = 64 << 20
MAGIC = b"\0asm"


@dataclass(frozen=True, slots=True)
class Source:
    """A guest's bytes, their sha256 in hex, and the ABI its exports name."""

    name: str
    digest: str
    content: bytes
    abi: str


def read_modules(document: Document, folder: FilePath) -> tuple[dict[str, Source], list[Problem]]:
    """Sources by module name, and what is wrong with the others."""
    sources: dict[str, Source] = {}
    problems: list[Problem] = []
    for path, entry in find(document.data, ("modules", ANY)):
        if not isinstance(entry, dict):
            continue
        content = _content(document, path, entry, folder, problems)
        if content is None:
            continue
        digest = sha256(content).hexdigest()
        wanted = entry.get("sha256")
        if isinstance(wanted, str) and len(wanted) == 64 and wanted != digest:
            hint = f"the file's digest is {digest}"
            message = "the module has another digest; it is refused"
            problems.append(document.problem((*path, "sha256"), "module", message, hint))
            continue
        abi = _inspected(document, path, entry, content, problems)
        if abi:
            sources[str(path[-1])] = Source(str(path[-1]), digest, content, abi)
    return sources, problems


def _content(
    document: Document, path: Path, entry: dict[str, object], folder: FilePath, problems: list[Problem]
) -> bytes | None:
    name, url = entry.get("builtin"), entry.get("url")
    if isinstance(name, str):
        return builtin.path(name).read_bytes() if name in builtin.NAMES else None
    if not isinstance(url, str) or url.startswith(("oci://", "http://", "https://")):
        return None
    name = unquote(urlsplit(url).path) if url.startswith("file://") else url
    content = read_file(document, (*path, "url"), folder, name, problems, MODULE_LIMIT)
    if content is not None and not content.startswith(MAGIC):
        message = f"'{name}' is no WebAssembly binary"
        hint = "text format (.wat) and precompiled modules are not accepted; give the .wasm file"
        problems.append(document.problem((*path, "url"), "module", message, hint))
        return None
    return content


def _inspected(
    document: Document, path: Path, entry: dict[str, object], content: bytes, problems: list[Problem]
) -> str:
    """The ABI, empty when the module cannot run here. Nothing is compiled for it."""
    from edge.control.modules.inspect import report

    found = report(content)
    is_builtin = "builtin" in entry
    where = (*path, "builtin" if is_builtin else "url")
    for error in found.errors:
        hint = "`edge filter inspect FILE` shows the module's imports and exports"
        problems.append(document.problem(where, "module", f"the module cannot run: {error}", hint))
    # What comes with edge is known to do without them; Rust's SDK imports every function there is.
    if found.warnings and not is_builtin:
        message = f"warnings about the module: {len(found.warnings)}; the first: {found.warnings[0]}"
        hint = "`edge filter inspect FILE` lists them"
        problems.append(document.problem(where, "module", message, hint, severity="warning"))
    return "" if found.errors else found.abi

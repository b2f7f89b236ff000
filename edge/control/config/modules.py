"""The bytes of the modules a file names: read once, their digests checked."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path as FilePath
from urllib.parse import unquote, urlsplit

from edge.control.config.certificates import read_file
from edge.control.config.check import ANY, find
from edge.control.config.document import Document
from edge.control.config.problem import Path, Problem

MODULE_LIMIT = 64 << 20
MAGIC = b"\0asm"


@dataclass(frozen=True, slots=True)
class Source:
    """A guest's bytes and their sha256 in hex."""

    name: str
    digest: str
    content: bytes


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
        sources[str(path[-1])] = Source(str(path[-1]), digest, content)
    return sources, problems


def _content(
    document: Document, path: Path, entry: dict[str, object], folder: FilePath, problems: list[Problem]
) -> bytes | None:
    builtin, url = entry.get("builtin"), entry.get("url")
    if isinstance(builtin, str):
        file = files("edge") / "builtin" / f"{builtin}.wasm"
        return file.read_bytes() if file.is_file() else None
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

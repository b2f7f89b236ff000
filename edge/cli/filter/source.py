"""Where a command's module comes from."""

from __future__ import annotations

from pathlib import Path

from edge import builtin

BUILTIN = "builtin:"
SIZE_LIMIT = 64 << 20


class NoModule(Exception):
    """The text says why, in one line."""


def module_bytes(reference: str) -> bytes:
    """The file, or `builtin:NAME`. Raises NoModule."""
    path = Path(reference)
    if reference.startswith(BUILTIN):
        name = reference.removeprefix(BUILTIN)
        if name not in builtin.NAMES:
            raise NoModule(f"no built-in filter is named '{name}'; there are {', '.join(builtin.NAMES)}")
        path = builtin.path(name)
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise NoModule(f"{reference} is larger than {SIZE_LIMIT >> 20} MiB")
        return path.read_bytes()
    except OSError as error:
        raise NoModule(f"cannot read {reference}: {(error.strerror or str(error)).lower()}") from None

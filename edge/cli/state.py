"""The folder in which edge keeps what it made itself."""

from __future__ import annotations

import errno
import os
from pathlib import Path


class CannotKeepState(Exception):
    """The text says which folder, why, and what to do."""


def state_directory(given: Path | None) -> Path:
    """`--state-dir`, $EDGE_STATE_DIR, $XDG_STATE_HOME/edge, else ~/.local/state/edge; made, mode 0700.

    Raises CannotKeepState.
    """
    folder = given or Path(os.environ.get("EDGE_STATE_DIR") or _under_home())
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_keep(folder, error) from None
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise cannot_keep(folder, PermissionError(errno.EACCES, "permission denied"))
    return folder


def cannot_keep(folder: Path, error: OSError | ValueError) -> CannotKeepState:
    """The error to raise for `folder`."""
    reason = (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)
    return CannotKeepState(
        f"the state directory {folder} cannot be used: {reason}; "
        "give one that this user may write by --state-dir or EDGE_STATE_DIR"
    )


def _under_home() -> Path:
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "edge"

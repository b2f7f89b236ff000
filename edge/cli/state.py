"""The folder in which edge keeps what it made itself."""

from __future__ import annotations

import os
from pathlib import Path


def state_directory(given: Path | None) -> Path:
    """`--state-dir`, $EDGE_STATE_DIR, $XDG_STATE_HOME/edge, else ~/.local/state/edge; made, mode 0700."""
    folder = given or Path(os.environ.get("EDGE_STATE_DIR") or _under_home())
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _under_home() -> Path:
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "edge"

"""Whether the WASM engine works on this machine: tried once per engine and CPU, then remembered."""

from __future__ import annotations

import os
import secrets
from hashlib import sha256
from pathlib import Path
from subprocess import TimeoutExpired

import edge
from edge.control.modules.artefact_key import artefact_key
from edge.wasm import selftest


class EngineUnfit(Exception):
    """One line: what the engine did instead of what it must do."""


def check_engine(state_dir: Path) -> None:
    """Run the self-test in a child, unless it passed before with the same edge, engine and CPU.

    Blocks for up to `selftest.TIMEOUT_S`. Raises EngineUnfit; OSError when the stamp cannot be read.
    """
    stamp = state_dir / "engine-checked"
    wanted = sha256(edge.__version__.encode() + artefact_key("", "", "").context()).hexdigest()
    try:
        if stamp.read_text("ascii", "replace") == wanted:
            return
    except FileNotFoundError:
        pass
    try:
        selftest.check_in_child()
    except RuntimeError as error:
        raise EngineUnfit(str(error)) from None
    except TimeoutExpired:
        raise EngineUnfit(f"the engine's self-test took more than {selftest.TIMEOUT_S:.0f} s") from None
    temporary = state_dir / f".engine-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        temporary.write_text(wanted, "ascii")
        temporary.rename(stamp)
    except OSError:
        # A full disk: the next start tries the engine again.
        temporary.unlink(missing_ok=True)

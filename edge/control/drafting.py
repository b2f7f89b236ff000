"""The drafting child: `python -m edge.control.drafting FD FILE STATE_DIR`, one answer on FD.

Load, check, compile what is not in the store, build. It ends afterwards, and pydantic, PyYAML,
cryptography, the OpenTelemetry SDK and wasmtime with it: the supervisor runs for months.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import socket
import sys
import uuid
from pathlib import Path

import msgspec

import edge
from edge.confine import confine, die_with_parent
from edge.control.admin.redact import redacted
from edge.control.artefacts import CannotCompile, prepare_artefacts
from edge.control.compiling import compile_progress
from edge.control.config.build import Artefacts, build, explicit_telemetry
from edge.control.config.build_watches import dns, watches
from edge.control.config.certificate_card import cards
from edge.control.config.files import Files
from edge.control.config.load import Loaded, load
from edge.control.draft import Draft, Export, Failed, Invalid, Outcome, Shown, Uncompiled
from edge.model import Telemetry
from edge.telemetry.environment import Environment
from edge.wire import DOWN_LIMIT_BYTES, HEADER

FIRST_REVISION = 1


async def draft(file: Path, state_dir: Path) -> tuple[Outcome, list[int]]:
    """The outcome, and descriptors of artefacts, which the caller closes."""
    files: Files = {}
    loaded = load(file, files=files)
    if not isinstance(loaded, Loaded):
        return Invalid(loaded, files), []
    try:
        artefacts = await prepare_artefacts(loaded, state_dir, compile_progress())
    except CannotCompile as refused:
        return Uncompiled(refused.errors, loaded.warnings, files), []
    except (OSError, ValueError) as error:
        return Failed(f"modules cannot be kept in {state_dir}: {_said(error)}"), []
    return _made(loaded, artefacts), artefacts.descriptors


def _said(error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror.lower()}" if error.filename else error.strerror.lower()
    return str(error)


def _made(loaded: Loaded, artefacts: Artefacts) -> Draft:
    root = loaded.root
    ports = {listener.name: listener.address.port for listener in root.listeners}
    made = build(loaded, FIRST_REVISION, ports, artefacts)
    environment = Environment(os.environ)
    telemetry = environment.telemetry(made.telemetry, explicit_telemetry(loaded))
    return Draft(
        # A worker posts nothing, so the collector's credentials are not its own.
        model=msgspec.structs.replace(made, telemetry=msgspec.structs.replace(telemetry, otlp_headers={})),
        admin=root.admin.address,
        shown=_shown(loaded),
        export=_export(environment, telemetry),
        warnings=loaded.warnings,
        notices=[*environment.warnings, *artefacts.notices],
        files=loaded.document.files,
        watches=watches(loaded, made.clusters),
        dns=dns(root.dns),
    )


def _shown(loaded: Loaded) -> Shown:
    # Of several certificates for one name, the one that ends first.
    ends: dict[tuple[str, str], float] = {}
    for path, pair in loaded.certificates.items():
        if path[0] != "listeners":
            continue
        key = (loaded.root.listeners[int(path[1])].name, pair.names[0] if pair.names else "")
        ends[key] = min(pair.ends, ends.get(key, pair.ends))
    return Shown(
        file=loaded.document.name,
        modules={name: source.digest for name, source in loaded.modules.items()},
        config=_json(redacted(loaded.document.data)),
        certificate_ends=[(listener, name, end) for (listener, name), end in ends.items()],
        certificates=cards(loaded),
    )


def _json(data: object) -> bytes:
    try:
        return msgspec.json.encode(data)
    except UnicodeEncodeError:
        # A lone surrogate, written as an escape in the file.
        return json.dumps(data, ensure_ascii=False).encode("utf-8", "backslashreplace")


def _export(environment: Environment, telemetry: Telemetry) -> Export | None:
    settings = environment.export(telemetry)
    if settings is None:
        return None
    from edge.telemetry.resource import frame, resource_of

    # The resource tells of the process that serves: the one that started this.
    resource = resource_of(telemetry, edge.__version__, str(uuid.uuid4()), os.getppid())
    return Export(settings=settings, framing=frame(resource, edge.__version__))


def answer(end: socket.socket, outcome: Outcome, descriptors: list[int]) -> None:
    """One frame, the descriptors beside its first byte. `descriptors` are closed."""
    payload = msgspec.msgpack.encode(outcome)
    if len(payload) > DOWN_LIMIT_BYTES:
        reason = f"the configuration takes {len(payload)} bytes, a worker takes {DOWN_LIMIT_BYTES}"
        payload = msgspec.msgpack.encode(Failed(reason))
        _close(descriptors)
    header = HEADER.pack(len(payload), len(descriptors))
    socket.send_fds(end, [header], descriptors)
    _close(descriptors)
    end.sendall(payload)


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
    descriptors.clear()


def main(argv: list[str]) -> int:
    """Started by `edge.control.drafter` only."""
    # It lives for seconds, and of a large file makes millions of objects: looking for cycles among
    # them takes longer than everything else together.
    gc.disable()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a ^C at the terminal ends this without a word
    confine()
    die_with_parent()
    descriptor, file, state_dir = argv
    with socket.socket(fileno=int(descriptor)) as end:
        answer(end, *asyncio.run(draft(Path(file), Path(state_dir))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""How a draft is made: load, check, compile what is not in the store, build. In a process of its own
(`edge.control.drafting_room`), because pydantic, PyYAML, cryptography, the OpenTelemetry SDK and wasmtime
have no business in a supervisor that runs for months.
"""

from __future__ import annotations

import json
import os
import socket
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, cast

import msgspec

import edge
from edge import model
from edge.control.admin.redact import redacted
from edge.control.artefacts import CannotCompile, prepare_artefacts
from edge.control.compiling import compile_progress
from edge.control.config.build import Artefacts, build, explicit_telemetry
from edge.control.config.build_watches import dns, watches
from edge.control.config.certificate_card import cards
from edge.control.config.files import Files
from edge.control.config.load import Loaded, load_content, read_configuration
from edge.control.config.pieces import Piece, load_pieces
from edge.control.config.problem import Problem
from edge.control.draft import Draft, Export, Failed, Invalid, Outcome, Shown, Uncompiled
from edge.control.waiting import waiting
from edge.model import Telemetry
from edge.telemetry.environment import Environment
from edge.wire import DOWN_LIMIT_BYTES, HEADER

Pieces = dict[str, Piece]

FIRST_REVISION = 1


class Drafted(NamedTuple):
    """`descriptors` of artefacts are the caller's. `pieces` None = the file was not loaded in pieces."""

    outcome: Outcome
    descriptors: list[int]
    pieces: Pieces | None = None


async def draft(
    file: Path, state_dir: Path, known: Mapping[str, Piece] | None = None, process: int = 0
) -> Drafted:
    """Of the file as it is now. `known` are pieces of before; `process` is the one that will serve.

    A draft that was made of pieces is to be encoded, not to be read: its routes are encoded already.
    """
    files: Files = {}
    name = str(file)
    content = read_configuration(name, files)
    if isinstance(content, Problem):
        return Drafted(Invalid([content], files), [])
    read = dict(files)
    loaded: Loaded | list[Problem]
    with waiting(f"reading {name}"):
        in_pieces = load_pieces(name, content, known or {}, files)
        if in_pieces is not None:
            loaded, pieces = in_pieces
        else:
            files, pieces = read, None
            loaded = load_content(name, file.parent, content, files)
    if not isinstance(loaded, Loaded):
        return Drafted(Invalid(loaded, files), [])
    try:
        artefacts = await prepare_artefacts(loaded, state_dir, compile_progress())
    except CannotCompile as refused:
        return Drafted(Uncompiled(refused.errors, loaded.warnings, files), [])
    except (OSError, ValueError) as error:
        return Drafted(Failed(f"modules cannot be kept in {state_dir}: {_said(error)}"), [])
    made = _made(loaded, artefacts, pieces, process or os.getpid())
    return Drafted(made, artefacts.descriptors, pieces)


def _said(error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror.lower()}" if error.filename else error.strerror.lower()
    return str(error)


def _made(loaded: Loaded, artefacts: Artefacts, pieces: Pieces | None, process: int) -> Draft:
    root = loaded.root
    ports = {listener.name: listener.address.port for listener in root.listeners}
    made = build(loaded, FIRST_REVISION, ports, artefacts)
    if pieces is not None:
        # What is encoded already passes through an encoder as it is.
        encoded = [msgspec.Raw(piece.route) for piece in pieces.values()]
        routes = [*cast(list[model.Route], encoded), *made.routes]
        made = msgspec.structs.replace(made, routes=routes)
    environment = Environment(os.environ)
    telemetry = environment.telemetry(made.telemetry, explicit_telemetry(loaded))
    return Draft(
        # A worker posts nothing, so the collector's credentials are not its own.
        model=msgspec.structs.replace(made, telemetry=msgspec.structs.replace(telemetry, otlp_headers={})),
        admin=root.admin.address,
        shown=_shown(loaded, pieces),
        export=_export(environment, telemetry, process),
        warnings=loaded.warnings,
        notices=[*environment.warnings, *artefacts.notices],
        files=loaded.document.files,
        watches=watches(loaded, made.clusters),
        dns=dns(root.dns),
    )


def _shown(loaded: Loaded, pieces: Pieces | None) -> Shown:
    data = redacted(loaded.document.data)
    if pieces is not None:
        data["routes"] = [msgspec.Raw(piece.shown) for piece in pieces.values()]
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
        config=_json(data),
        certificate_ends=[(listener, name, end) for (listener, name), end in ends.items()],
        certificates=cards(loaded),
    )


def _json(data: object) -> bytes:
    try:
        return msgspec.json.encode(data)
    except UnicodeEncodeError:
        # A lone surrogate, written as an escape in the file.
        return json.dumps(data, ensure_ascii=False).encode("utf-8", "backslashreplace")


def _export(environment: Environment, telemetry: Telemetry, process: int) -> Export | None:
    settings = environment.export(telemetry)
    if settings is None:
        return None
    from edge.telemetry.resource import frame, resource_of

    resource = resource_of(telemetry, edge.__version__, str(uuid.uuid4()), process)
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

"""`secretRef: file:… | env:…`, resolved in the supervisor; a worker gets only its own."""

from __future__ import annotations

import os
from pathlib import Path as FilePath

from edge.control.config.certificates import read_file
from edge.control.config.check import find
from edge.control.config.document import Document
from edge.control.config.problem import Path, Problem
from edge.control.config.secret_places import ANY

SECRET_LIMIT = 64 << 10
_PLACES = (
    ("filterChains", ANY, ANY, "env", ANY, "secretRef"),
    ("telemetry", "tracing", "otlp", "headers", ANY, "secretRef"),
)


def read_secrets(document: Document, folder: FilePath) -> tuple[dict[str, str], list[Problem]]:
    """Values by reference. One newline at a file's end is not part of the secret."""
    values: dict[str, str] = {}
    problems: list[Problem] = []
    for place in _PLACES:
        for path, reference in find(document.data, place):
            if isinstance(reference, str) and reference not in values:
                value = _value(document, path, reference, folder, problems)
                if value is not None:
                    values[reference] = value
    return values, problems


def _value(
    document: Document, path: Path, reference: str, folder: FilePath, problems: list[Problem]
) -> str | None:
    kind, _, rest = reference.partition(":")
    if kind == "env" and rest:
        value = os.environ.get(rest)
        if value is None:
            message = f"the variable {rest} is not set"
            problems.append(document.problem(path, "file", message, "edge run reads it when it starts"))
        return value
    if kind != "file" or not rest:
        return None
    content = read_file(document, path, folder, rest, problems, SECRET_LIMIT)
    if content is None:
        return None
    try:
        return content.decode().removesuffix("\n")
    except UnicodeDecodeError:
        problems.append(document.problem(path, "file", f"'{rest}' is not UTF-8"))
        return None

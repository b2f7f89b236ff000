"""Whether the access log the file names can be written: the worker, which opens it, can only refuse."""

from __future__ import annotations

import os
from pathlib import Path as FilePath

from edge.control.config.check import find
from edge.control.config.document import Document
from edge.control.config.problem import Problem


def check_access_log(document: Document, folder: FilePath) -> list[Problem]:
    """At most one problem. Makes nothing."""
    for path, name in find(document.data, ("telemetry", "accessLog", "path")):
        if not isinstance(name, str) or name in ("", "stdout"):
            continue
        file = folder / name
        reason = _obstacle(file)
        if reason:
            hint = "" if FilePath(name).is_absolute() else "paths are relative to the folder of this file"
            return [document.problem(path, "file", f"cannot write '{name}': {reason}", hint)]
    return []


def _obstacle(file: FilePath) -> str:
    if "\0" in str(file):
        return "a file's name has no null byte"
    try:
        if file.is_dir():
            return "it is a folder; give a file"
        if file.exists():
            return "" if os.access(file, os.W_OK) else "permission denied"
        if not file.parent.is_dir():
            return f"there is no folder {file.parent}"
        return (
            "" if os.access(file.parent, os.W_OK | os.X_OK) else f"no permission to make it in {file.parent}"
        )
    except OSError as error:
        return (error.strerror or str(error)).lower()

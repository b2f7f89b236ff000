"""Which version of a package is installed, without importlib.metadata: 3 MiB of every worker."""

from __future__ import annotations

import os
import re
import sys

_SEPARATORS = re.compile(r"[-_.]+")


def version(name: str) -> str:
    """By the name of its dist-info folder on sys.path; where there is none, as importlib.metadata finds it.

    Raises importlib.metadata.PackageNotFoundError. Spec: the PyPA's recording of installed projects.
    """
    start = _SEPARATORS.sub("_", name).lower() + "-"
    for place in sys.path:
        try:
            inside = os.listdir(place or ".")
        except OSError:  # a zip, or nothing
            continue
        for folder in inside:
            if folder.endswith(".dist-info") and folder.lower().startswith(start):
                return folder[len(start) : -len(".dist-info")]
    from importlib import metadata

    return metadata.version(name)

"""Authorities that clusters and listeners trust: PEM files the configuration names, read once."""

from __future__ import annotations

from itertools import chain
from pathlib import Path as FilePath

from cryptography import x509

from edge.control.config.certificates import read_file
from edge.control.config.check import find
from edge.control.config.document import Document
from edge.control.config.problem import Path, Problem
from edge.control.config.secret_places import ANY, Pattern

_PLACES: tuple[Pattern, ...] = (
    ("clusters", ANY, "tls", "caFile"),
    ("listeners", ANY, "tls", "clientAuth", "caFile"),
    ("listeners", ANY, "tls", "certificates", ANY, "clientAuth", "caFile"),
)


def read_authorities(document: Document, folder: FilePath) -> tuple[dict[Path, bytes], list[Problem]]:
    """PEM by the path of its `caFile`, and what is wrong with the others."""
    found: dict[Path, bytes] = {}
    problems: list[Problem] = []
    for path, name in chain.from_iterable(find(document.data, place) for place in _PLACES):
        if not isinstance(name, str):
            continue
        content = read_file(document, path, folder, name, problems)
        if content is None:
            continue
        try:
            x509.load_pem_x509_certificates(content)
        except ValueError:
            hint = "it must hold -----BEGIN CERTIFICATE-----"
            problems.append(document.problem(path, "certificate", "holds no PEM certificate", hint))
            continue
        found[path] = content
    return found, problems

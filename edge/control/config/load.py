"""A configuration file, read and checked. Pure: it opens no socket and compiles nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path as FilePath

from pydantic import ValidationError

from edge.control.config.access_log import check_access_log
from edge.control.config.authorities import read_authorities
from edge.control.config.certificates import Pair, read_certificates
from edge.control.config.check import check
from edge.control.config.check_rules import check_rules
from edge.control.config.document import Document, parse
from edge.control.config.explain import explain
from edge.control.config.files import Files, signature_of
from edge.control.config.modules import Source, read_modules
from edge.control.config.problem import Path, Problem
from edge.control.config.schema import Root
from edge.control.config.secrets import read_secrets


@dataclass(frozen=True, slots=True)
class Loaded:
    """A valid file and everything it names, read once: nothing is read again while it is built."""

    folder: FilePath
    document: Document
    root: Root
    certificates: dict[Path, Pair]
    authorities: dict[Path, bytes]
    modules: dict[str, Source]
    secrets: dict[str, str]
    warnings: list[Problem]


def load(
    file: str | FilePath, content: bytes | None = None, files: Files | None = None
) -> Loaded | list[Problem]:
    """Everything that is wrong at once, in the order of the file, or the loaded configuration.

    `content` given = the file's text (from a pipe); its relative paths start where we are. `files`
    is told what was read.
    """
    name = str(file)
    folder = FilePath(name).parent if content is None else FilePath()
    files = {} if files is None else files
    if content is None:
        read = read_configuration(name, files)
        if isinstance(read, Problem):
            return [read]
        content = read
    return load_content(name, folder, content, files)


def read_configuration(name: str, files: Files) -> bytes | Problem:
    """What is in the file; `files` is told of it."""
    files[name] = None
    try:
        with FilePath(name).open("rb") as stream:
            files[name] = signature_of(os.fstat(stream.fileno()))
            return stream.read()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        return Problem(name, 1, 1, "", "file", f"cannot read the file: {reason}")


def load_content(name: str, folder: FilePath, content: bytes, files: Files) -> Loaded | list[Problem]:
    """As `load`, of what was read."""
    document = parse(name, content)
    document.files = files
    return judge(document, folder)


def judge(document: Document, folder: FilePath) -> Loaded | list[Problem]:
    """As `load`, of what was parsed."""
    problems = list(document.problems)
    if document.data is None and problems:
        return problems
    root: Root | None = None
    try:
        root = Root.model_validate(document.data)
    except ValidationError as error:
        problems += explain(document, error)
    problems += check(document)
    problems += check_rules(document)
    problems += check_access_log(document, folder)
    certificates, certificate_problems = read_certificates(document, folder)
    authorities, authority_problems = read_authorities(document, folder)
    modules, module_problems = read_modules(document, folder)
    secrets, secret_problems = read_secrets(document, folder)
    problems += certificate_problems + authority_problems + module_problems + secret_problems
    problems.sort(key=lambda problem: (problem.line, problem.column))
    if root is None or any(problem.severity == "error" for problem in problems):
        return problems
    return Loaded(folder.resolve(), document, root, certificates, authorities, modules, secrets, problems)

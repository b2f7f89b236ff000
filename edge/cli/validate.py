"""`edge validate`: what `edge run` would say, without serving anything."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from edge.cli.exits import EXIT_OK, EXIT_REFUSED, exit_of
from edge.cli.state import cannot_keep, state_directory
from edge.control.artefacts import CannotCompile, Progress, prepare_artefacts
from edge.control.compiling import compile_progress
from edge.control.config.build import used_modules
from edge.control.config.load import Loaded, load
from edge.control.config.problem import Problem
from edge.control.waiting import waiting

SCHEMA_VERSION = 1


def validate_file(file: str, output: str, form: str, state_dir: Path | None, compiled: bool) -> int:
    """The exit code: 0, 3 (invalid), 5 (nothing is wrong but that a module is refused)."""
    content = sys.stdin.buffer.read() if file == "-" else None
    with waiting(f"checking {file}", output):
        loaded = load(file) if content is None else load("<stdin>", content)
    problems = loaded.warnings if isinstance(loaded, Loaded) else loaded
    refusals: list[str] = []
    if isinstance(loaded, Loaded) and compiled and used_modules(loaded.root):
        refusals = _compile(loaded, state_dir, None if output == "json" else compile_progress())
    _tell(problems, refusals, output, form)
    if not isinstance(loaded, Loaded):
        return exit_of(problems)
    if refusals:
        return EXIT_REFUSED
    if output == "text" and form == "plain":
        print(f"{file}: valid: {summary(loaded)}")
    return EXIT_OK


def summary(loaded: Loaded) -> str:
    """How much of what the file holds."""
    root = loaded.root
    counted = (
        (len(root.listeners), "listener"),
        (len(root.routes), "route"),
        (sum(len(route.rules) for route in root.routes), "rule"),
        (len(root.filter_chains), "filter chain"),
        (len(root.clusters), "cluster"),
    )
    return ", ".join(f"{number} {noun}{'s' * (number != 1)}" for number, noun in counted)


def _compile(loaded: Loaded, state_dir: Path | None, progress: Progress | None) -> list[str]:
    folder = state_directory(state_dir)
    try:
        artefacts = asyncio.run(prepare_artefacts(loaded, folder, progress))
    except CannotCompile as refused:
        return refused.errors
    except (OSError, ValueError) as error:
        raise cannot_keep(folder, error) from None
    for descriptor in artefacts.descriptors:
        os.close(descriptor)
    return []


def _tell(problems: list[Problem], refusals: list[str], output: str, form: str) -> None:
    if form == "github":
        for problem in problems:
            print(problem.github())
        for refusal in refusals:
            print(f"::error::{refusal}")
    for problem in problems:
        print(problem.text(), file=sys.stderr)
    for refusal in refusals:
        print(f"edge: {refusal}", file=sys.stderr)
    errors = sum(problem.severity == "error" for problem in problems) + len(refusals)
    if errors:
        print(f"edge: {errors} error{'s' * (errors != 1)}", file=sys.stderr)
    if output == "json":
        print(json.dumps(_document(problems, refusals), ensure_ascii=False, indent=1))


def _document(problems: list[Problem], refusals: list[str]) -> dict[str, object]:
    by_severity: dict[str, list[dict[str, object]]] = {"error": [], "warning": []}
    for problem in problems:
        by_severity[problem.severity].append(problem.data())
    errors = by_severity["error"] + [{"code": "compile", "message": refusal} for refusal in refusals]
    return {
        "schemaVersion": SCHEMA_VERSION,
        "valid": not errors,
        "errors": errors,
        "warnings": by_severity["warning"],
    }

"""What is declared, what is installed and what is imported are the same things."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions, version
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]
_PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
_PIN = re.compile(r"([A-Za-z0-9._-]+)==([^;\s]+)\Z")


def _pins(requirements: list[str]) -> dict[str, str]:
    pins = {}
    for requirement in requirements:
        match = _PIN.match(requirement)
        assert match, f"{requirement} is not an exact pin"
        pins[_canonical(match[1])] = match[2]
    return pins


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _imported(folder: Path) -> set[str]:
    """Distributions that the sources in `folder` import, lazily or not."""
    modules = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules.add(node.module.partition(".")[0])
    foreign = modules - sys.stdlib_module_names - {"edge", "tests", "filters"}
    owners = packages_distributions()
    return {_canonical(name) for module in foreign for name in _nearest(module, owners)}


def _nearest(module: str, owners: dict[str, list[str]]) -> list[str]:
    # opentelemetry is one namespace of many distributions: these two bring all that edge uses.
    if module == "opentelemetry":
        return ["opentelemetry-sdk", "opentelemetry-proto"]
    if module == "google":
        return ["protobuf"]
    return list(owners[module])


def test_every_installed_version_is_the_pinned_one() -> None:
    pins = _pins(_PROJECT["dependencies"]) | _pins(_PROJECT["optional-dependencies"]["test"])
    assert {name: version(name) for name in pins} == pins


def test_edge_declares_exactly_what_it_imports() -> None:
    # pydantic-core comes with pydantic, rich with cyclopts; both pin it exactly or bound it.
    carried = {"pydantic-core", "rich"}
    assert _imported(TOP / "edge") - carried == set(_pins(_PROJECT["dependencies"]))


def test_tests_import_nothing_undeclared() -> None:
    declared = set(_pins(_PROJECT["dependencies"])) | set(_pins(_PROJECT["optional-dependencies"]["test"]))
    assert _imported(TOP / "tests") - declared - {"pydantic-core", "rich"} == set()

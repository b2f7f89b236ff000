"""The house style where a program can judge it. Each test names every place that breaks it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]
_PACKAGES = ("edge", "filters", "tests")
_TOP_LEVEL = {
    ".ci", ".gitignore", "ARCHITECTURE.md", "CHANGELOG.md", "Containerfile", "LICENSE", "README.md",
    "RATIONALE.md", "SECURITY.md", "edge", "examples", "filters", "pyproject.toml", "sdk", "tests",
}  # fmt: skip
_MADE_HERE = {
    ".git", ".venv", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".import_linter_cache", ".hypothesis",
    "__pycache__", "dist", "build",
}  # fmt: skip
_MOST_LINES = 500
_MOST_FUNCTION_LINES = 60
_VAGUE = {"utils", "util", "helpers", "helper", "common", "misc"}


def _sources() -> list[Path]:
    found = [path for name in _PACKAGES for path in sorted((TOP / name).rglob("*.py"))]
    assert len(found) > 100
    return found


def _name(path: Path) -> str:
    return str(path.relative_to(TOP))


def test_the_top_level_holds_what_the_design_names_and_nothing_else() -> None:
    assert {path.name for path in TOP.iterdir()} - _MADE_HERE == _TOP_LEVEL


def test_no_file_is_longer_than_the_limit() -> None:
    sizes = {_name(path): len(path.read_text().splitlines()) for path in _sources()}
    assert {name: size for name, size in sizes.items() if size > _MOST_LINES} == {}


def test_no_function_is_longer_than_the_limit() -> None:
    long = []
    for path in _sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                # The body: a signature with one parameter a line is not what makes a function long.
                size = (node.end_lineno or 0) - node.body[0].lineno + 1
                if size > _MOST_FUNCTION_LINES:
                    long.append(f"{_name(path)}:{node.lineno} {node.name}: {size} lines")
    assert long == []


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert [_name(path) for path in _sources() if _VAGUE & set(path.with_suffix("").parts)] == []


def test_packages_only_document_and_re_export() -> None:
    guilty = []
    for path in (path for path in _sources() if path.name == "__init__.py"):
        body = ast.parse(path.read_text()).body
        for node in body:
            allowed = isinstance(node, ast.Import | ast.ImportFrom) or _is_docstring(node, body)
            if not (allowed or _assigns_dunder(node) or _is_lazy_export(node)):
                guilty.append(f"{_name(path)}:{node.lineno}")
    assert guilty == []


def _is_docstring(node: ast.stmt, body: list[ast.stmt]) -> bool:
    return node is body[0] and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _assigns_dunder(node: ast.stmt) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return all(isinstance(target, ast.Name) and target.id.startswith("__") for target in targets)


def _is_lazy_export(node: ast.stmt) -> bool:
    """`__getattr__`, and `main` of the command line, which keeps imports out of `edge version`."""
    return isinstance(node, ast.FunctionDef) and node.name in ("__getattr__", "main")


def test_every_package_says_what_it_is() -> None:
    packages = [path for path in _sources() if path.name == "__init__.py" and path.parts[-2] != "tests"]
    assert [_name(path) for path in packages if not ast.get_docstring(ast.parse(path.read_text()))] == []


_FOREIGN = re.compile(
    r"/root/|/home/[a-z]|/w[o]rk/|pyp[i]\.org|pythonhoste[d]|npmj[s]|crate[s]\.io|prox[y]\.golang"
    r"|docke[r]\.io|ghc[r]\.io|qua[y]\.io"
)


def test_no_source_names_a_machine_or_a_registry() -> None:
    kinds = {".py", ".md", ".toml", ".yaml", ".c", ".h", ".ts", ".rs", ".wat", ".json", ".html", ".js"}
    folders = [TOP / name for name in (*_PACKAGES, "sdk", "examples", ".ci")]
    files = [
        path for folder in folders for path in folder.rglob("*") if path.suffix in kinds or path.name == "run"
    ]
    files += [path for path in TOP.iterdir() if path.is_file()]
    guilty = []
    for path in files:
        if path.is_file() and path != Path(__file__).resolve():
            for number, line in enumerate(path.read_text().splitlines(), 1):
                if _FOREIGN.search(line):
                    guilty.append(f"{_name(path)}:{number}: {line.strip()[:80]}")
    assert guilty == []


_SWITCHED_OFF = re.compile(r"mark\.(skip|skipif|xfail)\b|\bunittest\.skip")
_SLEEP = re.compile(r"\b(?:time|asyncio)\.sleep\((\d[\d._]*)")
_POLL_S = 0.05
"""A loop that asks for a condition may wait this long between two questions."""


def test_no_test_is_switched_off_and_none_sleeps_for_long() -> None:
    guilty = []
    for path in (TOP / "tests").rglob("*.py"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            slept = any(float(seconds) > _POLL_S for seconds in _SLEEP.findall(line))
            if path != Path(__file__).resolve() and (slept or _SWITCHED_OFF.search(line)):
                guilty.append(f"{_name(path)}:{number}: {line.strip()}")
    assert guilty == []

"""`edge fmt`: a configuration in one layout. What it says, its order and its comments stay."""

from __future__ import annotations

import difflib
import io
import os
import re
import sys
from pathlib import Path

from edge.cli.exits import EXIT_DIFFERENT, EXIT_FAILED, EXIT_INVALID, EXIT_OK
from edge.control.config.document import parse
from edge.control.waiting import waiting

WIDTH = 110


class CannotFormat(Exception):
    """The text says why the file stays as it is."""


def format_file(file: str, check: bool) -> int:
    """Rewrite `file` (`-` = stdin to stdout). `check` = only say what would change, exit code 4."""
    try:
        before = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        print(f"edge: {file}: {(error.strerror or str(error)).lower()}", file=sys.stderr)
        return EXIT_FAILED
    document = parse(file, before)
    if document.problems:
        for problem in document.problems:
            print(problem.text(), file=sys.stderr)
        return EXIT_INVALID
    try:
        with waiting(f"formatting {file}"):
            after = formatted(file, before.decode()).encode()
    except CannotFormat as error:
        print(f"edge: {file}: {error}; nothing was changed", file=sys.stderr)
        return EXIT_FAILED
    if check:
        return _compare(file, before.decode(), after.decode())
    if file == "-":
        sys.stdout.write(after.decode())
    elif after != before:
        _replace(Path(file), after)
        print(f"edge: {file}: formatted", file=sys.stderr)
    return EXIT_OK


def formatted(name: str, text: str) -> str:
    """`text` in our layout. Raises CannotFormat when it would say anything else than before."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = WIDTH
    yaml.brace_single_entry_mapping_in_flow_sequence = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    out = io.StringIO()
    try:
        yaml.dump(yaml.load(text), out)
    except YAMLError as error:
        raise CannotFormat(str(error).splitlines()[0]) from None
    lines = (line.rstrip() for line in out.getvalue().splitlines())
    made = re.sub("\n{3,}", "\n\n", "\n".join(lines)).strip("\n") + "\n"
    before, after = parse(name, text.encode()), parse(name, made.encode())
    if before.problems or after.problems or after.data != before.data:
        raise CannotFormat("the formatted file would not say the same")
    if _comments(made) != _comments(text):
        raise CannotFormat("a comment would be lost")
    return made


def _comments(text: str) -> list[str]:
    """What could be a comment, in any order: compared before and after, so texts with # do no harm."""
    return sorted(match.group().strip() for match in re.finditer("(?:^|[ \t])#.*$", text, re.MULTILINE))


def _compare(file: str, before: str, after: str) -> int:
    if before == after:
        return EXIT_OK
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), file, f"{file} (formatted)"
    )
    sys.stdout.writelines(lines)
    print(f"edge: {file} is not formatted; `edge fmt {file}` does it", file=sys.stderr)
    return EXIT_DIFFERENT


def _replace(path: Path, content: bytes) -> None:
    """At once, so that a watching edge never reads half a file; links and modes stay."""
    target = path.resolve()
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        fresh.write_bytes(content)
        fresh.chmod(target.stat().st_mode & 0o7777)
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)

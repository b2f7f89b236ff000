"""One thing that is wrong with a configuration file: where, what, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """`line` and `column` count from 1; `width` is how many columns the fault covers.

    Every text is one printable line.

    `code` is stable for machines: syntax, unknown-field, not-supported, missing-field, wrong-type,
    wrong-value, duplicate, undefined, file, certificate, module, limit.
    """

    file: str
    line: int
    column: int
    path: str
    code: str
    message: str
    hint: str = ""
    source: str = ""
    width: int = 1
    severity: str = "error"
    """`error` or `warning`; a file with warnings only is valid."""

    def __post_init__(self) -> None:
        # Keys and values of the file are in these, and a terminal obeys control characters.
        for name in ("path", "message", "hint"):
            object.__setattr__(self, name, printable(getattr(self, name)))
        object.__setattr__(self, "source", "".join(map(_visible, self.source)))

    def text(self) -> str:
        """`file:line:col: error: path: message`, the line, a caret, and the hint."""
        where = f"{self.path}: " if self.path else ""
        lines = [f"{self.file}:{self.line}:{self.column}: {self.severity}: {where}{self.message}"]
        if self.source:
            before = "".join("\t" if c == "\t" else " " for c in self.source[: self.column - 1])
            lines.append(f"{self.line:5} | {self.source}")
            lines.append(f"      | {before}{'^' * self.width}")
        if self.hint:
            lines.append(f"      hint: {self.hint}")
        return "\n".join(lines)

    def data(self) -> dict[str, object]:
        """The keys of `-o json`."""
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "path": self.path,
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "severity": self.severity,
        }

    def github(self) -> str:
        """A workflow command that puts the error beside the line of a change."""
        message = f"{self.path}: {self.message}" if self.path else self.message
        if self.hint:
            message = f"{message} ({self.hint})"
        escaped = message.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        return f"::{self.severity} file={self.file},line={self.line},col={self.column}::{escaped}"


def printable(text: str) -> str:
    """Characters that do not show are written as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _visible(character: str) -> str:
    """One column for one column, so that the caret stays below the fault."""
    return character if character.isprintable() or character == "\t" else "\N{REPLACEMENT CHARACTER}"


def path_text(path: Iterable[str | int]) -> str:
    """`routes[0].rules[1].name`, the way the file's readers write it."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def did_you_mean(wrong: object, known: Iterable[str]) -> str:
    """` (did you mean X?)` or nothing."""
    found = closest(wrong, known)
    return f" (did you mean {found}?)" if found else ""


def closest(wrong: object, known: Iterable[str]) -> str:
    """The one of `known` that `wrong` resembles, or nothing."""
    if not isinstance(wrong, str):
        return ""
    by_fold = {name.casefold(): name for name in known}
    close = get_close_matches(wrong.casefold(), by_fold, n=1, cutoff=0.6)
    if not close:
        close = [fold for fold in by_fold if len(wrong) > 2 and fold.endswith(wrong.casefold())][:1]
    return by_fold[close[0]] if close else ""

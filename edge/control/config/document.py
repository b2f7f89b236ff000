"""A YAML file as plain data that remembers where each key and value stood.

The schema of YAML 1.2: only true, false, null and numbers are not strings, so `on`, `1:30` and
dates mean what they look like. Tags, merge keys and reused anchors are refused: the file stays
what a reader sees, and an alias bomb has nothing to expand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import yaml

from edge.control.config.files import Files
from edge.control.config.problem import Path, Problem, path_text
from edge.control.config.secret_places import mask, shown_path

SIZE_LIMIT = 16 << 20
DEPTH_LIMIT = 40

_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""What ends a line for PyYAML; its marks count by it."""
_INT = re.compile(r"[-+]?[0-9]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_CONSTANTS = {"true": True, "false": False, "null": None, "~": None, "": None}
_PLAIN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "timestamp", "value")}
_COLLECTION_TAGS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Mark:
    """Counts from 0, as PyYAML does."""

    line: int
    column: int
    width: int


class Marks:
    """Where values stood, or keys. Looked for when asked: few places of a large file ever are."""

    def __init__(self, root: yaml.Node | None = None, of_keys: bool = False) -> None:
        """Without `root` nothing stood anywhere."""
        self._root = root
        self._of_keys = of_keys

    def __getitem__(self, path: Path) -> Mark:
        """Raises KeyError where there is none."""
        key, value = None, self._root
        for part in path:
            key, value = _entry(value, part)
        node = key if self._of_keys else value
        if node is None:
            raise KeyError(path)
        return _mark(node)

    def __contains__(self, path: Path) -> bool:
        try:
            self[path]
        except KeyError:
            return False
        return True


def _entry(node: yaml.Node | None, part: str | int) -> tuple[yaml.Node | None, yaml.Node]:
    """Key and value of `part` in `node`; raises KeyError. Of a key that is given twice, the first."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value == part:
                return key, value
    elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return None, node.value[part]
    raise KeyError(part)


@dataclass(slots=True)
class Document:
    """`data` is what the file says; every path of it has a mark for its value, most one for a key.

    `lines` are the file's, with asterisks over secrets.
    """

    name: str
    lines: list[str]
    data: object = None
    keys: Marks = field(default_factory=Marks)
    values: Marks = field(default_factory=Marks)
    files: Files = field(default_factory=dict)
    """What was read for it so far, this file first."""
    problems: list[Problem] = field(default_factory=list)

    def problem(
        self,
        path: Path,
        code: str,
        message: str,
        hint: str = "",
        *,
        at_key: bool = False,
        severity: str = "error",
    ) -> Problem:
        """A problem at the place of `path`, or of the nearest parent the file has."""
        known = path
        marks = self.keys if at_key and path in self.keys else self.values
        while known and known not in marks:
            known, marks = known[:-1], self.values
        mark = marks[known] if known in marks else Mark(0, 0, 1)
        return self.problem_at(mark, path, code, message, hint, severity)

    def problem_at(
        self, mark: Mark, path: Path, code: str, message: str, hint: str = "", severity: str = "error"
    ) -> Problem:
        """A problem at `mark`."""
        source = self.lines[mark.line] if mark.line < len(self.lines) else ""
        width = max(1, min(mark.width, len(source) - mark.column))
        return Problem(
            file=self.name,
            line=mark.line + 1,
            column=mark.column + 1,
            path=path_text(shown_path(path)),
            code=code,
            message=message,
            hint=hint,
            source=source,
            width=width,
            severity=severity,
        )


def parse(name: str, content: bytes) -> Document:
    """Never raises for what is in the file: see `Document.problems`. `data` is None then."""
    text = content.decode("utf-8", "replace")
    document = Document(name, _BREAK.split(text))
    if len(content) > SIZE_LIMIT:
        document.problems.append(document.problem((), "limit", f"the file is larger than {SIZE_LIMIT} bytes"))
        return document
    try:
        content.decode("utf-8")
        root = yaml.compose(text, Loader=_LOADER)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start)
        column = error.start - (content.rfind(b"\n", 0, error.start) + 1)
        document.problems.append(
            document.problem_at(Mark(line, column, 1), (), "syntax", "the file is not UTF-8")
        )
        return document
    except yaml.YAMLError as error:
        document.problems.append(_syntax(document, error))
        return document
    if root is None:
        document.problems.append(document.problem((), "syntax", "the file is empty"))
        return document
    mask(root, document.lines)
    document.keys, document.values = Marks(root, of_keys=True), Marks(root, of_keys=False)
    reader = _Reader(document)
    document.data = reader.value(root, ())
    return document


def read_item(text: str, depth: int) -> object:
    """What the one item of the list in `text` says, a list that lies `depth` levels deep in its file.

    Raises ValueError when anything is wrong with it, without saying what and where.
    """
    try:
        root = yaml.compose(text, Loader=_LOADER)
    except (yaml.YAMLError, RecursionError):
        raise ValueError("no YAML") from None
    if not isinstance(root, yaml.SequenceNode) or len(root.value) != 1:
        raise ValueError("not one item")
    document = Document("", [], keys=Marks(root, of_keys=True), values=Marks(root, of_keys=False))
    data = _Reader(document, DEPTH_LIMIT - depth).value(root, ())
    if document.problems or not isinstance(data, list):
        raise ValueError("wrong in itself")
    return data[0]


def tokens(text: str) -> list[yaml.Token]:
    """Raises ValueError when it is no YAML."""
    try:
        return list(yaml.scan(text, Loader=_LOADER))
    except yaml.YAMLError:
        raise ValueError("no YAML") from None


def _syntax(document: Document, error: yaml.YAMLError) -> Problem:
    if isinstance(error, yaml.MarkedYAMLError) and (mark := error.problem_mark or error.context_mark):
        message = " ".join(part for part in (error.context, error.problem) if part)
        hint = _syntax_hint(document, message, mark.line, mark.column)
        return document.problem_at(Mark(mark.line, mark.column, 1), (), "syntax", message, hint)
    return document.problem((), "syntax", str(error).splitlines()[0])


def _syntax_hint(document: Document, message: str, line: int, column: int) -> str:
    if "cannot start any token" in message:
        source = document.lines[line] if line < len(document.lines) else ""
        if source[column : column + 1] in ("@", "`", "%"):
            return f"put a value that begins with {source[column]} in quotes"
        return "YAML is indented with spaces, never with tabs"
    if "block" in message and "did not find expected key" in message:
        return "compare the indentation with that of the lines above"
    return ""


class _Reader:
    """Nodes to data; each fault is one problem, and reading goes on."""

    def __init__(self, document: Document, depth_limit: int = DEPTH_LIMIT) -> None:
        self._document = document
        self._depth_limit = depth_limit
        self._seen: set[int] = set()

    def value(self, node: yaml.Node, path: Path) -> object:
        if id(node) in self._seen:
            message = "an anchor may not be used again (*alias)"
            self._refuse_at(_mark(node), path, message, "write the value out")
            return None
        if len(path) > self._depth_limit:
            self._refuse(path, f"nested deeper than {DEPTH_LIMIT} levels")
            return None
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if node.tag not in _COLLECTION_TAGS:
            self._refuse(path, f"the tag {node.tag} is not allowed")
        self._seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        return None

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> object:
        text: str = node.value
        if node.tag == "tag:yaml.org,2002:str" or (node.style and node.tag in _PLAIN_TAGS):
            return text
        if node.tag not in _PLAIN_TAGS:
            self._refuse(path, f"the tag {node.tag} is not allowed")
            return None
        if text.lower() in _CONSTANTS and (text == text.lower() or text.istitle() or text.isupper()):
            return _CONSTANTS[text.lower()]
        if _INT.match(text):
            return int(text) if len(text) < 20 else text
        return float(text) if _FLOAT.match(text) else text

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, object]:
        result: dict[str, object] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._refuse_at(_mark(key_node), path, "a key must be a plain word")
                continue
            key: str = key_node.value
            here = (*path, key)
            if key_node.tag == "tag:yaml.org,2002:merge":
                self._refuse_at(_mark(key_node), here, "merge keys (<<) are not allowed")
                continue
            if key in result:
                first = self._document.keys[here].line + 1
                message = f"is given twice; the first is on line {first}"
                problem = self._document.problem_at(_mark(key_node), here, "duplicate", message)
                self._document.problems.append(problem)
                continue
            result[key] = self.value(value_node, here)
        return result

    def _refuse(self, path: Path, message: str, hint: str = "") -> None:
        self._document.problems.append(self._document.problem(path, "syntax", message, hint))

    def _refuse_at(self, mark: Mark, path: Path, message: str, hint: str = "") -> None:
        self._document.problems.append(self._document.problem_at(mark, path, "syntax", message, hint))


def _mark(node: yaml.Node) -> Mark:
    start, end = node.start_mark, node.end_mark
    width = end.column - start.column if end.line == start.line else 1
    if not isinstance(node, yaml.ScalarNode):
        width = 1
    return Mark(start.line, start.column, max(1, width))

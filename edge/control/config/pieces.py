"""A configuration in pieces: routes that read as they did before are not read again.

Most of a large file are routes, and a change touches few of them. The text is cut into the items of
`routes` and the rest. The rest, with one number in the place of all items, is loaded as any file is; each
item is composed, validated and built alone, or remembered by its text. Only a file in which nothing is wrong
can be loaded so, and only where items mean alone what they mean in the file: for every other one `load` has
the word, and its errors have their places.

Why an item means the same alone: YAML is read from the left. Where an item begins at the list's indentation
and parses whole, no quote, bracket or block is open at its end. What could reach over from elsewhere
(anchors, aliases, tags) is refused here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Final

import msgspec
import yaml
from pydantic import ValidationError

from edge.control.config.build_routes import route_model
from edge.control.config.check import check
from edge.control.config.check_rules import check_rules
from edge.control.config.document import SIZE_LIMIT, Document, Mark, parse, read_item, tokens
from edge.control.config.files import Files
from edge.control.config.load import Loaded, judge
from edge.control.config.schema.routes import Route

_BREAKS: Final = "\r\x85\u2028\u2029"
"""Ends of lines beside the usual one: a file with them is cut by nobody but YAML itself."""
_REACHING: Final = re.compile(r"[&*!](?<![^\s\[{,:?-].)")
"""What may begin an anchor, an alias or a tag, if it stands in no comment and no quotes."""
_REACHING_TOKENS: Final = (yaml.AnchorToken, yaml.AliasToken, yaml.TagToken)
_SECTION: Final = re.compile(r"^routes:[ ]*(?:#.*)?\n(?:[ ]*(?:#.*)?\n)*(?P<indent>[ ]*)-(?=[ \n])", re.M)
_PLACEHOLDER: Final = 0
_LIST_DEPTH: Final = 1


class Piece(msgspec.Struct, frozen=True, array_like=True):
    """What one valid item of `routes` comes to, all of it encoded: `route` in msgpack, the rest in JSON.

    `rest` is what the file around it decides about: all but names and matches.
    """

    name: str
    route: bytes
    shown: bytes
    rest: bytes


@dataclass(frozen=True, slots=True)
class Cut:
    """The text of a file. `rest` has as many lines as the file, each where it was; `mark` is its number's."""

    rest: str
    items: list[str]
    mark: Mark


def cut(text: str) -> Cut | None:
    """None where it cannot be told from the lines alone where items begin and end."""
    found = _SECTION.search(text)
    if found is None or any(each in text for each in _BREAKS):
        return None
    first, indent = found.start("indent"), len(found["indent"])
    begins = re.compile(rf"^[ ]{{{indent}}}-(?=[ \n])", re.M)
    ends = re.compile(rf"^(?=[ ]{{0,{indent}}}[^ \n#])(?![ ]{{{indent}}}-[ \n])", re.M)
    after = ends.search(text, first)
    last = after.start() if after is not None else len(text)
    starts = [each.start() for each in begins.finditer(text, first, last)]
    items = [text[start:end] for start, end in zip(starts, [*starts[1:], last], strict=True)]
    head, section = text[:first], text[first:last]
    blank = "\n" * section.count("\n")
    rest = f"{head}{' ' * indent}- {_PLACEHOLDER}{blank}{text[last:]}"
    return Cut(rest, items, Mark(head.count("\n"), indent + 2, 1))


def load_pieces(
    name: str, content: bytes, known: Mapping[str, Piece], files: Files
) -> tuple[Loaded, dict[str, Piece]] | None:
    """The file without its routes, and these by their text, in order. None = see what `load` says.

    `known` are pieces of before, by text.
    """
    try:
        made = cut(content.decode()) if len(content) <= SIZE_LIMIT else None
        if made is None:
            return None
        pieces = {item: known.get(item) or _piece(item) for item in made.items}
    except ValueError:  # UnicodeDecodeError too
        return None
    if len({piece.name for piece in pieces.values()}) != len(made.items):
        return None
    document = parse(name, made.rest.encode())
    document.files = files
    if not _stands(document, made.mark):
        return None
    loaded = judge(document, FilePath(name).parent)
    if not isinstance(loaded, Loaded) or not _fit(document, pieces):
        return None
    return loaded, pieces


def _stands(document: Document, mark: Mark) -> bool:
    """Whether the number is the one item of the file's `routes`, which it is no more afterwards."""
    data = document.data
    if document.problems or not isinstance(data, dict) or data.get("routes") != [_PLACEHOLDER]:
        return False
    data["routes"] = []
    return document.values[("routes", 0)] == mark


def _piece(text: str) -> Piece:
    """Raises ValueError when anything about the item is wrong, or worth a warning."""
    if _REACHING.search(text) and any(isinstance(token, _REACHING_TOKENS) for token in tokens(text)):
        raise ValueError("not by itself")
    data = read_item(text, _LIST_DEPTH)
    try:
        route = Route.model_validate(data)
    except ValidationError:
        raise ValueError("not valid") from None
    alone = Document("", [], {"routes": [data]})
    assert isinstance(data, dict)
    if check_rules(alone) or len({each.name for each in route.rules if each.name}) < sum(
        each.name is not None for each in route.rules
    ):
        raise ValueError("contradicts itself")
    return Piece(
        route.name,
        msgspec.msgpack.encode(route_model(route)),
        msgspec.json.encode(data),
        msgspec.json.encode(_without_matches(data)),
    )


def _without_matches(route: dict[str, object]) -> dict[str, object]:
    rules = route["rules"]
    assert isinstance(rules, list)
    bare = [{key: value for key, value in rule.items() if key not in ("name", "matches")} for rule in rules]
    return {**{key: value for key, value in route.items() if key != "name"}, "rules": bare}


def _fit(document: Document, pieces: Mapping[str, Piece]) -> bool:
    """Whether the file around them has what routes name. Those alike are looked at once."""
    rests = [msgspec.json.decode(each) for each in dict.fromkeys(piece.rest for piece in pieces.values())]
    assert isinstance(document.data, dict)
    around = replace(document, data={**document.data, "routes": rests})
    return not check(around) and not check_rules(around)

"""`edge diff`: what a configuration would change, by the names of things, defaults filled in."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, NamedTuple

from edge.cli.admin_client import NotReachable, ask, tell
from edge.cli.exits import EXIT_DIFFERENT, EXIT_OK, EXIT_UNREACHABLE, EXIT_USAGE, exit_of
from edge.control.admin.redact import redacted
from edge.control.config.load import Loaded, load
from edge.control.config.schema import Root
from edge.control.waiting import waiting

SCHEMA_VERSION = 1


class Change(NamedTuple):
    """`kind`: added, removed, changed. `path` names list items by their `name`, else by their place."""

    kind: str
    path: str
    before: Any
    after: Any


class _Refused(Exception):
    """The file is not taken; all that is to say was said."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def diff_files(file: Path, other: Path | None, admin: str, output: str) -> int:
    """`file` beside what runs, or beside `other`; the exit code: 0 equal, 4 different."""
    try:
        with waiting("comparing", output):
            after = _of_file(file if other is None else other)
            before = _of_running(admin) if other is None else _of_file(file)
    except _Refused as refused:
        return refused.code
    except NotReachable as error:
        tell(error)
        return EXIT_UNREACHABLE
    except ValueError as error:
        tell(error)
        return EXIT_USAGE
    changes = list(compare(before, after))
    if output == "json":
        listed = [change._asdict() for change in changes]
        print(json.dumps({"schemaVersion": SCHEMA_VERSION, "changes": listed}, ensure_ascii=False, indent=1))
    else:
        for change in changes:
            print(_line(change))
    return EXIT_DIFFERENT if changes else EXIT_OK


def compare(before: Any, after: Any, path: str = "") -> Iterator[Change]:
    """Every difference, outermost first; what is new or gone is one change, whatever it holds."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*before, *(key for key in after if key not in before)]:
            here = f"{path}.{key}" if path else str(key)
            if key not in after:
                yield Change("removed", here, before[key], None)
            elif key not in before:
                yield Change("added", here, None, after[key])
            else:
                yield from compare(before[key], after[key], here)
    elif _named(before) and _named(after):
        yield from _compare_named(before, after, path)
    elif _placed(before) and _placed(after):
        yield from _compare_placed(before, after, path)
    elif before != after:
        yield Change("changed", path, before, after)


def _compare_named(before: list[Any], after: list[Any], path: str) -> Iterator[Change]:
    old, new = ({each["name"]: each for each in side} for side in (before, after))
    for name in [*old, *(name for name in new if name not in old)]:
        here = f"{path}[{name}]"
        if name not in new:
            yield Change("removed", here, old[name], None)
        elif name not in old:
            yield Change("added", here, None, new[name])
        else:
            yield from compare(old[name], new[name], here)
    if [name for name in old if name in new] != [name for name in new if name in old]:
        yield Change("changed", f"{path} (order)", list(old), list(new))


def _compare_placed(before: list[Any], after: list[Any], path: str) -> Iterator[Change]:
    """By place, counted from 0 in the side that has it; what stands between equals is compared in pairs."""
    old, new = ([json.dumps(each, sort_keys=True) for each in side] for side in (before, after))
    for kind, at, end, other, other_end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        pairs = min(end - at, other_end - other)
        for step in range(pairs):
            yield from compare(before[at + step], after[other + step], f"{path}[{other + step}]")
        for place in range(at + pairs, end):
            yield Change("removed", f"{path}[{place}]", before[place], None)
        for place in range(other + pairs, other_end):
            yield Change("added", f"{path}[{place}]", None, after[place])


def _placed(side: Any) -> bool:
    """A list of things, of which some have no name."""
    return isinstance(side, list) and bool(side) and all(isinstance(each, dict) for each in side)


def _named(side: Any) -> bool:
    """A list of things that are told apart by name."""
    if not isinstance(side, list) or not all(isinstance(each, dict) and each.get("name") for each in side):
        return False
    return len({each["name"] for each in side}) == len(side)


def _of_file(file: Path) -> dict[str, Any]:
    loaded = load(file)
    if not isinstance(loaded, Loaded):
        for problem in loaded:
            print(problem.text(), file=sys.stderr)
        raise _Refused(exit_of(loaded))
    digests = {name: f"sha256:{source.digest}" for name, source in loaded.modules.items()}
    return normal(redacted(loaded.document.data), digests)


def _of_running(admin: str) -> dict[str, Any]:
    status, answer = ask(admin, "/config")
    if status != 200:
        raise NotReachable(f"{admin} answered {status}: {answer.get('error', '')}")
    return normal(answer["config"], answer["modules"])


def normal(config: dict[str, Any], digests: dict[str, str]) -> dict[str, Any]:
    """Defaults filled in, and of each module which bytes it is: the same path may hold others now."""
    filled = Root.model_validate(config).model_dump(mode="json", by_alias=True, warnings=False)
    for name, module in filled["modules"].items():
        module["digest"] = digests.get(name, "")
    return filled


def _line(change: Change) -> str:
    sign = {"added": "+", "removed": "-", "changed": "~"}[change.kind]
    if change.kind == "changed":
        return f"{sign} {change.path}: {_shown(change.before)} -> {_shown(change.after)}"
    return f"{sign} {change.path}: {_shown(change.before if change.kind == 'removed' else change.after)}"


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)

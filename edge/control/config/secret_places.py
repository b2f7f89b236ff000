"""Where the file may hold secrets in plain words, and how they are kept out of what is shown."""

from __future__ import annotations

import yaml

from edge.control.config.problem import Path

ANY = "*"
Pattern = tuple[str, ...]

# Keys of API users stand in filter configurations, and nobody but the filter knows which of its
# values and keys are secret: all of it is hidden.
OPAQUE_PLACES: tuple[Pattern, ...] = (
    ("filterChains", ANY, ANY, "config"),
    ("filterChains", ANY, ANY, "vmConfig"),
)
NAMED_PLACES: tuple[Pattern, ...] = (
    ("filterChains", ANY, ANY, "env"),
    ("telemetry", "tracing", "otlp", "headers"),
)
"""Mappings whose keys are plain names and whose values may be secret."""
REFERENCE = "secretRef"
"""Names where a secret is; is none itself."""
DEPTH_LIMIT = 50


def place_of(path: Path) -> Path:
    """The part of `path` that leads to a place of secrets; empty when it leads to none."""
    for pattern in (*OPAQUE_PLACES, *NAMED_PLACES):
        size = len(pattern)
        if len(path) >= size and all(p in (ANY, part) for p, part in zip(pattern, path, strict=False)):
            return path[:size]
    return ()


def leads_to_secrets(path: Path) -> bool:
    """Whether a place of secrets may be at `path`, or below it, or above."""
    return any(
        all(p in (ANY, part) for p, part in zip(pattern, path, strict=False))
        for pattern in (*OPAQUE_PLACES, *NAMED_PLACES)
    )


def is_opaque(place: Path) -> bool:
    """Whether keys below `place` may be secrets too."""
    return any(place[-1] == pattern[-1] for pattern in OPAQUE_PLACES)


def is_secret(path: Path) -> bool:
    """Whether the value at `path` may be one."""
    return bool(place_of(path)) and path[-1] != REFERENCE


def shown_path(path: Path) -> Path:
    """`path` without the keys that may be secrets."""
    place = place_of(path)
    return place if place and is_opaque(place) else path


def mask(root: yaml.Node, lines: list[str]) -> None:
    """Put asterisks over every secret in `lines`; what stands where stays as it is."""
    seen: set[int] = set()
    waiting: list[tuple[yaml.Node, Path]] = [(root, ())]
    while waiting:
        node, path = waiting.pop()
        if id(node) in seen or len(path) > DEPTH_LIMIT or not leads_to_secrets(path):
            continue
        seen.add(id(node))
        place = place_of(path)
        if isinstance(node, yaml.ScalarNode):
            if place and path[-1] != REFERENCE:
                _cover(node, lines)
        elif place and is_opaque(place):
            _cover(node, lines)
        elif isinstance(node, yaml.SequenceNode):
            waiting += [(item, (*path, index)) for index, item in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            waiting += [
                (value, (*path, key.value if isinstance(key, yaml.ScalarNode) else ""))
                for key, value in node.value
            ]


def _cover(node: yaml.Node, lines: list[str]) -> None:
    start, end = node.start_mark, node.end_mark
    for number in range(start.line, min(end.line + 1, len(lines))):
        line = lines[number]
        first = start.column if number == start.line else 0
        last = end.column if number == end.line else len(line)
        hidden = "".join(c if c.isspace() else "*" for c in line[first:last])
        lines[number] = line[:first] + hidden + line[last:]

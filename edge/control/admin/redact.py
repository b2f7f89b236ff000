"""The configuration as admin shows it: what may hold a secret is a digest."""

from __future__ import annotations

import json
from copy import deepcopy
from hashlib import sha256
from typing import Any

from edge.control.config.check import find
from edge.control.config.secret_places import ANY, NAMED_PLACES, OPAQUE_PLACES, REFERENCE

SECRET_PLACES = (*OPAQUE_PLACES, *((*place, ANY) for place in NAMED_PLACES))


def redacted(data: Any) -> Any:
    """A copy of the file's plain data without secrets. References to secrets stay."""
    copy = _copied(data)
    for place in SECRET_PLACES:
        for path, value in list(find(copy, place)):
            if isinstance(value, dict) and list(value) == [REFERENCE]:
                continue
            holder = copy
            for part in path[:-1]:
                holder = holder[part]
            holder[path[-1]] = _digest(value)
    return copy


def _copied(data: Any) -> Any:
    """As deep as there are places of secrets. Routes are most of a large file, and have none."""
    if not isinstance(data, dict):
        return deepcopy(data)
    places = {place[0] for place in SECRET_PLACES}
    return {key: deepcopy(value) if key in places else value for key, value in data.items()}


def _digest(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return f"<redacted sha256:{sha256(text.encode()).hexdigest()[:16]}>"

"""The configuration as admin shows it: what may hold a secret is a digest."""

from __future__ import annotations

import json
from copy import deepcopy
from hashlib import sha256
from typing import Any

from edge.control.config.check import ANY, find

# Keys of API users stand in filter configurations, and nobody but the filter knows which values
# are secret: all of it is hidden. Equal digests still show equal configurations.
SECRET_PLACES = (
    ("filterChains", ANY, ANY, "config"),
    ("filterChains", ANY, ANY, "vmConfig"),
    ("filterChains", ANY, ANY, "env", ANY),
    ("telemetry", "tracing", "otlp", "headers", ANY),
)


def redacted(data: Any) -> Any:
    """A copy of the file's plain data without secrets. References to secrets stay."""
    copy = deepcopy(data)
    for place in SECRET_PLACES:
        for path, value in list(find(copy, place)):
            if isinstance(value, dict) and list(value) == ["secretRef"]:
                continue
            holder = copy
            for part in path[:-1]:
                holder = holder[part]
            holder[path[-1]] = _digest(value)
    return copy


def _digest(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return f"<redacted sha256:{sha256(text.encode()).hexdigest()[:16]}>"

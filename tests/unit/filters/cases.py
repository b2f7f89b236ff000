"""The cases of each built-in filter, by the filter's name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from tests.unit.filters import ab_split, api_key, header_transform

Case = Callable[[Path], None]


def _cases(module: ModuleType) -> list[Case]:
    prefix = module.__name__.rpartition(".")[2] + "_"
    return [value for name, value in sorted(vars(module).items()) if name.startswith(prefix)]


CASES = {
    "api-key": _cases(api_key),
    "header-transform": _cases(header_transform),
    "ab-split": _cases(ab_split),
}

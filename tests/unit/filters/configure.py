"""A filter with a configuration it must take, or must refuse and say why."""

from __future__ import annotations

import json
from pathlib import Path

from tests.tools.filter_host import FilterHost


def configured(module: Path, config: object, backends: frozenset[bytes] = frozenset()) -> FilterHost:
    """An instance that took `config`."""
    host = FilterHost(module, json.dumps(config).encode(), backends)
    assert host.configured, host.logs
    return host


def refuses(module: Path, cases: list[tuple[bytes, str]]) -> None:
    """Each configuration is refused with a log line that holds the text beside it."""
    for config, reason in cases:
        host = FilterHost(module, config)
        assert not host.configured, config
        assert reason in host.logs[-1], (config, host.logs)
        assert "secret-key" not in host.logs[-1]

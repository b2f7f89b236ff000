"""The table of examples/routing/README.md is true."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from edge import model
from edge.control.config.build import Artefacts, build
from edge.control.config.load import Loaded, load
from edge.head import RequestHead
from edge.route import RouteTable
from edge.route.explain import bare_table, explain

_FOLDER = Path(__file__).resolve().parents[2] / "examples" / "routing"
_ROW = re.compile(r"\| `(\w+) (http://\S+)` \| (?:`([^`]+)`)? ?\| (\S+) \| (.*?) ?\|\Z")
_ROWS = [
    match.groups() for line in (_FOLDER / "README.md").read_text().splitlines() if (match := _ROW.match(line))
]
_ROWS_FLOOR = 12


@pytest.fixture(scope="module")
def made() -> model.Model:
    loaded = load(_FOLDER / "edge.yaml")
    assert isinstance(loaded, Loaded), loaded
    assert loaded.warnings == []
    return build(loaded, 1, {"web": 8080}, Artefacts())


@pytest.fixture(scope="module")
def table(made: model.Model) -> RouteTable:
    return bare_table(made, "web")


def test_every_row_is_read() -> None:
    assert len(_ROWS) >= _ROWS_FLOOR


@pytest.mark.parametrize(("method", "url", "field", "rule", "because"), _ROWS)
def test_the_request_takes_the_rule(
    table: RouteTable, method: str, url: str, field: str | None, rule: str, because: str
) -> None:
    parts = urlsplit(url)
    name, _, value = (field or "").partition(": ")
    fields = [(name.encode(), value.encode())] if field else []
    target = parts.path + ("?" + parts.query if parts.query else "")
    head = RequestHead(method.encode(), b"http", parts.netloc.encode(), target.encode(), fields)
    won = table.match(head)
    assert (f"{won.rule.route}/{won.rule.name}" if won else "none") == rule
    verdicts = explain(table, head)
    others = [verdict.because for verdict in verdicts if verdict.fits and not verdict.won]
    assert because == "" or others[0] == because

"""The file of examples/upstreams is sound and says what its README tells."""

from __future__ import annotations

from pathlib import Path

from edge import model
from edge.control.config.build import Artefacts, build
from edge.control.config.load import Loaded, load

_FOLDER = Path(__file__).resolve().parents[2] / "examples" / "upstreams"


def test_the_file_says_what_the_readme_tells() -> None:
    loaded = load(_FOLDER / "edge.yaml")
    assert isinstance(loaded, Loaded), loaded
    assert loaded.warnings == []
    made = build(loaded, 1, {"web": 8080}, Artefacts())
    orders, pages = made.clusters
    rules = {rule.name: rule for rule in made.routes[0].rules}
    assert orders.balancing.type == "least_request"
    assert [endpoint.weight for endpoint in orders.endpoints] == [3, 1]
    assert orders.outliers == model.Outliers()
    assert (orders.panic_percent, orders.max_requests, orders.retry_percent) == (50, 1000, 20)
    assert pages.balancing.cookie_ttl_s == 3600
    retry = rules["orders"].retry
    assert retry is not None
    assert (retry.codes, retry.attempts, retry.non_idempotent) == ([502, 503, 504], 2, False)
    assert rules["orders"].backend_timeout_s == 2.0


def test_every_field_of_the_readme_is_in_the_file() -> None:
    text = (_FOLDER / "edge.yaml").read_text()
    table = [line for line in (_FOLDER / "README.md").read_text().splitlines() if line.startswith("| ")]
    fields = {
        part.rpartition(".")[2]
        for line in table[1:]
        for part in line.split("|")[4].replace("`", "").split(", ")
        if part.strip() not in ("", "always so")
    }
    assert {name.strip() for name in fields} - set(_words(text)) == set()
    assert len(table) == 13


def _words(text: str) -> list[str]:
    return "".join(char if char.isalnum() else " " for char in text).split()

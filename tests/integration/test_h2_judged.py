"""h2spec in strict mode against a running edge on TLS: bare, and with three filters before the upstream."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.integration.authority import Authority
from tests.integration.protocol_site import Site, every_protocol
from tests.integration.running_edge import configuration, rule, running_edge, through
from tests.integration.scripted_upstream import answering
from tests.tools import h2spec, require

CASES = 146
_LIMIT_S = 240
# h2spec writes names of cases as they are, control characters included, which XML forbids.
_control = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def _filters() -> list[dict[str, Any]]:
    """Three that let requests without credentials pass."""
    polish = {"request": {"set": {"x-from": "${path}"}}, "response": {"set": {"x-served-by": "edge"}}}
    choice = {"cookie": "side", "variants": [{"name": "only", "weight": 1, "backend": "up"}]}
    return [
        {"name": "polish", "module": "headers", "config": polish},
        {"name": "ab", "module": "split", "config": choice, "allow": {"backends": ["up"]}},
        {"name": "again", "module": "headers", "config": {"response": {"set": {"x-last": "${status}"}}}},
    ]


@pytest.fixture(scope="module", params=["bare", "three filters"])
def site(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    edge_state: Path,
    authority: Authority,
) -> Iterator[Site]:
    filtered = request.param != "bare"
    more: dict[str, Any] = {
        "modules": {"headers": {"builtin": "header-transform"}, "split": {"builtin": "ab-split"}},
        "filterChains": {"three": _filters()},
    }
    with answering(b"served by an upstream") as upstream:
        rules = [rule("up", filters=[through("three")] if filtered else [])]
        config = configuration({"up": [upstream.port]}, rules, **(more if filtered else {}))
        folder = tmp_path_factory.mktemp("h2spec")
        with running_edge(folder / "edge", every_protocol(config, authority), edge_state) as edge:
            yield Site(edge, authority)


def test_h2spec_strict(site: Site, tmp_path: Path) -> None:
    report = tmp_path / "h2spec.xml"
    where = ["-h", "127.0.0.1", "-p", str(site.edge.ports["secure"]), "-t", "-k"]
    subprocess.run(
        [require(h2spec), *where, "-o", "5", "-S", "-j", report],
        stdout=subprocess.DEVNULL,
        timeout=_LIMIT_S,
        check=False,
    )
    cases = ElementTree.fromstring(_control.sub("", report.read_text())).findall(".//testcase")
    unhappy = [
        f"{case.get('package')}: {case.get('classname')}"
        for case in cases
        if any(case.find(outcome) is not None for outcome in ("failure", "error", "skipped"))
    ]
    assert unhappy == []
    assert len(cases) == CASES
    assert site.ask("h2", "/").body == b"served by an upstream"

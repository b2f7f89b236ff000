"""sslyze judges a running edge, with the certificate of `edge demo`, by Mozilla's intermediate profile."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.cli.demo.authority import Files, local_certificate
from tests.integration.authority import Authority
from tests.integration.protocol_site import Site, every_protocol
from tests.integration.running_edge import configuration, rule, running_edge
from tests.integration.scripted_upstream import answering
from tests.tools import require, sslyze

_LIMIT_S = 240
_SCANS = (
    *("certinfo", "compression", "early_data", "elliptic_curves", "ems", "fallback", "heartbleed"),
    *("openssl_ccs", "reneg", "resum", "robot", "sslv2", "sslv3", "tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3"),
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return local_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, edge_state: Path, authority: Authority, files: Files
) -> Iterator[Site]:
    with answering(b"ok") as upstream:
        config = every_protocol(configuration({"up": [upstream.port]}, [rule("up")]), authority)
        certificate = {"certFile": str(files.certificate), "keyFile": str(files.key)}
        config["listeners"][1]["tls"] = {"certificates": [certificate]}
        with running_edge(tmp_path_factory.mktemp("tls") / "edge", config, edge_state) as edge:
            yield Site(edge, authority)


def test_tls_is_what_mozilla_calls_intermediate(site: Site, files: Files, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = [require(sslyze), "-m", "sslyze", "--mozilla_config", "intermediate", "--sni", "localhost"]
    command += ["--certinfo_ca_file", files.ca, "--json_out", report, *(f"--{scan}" for scan in _SCANS)]
    done = subprocess.run(
        [*map(str, command), f"127.0.0.1:{site.edge.ports['secure']}"],
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
    )
    (told,) = json.loads(report.read_text())["server_scan_results"]
    scans = [told["scan_result"][name]["status"] for name in told["scan_result"]]
    assert scans.count("COMPLETED") >= len(_SCANS)
    assert "ERROR" not in scans
    assert "OK - Compliant" in done.stdout, done.stdout[-2000:]
    assert site.ask("h3", "/").body == b"ok"

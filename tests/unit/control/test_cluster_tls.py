"""`clusters[].protocol` and `clusters[].tls`: from the file to the model."""

from __future__ import annotations

from pathlib import Path

import trustme

from edge import model
from edge.control.config.build import Artefacts, build
from edge.control.config.load import Loaded, load

_FILE = """\
version: 1
listeners: [{{name: web, address: "127.0.0.1:8080"}}]
routes: [{{name: all, parentRefs: [{{name: web}}], rules: [{{backendRefs: [{{name: up}}]}}]}}]
clusters: [{{name: up, {more} discovery: {{type: Static, endpoints: [{{address: "10.0.0.1:443"}}]}}}}]
"""


def cluster(folder: Path, more: str) -> model.Cluster:
    file = folder / "edge.yaml"
    file.write_text(_FILE.format(more=more))
    loaded = load(file)
    assert isinstance(loaded, Loaded), [problem.text() for problem in loaded]
    return build(loaded, 1, {"web": 8080}, Artefacts()).clusters[0]


def test_a_cluster_is_http_1_1_in_plain_text_by_default(tmp_path: Path) -> None:
    made = cluster(tmp_path, "")
    assert (made.protocol, made.tls) == ("h1", None)


def test_h2_without_tls_is_h2c(tmp_path: Path) -> None:
    made = cluster(tmp_path, "protocol: h2,")
    assert (made.protocol, made.tls) == ("h2", None)


def test_tls_needs_neither_a_name_nor_authorities(tmp_path: Path) -> None:
    assert cluster(tmp_path, "tls: {},").tls == model.UpstreamTls()


def test_authorities_travel_with_the_model(tmp_path: Path) -> None:
    authority = trustme.CA().cert_pem.bytes()
    (tmp_path / "ca.pem").write_bytes(authority)
    made = cluster(tmp_path, "protocol: h2, tls: {sni: shop.internal, caFile: ca.pem},")
    assert made.tls == model.UpstreamTls(sni="shop.internal", ca_pem=authority)

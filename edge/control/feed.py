"""What the supervisor finds out about endpoints, brought to the workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from edge import model, wire
from edge.control.discovery.spec import Watch
from edge.control.discovery.watcher import Told, Watcher
from edge.control.draft import Draft

FIRST_LOOK_UP_S: Final = 2.0
"""A start or a reload waits so long for names; what is not known then is told when it is."""


class Feed:
    """`send(message)` reaches every worker that serves.

    A worker hears `introduction(model)` after Prepared and before Activate, so that no request meets
    an endpoint that is a name, or one that is known to be unwell.
    """

    def __init__(self, send: Callable[[wire.Endpoints], None]) -> None:
        self.watcher = Watcher(self._publish)
        self._send = send
        self._watches: dict[int, list[Watch]] = {}
        """By revision: of the one that is served and the one that is being prepared."""
        self._active = 0
        self._told: set[str] = set()
        """Clusters that workers were ever told about: their endpoints are not the model's any more."""

    async def begin(self, draft: Draft) -> None:
        """Watch what a revision to come needs, and wait for first answers, not for long."""
        self._watches[draft.model.revision] = draft.watches
        if draft.watches:
            await self.watcher.begin(draft.dns, draft.watches, FIRST_LOOK_UP_S)

    def adopted(self, draft: Draft) -> None:
        """This is what is served now, whether another was proposed or not."""
        self._active = draft.model.revision
        self._watches = {self._active: draft.watches}
        self.watcher.only(draft.dns, draft.watches)

    def introduction(self, made: model.Model) -> list[wire.Endpoints]:
        """For a worker that is about to serve `made`."""
        messages = {}
        for watch in self._watches.get(made.revision, ()):
            told = self.watcher.told(watch)
            if told is not None:
                messages[watch.cluster] = _message(told, made.revision)
        for cluster in made.clusters:
            # Watched before and no more: the pools may stand, their endpoints are the model's again.
            if cluster.name in self._told and cluster.name not in messages:
                generation = self.watcher.next_generation()
                messages[cluster.name] = wire.Endpoints(
                    cluster.name, generation, cluster.endpoints, made.revision
                )
        self._told.update(messages)
        return list(messages.values())

    async def stop(self) -> None:
        await self.watcher.stop()

    def _publish(self, watch: Watch, told: Told) -> None:
        if watch in self._watches.get(self._active, ()):
            self._told.add(watch.cluster)
            self._send(_message(told, self._active))


def _message(told: Told, revision: int) -> wire.Endpoints:
    endpoints = [
        model.Endpoint(
            host=each.host,
            port=each.port,
            weight=each.weight,
            healthy=each.usable,
            name=each.name if each.name != each.host else "",
        )
        for each in told.members
    ]
    return wire.Endpoints(told.cluster, told.generation, endpoints, revision)

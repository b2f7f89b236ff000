"""The clusters of one revision."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from edge import model
from edge.exchange.deadlines import Deadlines
from edge.upstream.cluster import Cluster
from edge.upstream.dialer import Dialer
from edge.upstream.guarded import cluster_of
from edge.upstream.retry import Retry


class Clusters(dict[str, Cluster]):
    """By name. A cluster that is equal in the previous revision is the same object, with its pools.

    One of the same name goes on counting what it rejects. `share` = how many workers there are.
    """

    def __init__(
        self,
        models: Iterable[model.Cluster],
        dialer: Dialer,
        deadlines: Deadlines,
        clock: Callable[[], float],
        limits: model.Limits,
        previous: Clusters | None = None,
        share: int = 1,
    ) -> None:
        super().__init__()
        self._deadlines = deadlines
        self._clock = clock
        for cluster in models:
            old = previous.get(cluster.name) if previous is not None else None
            if old is not None and (old.model, old.limits, old.share) == (cluster, limits, share):
                self[cluster.name] = old
                continue
            self[cluster.name] = made = cluster_of(cluster, dialer, deadlines, clock, limits, share=share)
            if old is not None:
                made.rejected = old.rejected

    def retrying(self, policy: model.Retry | None) -> Retry | None:
        """What makes the tries that `policy` of a rule allows, at any of these clusters."""
        return Retry(policy, self._deadlines, self._clock) if policy is not None else None

    def retire(self, successor: Clusters | None) -> None:
        """This revision takes no new requests: close the clusters its successor does not share."""
        for name, cluster in self.items():
            if successor is None or successor.get(name) is not cluster:
                cluster.close()

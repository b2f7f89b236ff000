"""All watched clusters of the revisions that serve or are being prepared."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Final, NamedTuple

from edge.control.discovery.probe import probe
from edge.control.discovery.resolver import DnsResolver, Found, Resolver
from edge.control.discovery.site import Member, Prober, Site
from edge.control.discovery.spec import Dns, Watch

PROBES_AT_ONCE: Final = 64


class Told(NamedTuple):
    """What workers must know of a cluster; a higher generation replaces a lower one."""

    cluster: str
    generation: int
    members: list[Member]


class _LazyResolver:
    """dnspython costs 10 MiB: it is loaded when a name is first looked up."""

    def __init__(self, dns: Dns) -> None:
        self._dns = dns
        self._resolver: Resolver | None = None

    async def lookup(self, host: str) -> Found:
        if self._resolver is None:
            self._resolver = DnsResolver(self._dns)
        return await self._resolver.lookup(host)


class Watcher:
    """`publish(watch, told)` for each change of a cluster. Must be made while a loop runs."""

    def __init__(
        self,
        publish: Callable[[Watch, Told], None],
        resolver: Callable[[Dns], Resolver] = _LazyResolver,
        prober: Prober = probe,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._publish = publish
        self._make_resolver = resolver
        self._dns: Dns | None = None
        self._sites: dict[tuple[Dns, Watch], Site] = {}
        self._generations = count(1)
        self._ending: set[asyncio.Task[None]] = set()
        self.prober = prober
        self.clock = clock
        self.chance = chance
        self.probing = asyncio.Semaphore(PROBES_AT_ONCE)
        self.resolver: Resolver = resolver(Dns())

    async def begin(self, dns: Dns, watches: Iterable[Watch], limit_s: float) -> None:
        """Watch these too, and wait until each name was asked once, for at most `limit_s`.

        What is watched already, with equal settings, goes on as it is.
        """
        if dns != self._dns:
            self._dns = dns
            self.resolver = self._make_resolver(dns)
        waits = []
        for watch in watches:
            site = self._sites.get((dns, watch))
            if site is None:
                site = self._sites[dns, watch] = Site(watch, _World(self, self.resolver), self._changed)
            waits.append(asyncio.ensure_future(site.asked.wait()))
        if waits:
            _, late = await asyncio.wait(waits, timeout=limit_s)
            for each in late:
                each.cancel()

    def only(self, dns: Dns, watches: Iterable[Watch]) -> None:
        """Forget all others: the revision that used them is no more, or never came to serve."""
        keep = {(dns, watch) for watch in watches}
        for key in self._sites.keys() - keep:
            ending = asyncio.create_task(self._sites.pop(key).stop())
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    def told(self, watch: Watch) -> Told | None:
        """What a worker that starts now must hear of `watch`. None = nothing is known yet."""
        site = next((site for (_, each), site in self._sites.items() if each == watch), None)
        if site is None:
            return None
        site.generation = site.generation or next(self._generations)
        return self._tell(site)

    def next_generation(self) -> int:
        """Higher than any that was told."""
        return next(self._generations)

    def states(self) -> Iterator[tuple[str, Counter[str], int]]:
        """(cluster, endpoints by state, names served stale) of everything watched."""
        for site in self._sites.values():
            yield site.watch.cluster, Counter(m.state.value for m in site.members()), site.stale()

    def members(self) -> dict[str, list[Member]]:
        """Endpoints by cluster."""
        return {site.watch.cluster: site.members() for site in self._sites.values()}

    async def stop(self) -> None:
        await asyncio.gather(*(site.stop() for site in self._sites.values()), *self._ending)
        self._sites.clear()

    def _changed(self, site: Site) -> None:
        site.generation = next(self._generations)
        self._publish(site.watch, self._tell(site))

    def _tell(self, site: Site) -> Told:
        return Told(site.watch.cluster, site.generation, site.members())


class _World:
    """A site keeps the resolver it began with."""

    def __init__(self, watcher: Watcher, resolver: Resolver) -> None:
        self.resolver = resolver
        self.prober = watcher.prober
        self.clock = watcher.clock
        self.chance = watcher.chance
        self.probing = watcher.probing

"""The end of a worker: accept no more, let exchanges end, then go."""

from __future__ import annotations

import asyncio
from typing import Final

from edge.listen.proxy_door import Entrance
from edge.listen.secured import Secured
from edge.worker.listening import Listening

POLL_S: Final = 0.02
ARRIVING_S: Final = 2.0
"""Handshakes and PROXY headers under way are waited for this long: a client that is slower comes again."""


async def drain(listening: Listening, grace_s: float) -> None:
    """At the latest after `grace_s` every connection is over."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await listening.stop()
    while (now := loop.time()) < began + grace_s:
        arriving = Secured.under_way + Entrance.waiting if now < began + ARRIVING_S else 0
        if not arriving and not any(listening.connections().values()):
            break
        await asyncio.sleep(POLL_S)
    listening.close()

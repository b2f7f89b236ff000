"""The ASGI application of listeners whose protocols answer everything themselves."""

from __future__ import annotations

from typing import Any, Final

from hypercorn.app_wrappers import ASGIWrapper


async def _no_app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "lifespan":
        raise RuntimeError("a data-plane listener never runs an ASGI application")
    # To return is to have begun and ended well. Whoever waits here is left behind when `worker_serve` fails.


NO_APP: Final = ASGIWrapper(_no_app)
"""What `worker_serve` asks for; it takes part in the lifespan only, and has nothing to do there."""

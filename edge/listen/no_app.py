"""The ASGI application of listeners whose protocols answer everything themselves."""

from __future__ import annotations

from typing import Any, Final

from hypercorn.app_wrappers import ASGIWrapper


async def _no_app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "lifespan":
        raise RuntimeError("a data-plane listener never runs an ASGI application")
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


NO_APP: Final = ASGIWrapper(_no_app)
"""What `worker_serve` asks for; it takes part in the lifespan only."""

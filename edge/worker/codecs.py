"""What speaks on a new TCP connection of a listener. HTTP/2 is loaded only where it is spoken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from edge import listen, model
from edge.codec.context import ListenerContext
from edge.codec.h1.server import H1Server


def check_codecs(listener: model.Listener) -> None:
    """Load what `listener` speaks. Raises when an engine is not the one we know."""
    if "h2" in listener.protocols or "h2c" in listener.protocols:
        from edge.codec.h2 import selftest as h2

        h2.check()
    if "h3" in listener.protocols:
        from edge.codec.h3 import selftest as h3

        h3.check()


def codecs(listener: model.Listener, context: ListenerContext) -> Callable[[], asyncio.Protocol]:
    """A maker of protocols for connections of `listener`."""

    def h1() -> asyncio.Protocol:
        return H1Server(context)

    if "h2" not in listener.protocols and "h2c" not in listener.protocols:
        return h1
    from edge.codec.h2.server import H2Server

    def h2() -> asyncio.Protocol:
        return H2Server(context)

    switch = listen.AlpnSwitch if listener.certificates else listen.PrefaceSwitch
    return lambda: switch(h1, h2)

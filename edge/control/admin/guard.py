"""Who may ask: a browser on this machine that means us, or a tool. Nobody else.

A page of another site can make a browser send requests to loopback. It cannot choose the Host
without DNS rebinding (refused here), and its Origin gives it away.
"""

from __future__ import annotations

from collections.abc import Sequence

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
Headers = Sequence[tuple[bytes, bytes]]


def refusal(headers: Headers, port: int) -> str:
    """Why a request is refused, or an empty text. Names in `headers` are lower case."""
    hosts = [value.decode("latin-1").lower() for name, value in headers if name == b"host"]
    own = [f"{name}:{port}" for name in LOOPBACK_NAMES]
    if port == 80:
        own += LOOPBACK_NAMES
    if len(hosts) != 1 or hosts[0] not in own:
        return f"the Host must be one of {', '.join(own)}"
    origins = [value.decode("latin-1").lower() for name, value in headers if name == b"origin"]
    if any(origin not in [f"http://{host}" for host in own] for origin in origins):
        return "requests from other origins are refused"
    return ""

"""Asks the admin API of a running edge."""

from __future__ import annotations

import http.client
import json
import sys
from typing import Any

from edge.control.config.quantity import host_port

DEFAULT_ADDRESS = "127.0.0.1:9901"
TIMEOUT_S = 10.0
ANSWER_LIMIT_BYTES = 256 << 20


class NotReachable(Exception):
    """No admin API answers there. The text says which address, why, and what to do."""


def ask(address: str, path: str) -> tuple[int, Any]:
    """Status and JSON of `GET path`. Raises NotReachable, and ValueError for an address that is none."""
    host, port = host_port(address)
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path, headers={"Accept": "application/json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read(ANSWER_LIMIT_BYTES))
    except (OSError, http.client.HTTPException) as error:
        reason = (error.strerror or str(error)).lower() if isinstance(error, OSError) else "no HTTP answer"
        raise _not_reachable(address, reason) from None
    except ValueError:
        raise _not_reachable(address, "the answer is no JSON") from None
    finally:
        connection.close()


def tell(error: NotReachable | ValueError) -> None:
    """One line on stderr."""
    print(f"edge: {error}", file=sys.stderr)


def _not_reachable(address: str, reason: str) -> NotReachable:
    return NotReachable(
        f"no edge answers at {address}: {reason}; is `edge run` up, and is --admin the address it printed?"
    )

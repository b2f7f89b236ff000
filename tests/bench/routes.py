"""Many routes beside the ones that every row has: a prefix each, of which the load asks in turn."""

from __future__ import annotations

import json

PREFIX = "/catalogue-"


def edge_routes(count: int) -> str:
    """Items of edge's `routes`."""
    return "\n".join(
        "  - "
        + json.dumps(
            {
                "name": f"catalogue-{number}",
                "parentRefs": [{"name": "web"}],
                "rules": [
                    {
                        "matches": [{"path": {"type": "PathPrefix", "value": f"{PREFIX}{number}"}}],
                        "backendRefs": [{"name": "hello"}],
                    }
                ],
            }
        )
        for number in range(count)
    )


def envoy_routes(count: int) -> str:
    """Items of the routes of Envoy's virtual host; by whole segments too."""
    return "\n".join(
        f"                        - {{name: catalogue-{number}, "
        f"match: {{path_separated_prefix: {PREFIX}{number}}}, route: {{cluster: hello, timeout: 0s}}}}"
        for number in range(count)
    )

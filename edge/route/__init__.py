"""Routes: listener, host, path, method and headers of a request → one rule. Sans-io."""

from edge.route.rule import Candidate, Rule
from edge.route.table import RouteTable

__all__ = ["Candidate", "RouteTable", "Rule"]

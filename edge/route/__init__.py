"""Routes: listener, host, path, method, headers and query of a request → one rule. Sans-io."""

from edge.route.candidate import Candidate
from edge.route.rule import Rule
from edge.route.site import Site
from edge.route.table import RouteTable

__all__ = ["Candidate", "RouteTable", "Rule", "Site"]

"""Upstream: clusters of endpoints, their HTTP/1.1 connections, attempts, callouts of filters."""

from edge.upstream.callout import Callouts
from edge.upstream.cluster import Cluster
from edge.upstream.clusters import Clusters
from edge.upstream.dialer import Dialer, TcpDialer

__all__ = ["Callouts", "Cluster", "Clusters", "Dialer", "TcpDialer"]

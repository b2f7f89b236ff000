"""Tests of edge.telemetry: no sockets, no sleep."""

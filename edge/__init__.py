"""edge: a sidecar-less edge plugin host.

TLS ends here, a route is matched, sandboxed WASM filters run, the request goes
upstream, and one OpenTelemetry trace shows each step. Read `pipeline.py` first.
"""

__version__ = "0.1.0"

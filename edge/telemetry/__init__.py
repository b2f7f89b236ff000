"""Spans, metrics, access log and OTLP: what edge tells about itself.

Workers decide sampling, keep records and encode batches; the supervisor keeps recent traces,
posts OTLP and renders metrics. Nothing here may slow or fail a request: queues are bounded and
what does not fit is dropped and counted. The only package that imports opentelemetry, and only
in modules the worker does not load.
"""

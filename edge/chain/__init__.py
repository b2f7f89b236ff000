"""The filter chain: order, pause, resume, buffers, local replies. No I/O.

Read `filter` (what a filter promises), `host` (what the chain needs), then `run` and `walk`.

A reply, of a filter or of edge, passes the response callbacks of the filters before its sender, last
to first. Where it replaces a response that some of them have seen already, those see a second
response head. A body whose size a filter changes costs the head its `length` while that can
still be taken back; afterwards the exchange is reset as soon as what goes out cannot fit any more.
"""

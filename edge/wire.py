"""Messages between supervisor and worker: length-prefixed msgpack on a Unix socket.

Down (supervisor to worker) at most 64 MiB, up at most 1 MiB. What comes up is typed, bounded
and trusted with nothing. Descriptors travel beside the message that names them (SCM_RIGHTS).
"""

from __future__ import annotations

import struct

import msgspec

from edge.model import Certificate, Endpoint, Model, Route

DOWN_LIMIT_BYTES = 64 << 20
UP_LIMIT_BYTES = 1 << 20


ROUTES_AT_ONCE = 500
"""Some two milliseconds to read."""


class GroupKeys(msgspec.Struct, tag=True, frozen=True):
    """What all workers of a group have in common, told before the first Prepare.

    `reset` makes the tokens of QUIC's stateless resets, `retry` seals its address tokens. Beside it
    come eventfds, one for each worker of the group in order: written to by whoever has news for it.
    """

    reset: bytes
    retry: bytes


class TicketKeys(msgspec.Struct, tag=True, frozen=True):
    """Keys of TLS session tickets, of 80 bytes: the first makes them, any takes them.

    Told before the first Prepare, and at each change. Spec: RFC 5077 §4.
    """

    keys: list[bytes]


class Prepare(msgspec.Struct, tag=True, frozen=True):
    """Build everything of `model` beside what runs; answer Prepared or Refused.

    `sockets` are names of listeners (`NAME`, and `NAME/udp` for h3), each with this worker's socket:
    bound, TCP ones listen. Their descriptors come after those the model counts on, in this order.
    All sockets of the revision are named each time; one the worker has already comes as a duplicate.

    `shared` names areas of shared memory by vm id and number; their descriptors come between the
    model's and the sockets'.
    """

    revision: int
    model: Model
    sockets: list[str] = []
    shared: list[tuple[str, int]] = []


class Routes(msgspec.Struct, tag=True, frozen=True):
    """Routes of the revision whose Prepare follows, in order, before those the Prepare holds itself.

    So that no worker has to read more of them in one turn of its loop than `ROUTES_AT_ONCE`.
    """

    revision: int
    routes: list[Route]


class Activate(msgspec.Struct, tag=True, frozen=True):
    """Serve new requests by this prepared revision."""

    revision: int


class Abort(msgspec.Struct, tag=True, frozen=True):
    """Forget a prepared revision."""

    revision: int


class Endpoints(msgspec.Struct, tag=True, frozen=True):
    """What a cluster's endpoints are now; connections to those that remain are kept.

    A generation not above the last one is ignored. `revision` 0 = of every revision the worker
    has; one that it has not (built) is ignored, so this goes out after its Prepared.
    """

    cluster: str
    generation: int
    endpoints: list[Endpoint]
    revision: int = 0


class Certificates(msgspec.Struct, tag=True, frozen=True):
    """Use these on a listener of the active revision from the next handshake on. No answer."""

    listener: str
    certificates: list[Certificate]


class Verbosity(msgspec.Struct, tag=True, frozen=True):
    """Log from this level on: debug, info, warning or error."""

    level: str


class Reopen(msgspec.Struct, tag=True, frozen=True):
    """Open access logs anew: somebody has moved the files away."""


class Drain(msgspec.Struct, tag=True, frozen=True):
    """Stop accepting, finish what runs within `grace_s`, then exit."""

    grace_s: float


class Prepared(msgspec.Struct, tag=True, frozen=True):
    revision: int


class Refused(msgspec.Struct, tag=True, frozen=True):
    """The revision cannot be built; `errors` name each thing that is wrong."""

    revision: int
    errors: list[str]


class Drained(msgspec.Struct, tag=True, frozen=True):
    """No exchange uses this revision any more."""

    revision: int


class Health(msgspec.Struct, tag=True, frozen=True):
    """Sent once a second; silence for 5 s is death."""

    worker: int
    revision: int
    connections: int
    exchanges: int


class Spans(msgspec.Struct, tag=True, frozen=True):
    """A batch of finished spans: concatenated OTLP `ScopeSpans.spans` entries, and their number."""

    count: int
    dropped: int
    payload: bytes


class Counters(msgspec.Struct, tag=True, frozen=True):
    """Metrics of one worker since it started: name, label pairs, value(s); see telemetry.metrics.

    Each series in its turn. `gone` are those whose route, cluster, filter or listener is no more.
    """

    worker: int
    samples: list[tuple[str, list[tuple[str, str]], list[float]]]
    gone: list[tuple[str, list[tuple[str, str]]]] = []


_Orders = Routes | Prepare | Activate | Abort | Drain
Down = GroupKeys | TicketKeys | Endpoints | Certificates | Verbosity | Reopen | _Orders
Up = Prepared | Refused | Drained | Health | Spans | Counters


HEADER = struct.Struct("!IH")
"""Length of the payload in bytes, and how many descriptors travel beside it."""
DESCRIPTORS_LIMIT = 253
"""SCM_MAX_FD of Linux: what one sendmsg can carry."""


class FrameError(Exception):
    """The peer broke the framing or its limits; the link is of no more use."""


class FrameReader:
    """Cuts a byte stream into payloads, none longer than `limit_bytes`. Sans-io."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[bytes, int]]:
        """Complete (payload, number of descriptors) so far, in order. Raises FrameError."""
        buffer = self._buffer
        if not buffer and len(data) >= HEADER.size:
            size, descriptors = HEADER.unpack_from(data)
            if len(data) == HEADER.size + size <= HEADER.size + self._limit_bytes and not descriptors:
                return [(data[HEADER.size :], 0)]  # exactly one frame, as nearly always
        buffer += data
        frames = []
        start = 0
        while len(buffer) - start >= HEADER.size:
            size, descriptors = HEADER.unpack_from(buffer, start)
            if size > self._limit_bytes:
                raise FrameError(f"a message of {size} bytes, the limit is {self._limit_bytes}")
            if descriptors > DESCRIPTORS_LIMIT:
                raise FrameError(
                    f"a message with {descriptors} descriptors, the limit is {DESCRIPTORS_LIMIT}"
                )
            end = start + HEADER.size + size
            if len(buffer) < end:
                break
            frames.append((bytes(memoryview(buffer)[start + HEADER.size : end]), descriptors))
            start = end
        del buffer[:start]
        return frames

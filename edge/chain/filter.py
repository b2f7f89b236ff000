"""The contract between the chain and a filter of any ABI.

A `BoundFilter` belongs to a revision; `open` gives a `Filter` for one exchange, whose callbacks
the chain calls in the order of the exchange. What a filter may ask for meanwhile is its `Port`.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final, Protocol

from edge.errors import FilterError
from edge.head import Fields, RequestHead, ResponseHead


class Action(IntEnum):
    """A callback's answer.

    | answer | what happens next | what resumes it | on overflow |
    |---|---|---|---|
    | CONTINUE | the event goes to the next filter | - | - |
    | PAUSE from a head | the head is held, and all that follows (no body callbacks) | `Port.resume`, a reply | reading stops at 64 KiB unread |
    | PAUSE from data | the bytes stay in this filter's buffer; the next data callback sees the total | a later data callback that continues, `Port.resume`, a reply | 413, on the response 500 or reset |
    | PAUSE from trailers | the trailers (and what is buffered) are held | `Port.resume`, a reply | - |
    | REPLY | the filter has called `Port.reply`; the onion's way back begins | - | - |
    | RESET | the exchange is reset on both sides | - | - |
    | FAIL | the filter failed; `Filter.failure` says why; the chain decides by its kind | - | - |
    """

    CONTINUE = 0
    PAUSE = 1
    REPLY = 2
    RESET = 3
    FAIL = 4


class Phase(IntFlag):
    """Which callbacks a filter wants. A phase nobody wants costs nothing."""

    REQUEST_HEAD = 1
    REQUEST_DATA = 2
    REQUEST_TRAILERS = 4
    RESPONSE_HEAD = 8
    RESPONSE_DATA = 16
    RESPONSE_TRAILERS = 32


class Direction(IntEnum):
    REQUEST = 0
    RESPONSE = 1


class LocalReply:
    """An answer made here. `source` is `filter` or `edge`, `details` goes to log and span."""

    __slots__ = ("body", "details", "fields", "source", "source_name", "status")

    def __init__(
        self,
        status: int,
        fields: Fields,
        body: bytes,
        details: str = "",
        source: str = "filter",
        source_name: str = "",
    ) -> None:
        self.status = status
        self.fields = fields
        self.body = body
        self.details = details
        self.source = source
        self.source_name = source_name


class Body(Protocol):
    """The body bytes a filter may see now, in one direction: what is buffered at its place."""

    def __len__(self) -> int: ...
    def read(self, start: int, size: int) -> bytes:
        """At most `size` bytes from `start`; shorter at the end."""

    def splice(self, start: int, size: int, data: bytes) -> None:
        """Replace `size` bytes from `start`. The head's `length` is dropped by the chain."""


_HALF: Final = 0xFFFFFFFF


class FilterRecord:
    """What one filter did in one direction; made only for sampled exchanges. Times in ns.

    The chain fills times, wait and decision, the ABI host the rest.
    """

    __slots__ = (
        "attributes",
        "bytes_in",
        "bytes_out",
        "calls",
        "decision",
        "direction",
        "edits",
        "end_ns",
        "error",
        "guest_ns",
        "host_calls",
        "host_ns",
        "memory_bytes",
        "name",
        "position",
        "start_ns",
        "wait_ns",
    )

    def __init__(
        self,
        name: str,
        position: int,
        direction: Direction,
        start_ns: int,
        end_ns: int = 0,
        guest_ns: int = 0,
        calls: int = 0,
        spent: int = 0,
        memory_bytes: int = 0,
    ) -> None:
        """`spent` packs host calls (low 32 bits) and bytes that went out to the guest (above)."""
        self.name = name
        self.position = position
        self.direction = direction
        self.start_ns = start_ns
        self.end_ns = end_ns or start_ns
        self.guest_ns = guest_ns
        self.host_ns = self.wait_ns = self.bytes_in = 0
        self.calls = calls
        self.host_calls = spent & _HALF
        self.bytes_out = spent >> 32
        self.memory_bytes = memory_bytes
        self.decision = "continue"
        self.error = ""
        self.edits: list[str] = []
        self.attributes: list[tuple[str, str]] = []


class Port(Protocol):
    """What a filter may ask of the chain, one per filter and exchange.

    Heads and trailers are this exchange's own objects: a filter edits them in place while they
    are at its position (in their callback, or while it holds them). `record` is None unless the
    exchange is sampled. Everything that acts (`resume`, `reply`, `reset`) is carried out after
    the callback under way has returned, or at the end of the loop's turn outside of one.
    """

    request: RequestHead
    response: ResponseHead | None
    request_trailers: Fields | None
    response_trailers: Fields | None
    record: FilterRecord | None

    def body(self, direction: Direction) -> Body | None:
        """None when no body bytes are at this filter's place."""

    def set_request_trailers(self, fields: Fields) -> None:
        """Create trailers from the last data callback (end of stream True)."""

    def set_response_trailers(self, fields: Fields) -> None: ...

    def head_is_open(self, direction: Direction) -> bool:
        """Whether this direction's head has not left this filter's place (so may be edited)."""

    def resume(self, direction: Direction) -> None: ...
    def reply(self, reply: LocalReply) -> bool:
        """False when a reply already won, or the response is under way past replacing."""

    def reset(self) -> None: ...
    def waiting(self, change: int) -> None:
        """+1 when the filter starts something it can get (callout, timer), -1 when it came."""

    def fail(self, failure: FilterError) -> None:
        """The instance behind this filter died outside of this exchange's own callbacks."""

    def property(self, path: bytes) -> bytes | None:
        """Value of a NUL-separated property path this exchange knows, in Envoy's encoding."""

    def set_backend(self, cluster: str) -> bool:
        """Choose the backend; False once the request head left, or when not allowed."""


class Filter(Protocol):
    """One filter in one exchange. Callbacks come in the order of design §4.1; `done` once, last."""

    failure: FilterError | None

    def request_head(self, end: bool) -> Action: ...
    def request_data(self, size: int, end: bool) -> Action:
        """`size` = bytes now at this place (what it kept plus what came)."""

    def request_trailers(self) -> Action: ...
    def response_head(self, end: bool) -> Action: ...
    def response_data(self, size: int, end: bool) -> Action: ...
    def response_trailers(self) -> Action: ...
    def done(self) -> None:
        """After the last byte or reset, when status, flags and sizes are final. Never raises."""


class BoundFilter(Protocol):
    """A filter of a prepared chain."""

    name: str
    phases: Phase
    fail_open: bool
    """Applies to start failures and pause expiry only, never to traps."""
    pause_s: float
    body_bytes: int
    digest: str
    abi: str

    def open(self, port: Port) -> Filter | FilterError:
        """A filter for one exchange, or why none can be had now (the chain applies fail_open)."""

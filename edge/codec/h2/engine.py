"""The seam between HTTP/2 frames and the streams of a server: calls in, calls out, no I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from edge.head import Field
from edge.model import Limits


class EngineSink(Protocol):
    """What an engine tells, in the order in which the client said it.

    Frames of one body that came together may be told as one piece, before those of others.
    Nothing is told of a request that was reset in the same piece of input. Field lists are as
    they came: pseudo fields first or not, names and values unchecked, crumbs not joined.
    """

    def on_request(self, stream_id: int, fields: tuple[Field, ...], end: bool) -> None:
        """A header list that opens a stream; `end` = no body follows."""

    def on_data(self, stream_id: int, data: bytes, credit: int, end: bool) -> None:
        """Body bytes. `credit` bytes of window are owed to the client: `Engine.credit` grants them."""

    def on_trailers(self, stream_id: int, fields: tuple[Field, ...]) -> None:
        """Ends the request."""

    def on_closed(self, stream_id: int, code: int, by_peer: bool) -> None:
        """The stream is over: both sides ended, or one reset it; `by_peer` = the client did."""

    def on_refused(self, count: int, code: int) -> None:
        """So many streams were reset with `code` and nothing is told of them: malformed, or too many."""

    def on_ping_answered(self) -> None:
        """The client has seen everything that was sent before `Engine.ping`."""

    def on_rest(self) -> None:
        """More came than one turn of the loop bears: call `Engine.receive` with nothing in a later one.

        Nothing is taken of what is more; of what waits as much as a turn bears. Until all is taken nothing
        should be read.
        """


class Engine(Protocol):
    """One server side of a connection. Made by `(sink, limits, clock)`; its SETTINGS wait in `take`.

    Calls about a stream that has ended are ignored, so that no caller must know how far the
    client got. No call raises for the client's faults: a connection fault sets `over`.
    """

    over: int | None
    """Code of the GOAWAY that ended the connection; then only `take` has an effect."""

    def receive(self, data: bytes) -> None:
        """Bytes from the client, in any pieces; the sink is called before this returns.

        What goes beyond one turn waits, in its order; see `EngineSink.on_rest`.
        """

    def stirred(self) -> bool:
        """Whether, after `receive`, `take` may have something to give or to tell."""

    def take(self) -> bytes:
        """All that may be sent now. May call `on_closed` for what left with it."""

    def send_informational(self, stream_id: int, fields: Iterable[Field]) -> None:
        """A 1xx; `fields` begin with `:status`."""

    def send_head(self, stream_id: int, fields: Iterable[Field], end: bool) -> None:
        """The final head; `fields` begin with `:status`."""

    def send_whole(
        self, stream_id: int, fields: Iterable[Field], body: bytes, trailers: Iterable[Field] | None
    ) -> None:
        """`send_head`, `send_data` and, unless None, `send_trailers`; `body` is not empty."""

    def send_data(self, stream_id: int, data: bytes, end: bool) -> None:
        """Queued until the client's windows take it; see `queued`."""

    def send_trailers(self, stream_id: int, fields: Iterable[Field]) -> None:
        """Ends the response."""

    def queued(self, stream_id: int) -> int:
        """Body bytes of the response that wait for the client's window."""

    def window(self, stream_id: int) -> int:
        """Body bytes that the client's windows, of the stream and of the connection, take now."""

    def credit(self, stream_id: int, size: int) -> None:
        """Let the client send `size` bytes more on the stream and the connection."""

    def reset(self, stream_id: int, code: int) -> None:
        """End the stream now, what is queued for it included; no `on_closed` follows."""

    def refuse(self, stream_id: int, code: int) -> None:
        """As `reset`, for a fault of the client: too many of them cost it the connection."""

    def notice(self) -> None:
        """First step of a drain: the client shall open no more streams. Spec: RFC 9113 §6.8."""

    def ping(self) -> None:
        """Ask for `on_ping_answered`."""

    def goaway(self, code: int) -> None:
        """Say which streams were seen; none opened later is served. `over` once the last is done."""

    def receiving_head(self) -> bool:
        """Whether the client owes the rest of its preface, of a header block or of a frame header."""

    def close(self) -> None:
        """The transport is gone: nothing is told any more, and the sink is let go by count."""


class Nobody:
    """The sink of a closed engine."""

    def on_request(self, stream_id: int, fields: tuple[Field, ...], end: bool) -> None:
        return

    def on_data(self, stream_id: int, data: bytes, credit: int, end: bool) -> None:
        return

    def on_trailers(self, stream_id: int, fields: tuple[Field, ...]) -> None:
        return

    def on_closed(self, stream_id: int, code: int, by_peer: bool) -> None:
        return

    def on_refused(self, count: int, code: int) -> None:
        return

    def on_ping_answered(self) -> None:
        return

    def on_rest(self) -> None:
        return


MakeEngine = Callable[[EngineSink, Limits, Callable[[], float]], Engine]

"""A request and what carries it: what each may call on the other."""

from __future__ import annotations

from typing import Protocol

from edge.errors import EdgeError
from edge.exchange.seams import ExchangeResponse
from edge.head import Fields, RequestHead


class Caller(Protocol):
    """The request a carrier has. After `finished` or `failed` the two have parted."""

    receiver: ExchangeResponse
    head: RequestHead

    def connected(self, address: str) -> None:
        """Dialling is done: `begin` may be called now."""

    def failed(self, error: EdgeError, untouched: bool) -> None:
        """`untouched` = no byte of a response was seen."""

    def finished(self) -> None: ...
    def writable(self, yes: bool) -> None:
        """What the carrier has not sent yet passed its high or its low mark."""


class Carrier(Protocol):
    """An HTTP/1.1 connection, or a stream of an HTTP/2 connection."""

    write_paused: bool

    def begin(self, caller: Caller, head: RequestHead, end: bool, deadline: float) -> None:
        """Send `head`. `deadline` is that of the response head, `inf` for none."""

    def send_data(self, data: bytes, end: bool) -> None:
        """Request body, or tunnel bytes. Bytes that do not fit content-length are never sent."""

    def send_trailers(self, fields: Fields) -> None:
        """End of the request; where its framing has no place for trailers they are dropped."""

    def pause_response(self) -> None: ...
    def resume_response(self) -> None: ...
    def give_up(self) -> None:
        """The response is not wanted any more; the caller hears nothing."""

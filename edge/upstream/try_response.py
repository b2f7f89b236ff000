"""What the response of one try does: it goes to the exchange, or to nobody."""

from __future__ import annotations

from typing import Final, Protocol, cast

from edge.errors import EdgeError
from edge.exchange.seams import Connection, ExchangeResponse, UpstreamRequest
from edge.head import Fields, ResponseHead

DRAINED_MAX_BYTES: Final = 64 << 10
"""Body of a response nobody wants that is read so that its connection can be used again."""


class Owner(Protocol):
    """The request, as far as a try calls it."""

    @property
    def connection(self) -> Connection | None: ...
    @property
    def receiver(self) -> ExchangeResponse: ...
    def is_current(self, one: Try) -> bool: ...
    def informational(self, head: ResponseHead) -> None: ...
    def response_head(self, current: Try, head: ResponseHead, end: bool) -> bool: ...
    def failed(self, current: Try, error: EdgeError) -> None: ...
    def pause_request(self) -> None: ...
    def resume_request(self) -> None: ...


class _Nobody:
    """Owner of a try that is over: a try and its request must not keep each other alive."""

    connection = None

    def is_current(self, one: Try) -> bool:
        return False


_NOBODY: Final = cast(Owner, _Nobody())


class Try:
    """Implements `seams.ExchangeResponse` for one try of a `RetriedRequest`."""

    __slots__ = ("_drained", "_left_bytes", "_owner", "_receiver", "error", "started")

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._receiver: ExchangeResponse | None = None
        self._drained: UpstreamRequest | None = None
        self._left_bytes = DRAINED_MAX_BYTES
        self.started = False
        self.error: EdgeError | None = None
        """It failed before it was `started`."""

    @property
    def connection(self) -> Connection | None:
        """The client's."""
        return self._owner.connection

    def part(self) -> None:
        """Nothing that comes now concerns the request."""
        self._owner = _NOBODY

    def drain(self, request: UpstreamRequest) -> None:
        """Nobody wants the rest of the response that `request` gets."""
        self._drained = request

    def response_informational(self, head: ResponseHead) -> None:
        if self._owner.is_current(self):
            self._owner.informational(head)

    def response_head(self, head: ResponseHead, end: bool) -> None:
        owner = self._owner
        if owner.is_current(self) and owner.response_head(self, head, end):
            self._receiver = owner.receiver
            if end:
                self._owner = _NOBODY
            self._receiver.response_head(head, end)

    def response_whole(self, head: ResponseHead, body: bytes, trailers: Fields | None = None) -> None:
        owner = self._owner
        if owner.is_current(self) and owner.response_head(self, head, trailers is None):
            self._owner = _NOBODY
            owner.receiver.response_whole(head, body, trailers)
        self._drained = None

    def response_data(self, data: bytes, end: bool) -> None:
        if self._receiver is not None:
            if end:
                self._owner = _NOBODY
            self._receiver.response_data(data, end)
        elif self._drained is not None:
            self._left_bytes -= len(data)
            if end:
                self._drained = None
            elif self._left_bytes < 0:
                self._drained.cancel()
                self._drained = None

    def response_trailers(self, fields: Fields) -> None:
        if self._receiver is not None:
            self._owner = _NOBODY
            self._receiver.response_trailers(fields)
        self._drained = None

    def upstream_failed(self, error: EdgeError) -> None:
        if not self._owner.is_current(self):
            return
        if self.started:
            self._owner.failed(self, error)
        else:
            self.error = error

    def pause_request(self) -> None:
        if self._owner.is_current(self):
            self._owner.pause_request()

    def resume_request(self) -> None:
        if self._owner.is_current(self):
            self._owner.resume_request()

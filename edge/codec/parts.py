"""What a whole answer means, for a codec that cannot write it at once."""

from __future__ import annotations

from typing import Protocol

from edge.head import Fields, ResponseHead


class _Answer(Protocol):
    """The part of `edge.exchange.seams.Downstream` that makes an answer."""

    def send_head(self, head: ResponseHead, end: bool) -> None: ...
    def send_data(self, data: bytes, end: bool) -> None: ...
    def send_trailers(self, fields: Fields) -> None: ...


def send_in_parts(answer: _Answer, head: ResponseHead, body: bytes, trailers: Fields | None) -> None:
    """One after the other; `trailers` None = the body ends it."""
    answer.send_head(head, False)
    answer.send_data(body, trailers is None)
    if trailers is not None:
        answer.send_trailers(trailers)

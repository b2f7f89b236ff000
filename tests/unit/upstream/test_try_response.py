"""One try of a request: what it hands on, and that it lets go of a response that nobody wants."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import pytest

from edge.head import Fields, ResponseHead
from edge.upstream.try_response import Try
from tests.unit.upstream.fakes import Recorder

BODY = b"busy"
TRAILERS: Fields = [(b"grpc-status", b"14")]


class Request:
    """Refers to the try, as a request refers to its receiver."""

    receiver: Any = None

    def cancel(self) -> None:
        return


class Owner:
    """Tries again after every response, or after none."""

    connection = None

    def __init__(self, again: bool) -> None:
        self.receiver = Recorder()
        self.request = Request()
        self.heads: list[tuple[int, bool]] = []
        self._again = again

    def is_current(self, one: Try) -> bool:
        return True

    def response_head(self, current: Try, head: ResponseHead, end: bool) -> bool:
        self.heads.append((head.status, end))
        if self._again:
            current.part()
        if self._again and not end:
            current.drain(self.request)  # type: ignore[arg-type]
        return not self._again


def _in_parts(current: Try, trailers: Fields | None) -> None:
    current.response_head(ResponseHead(503, []), False)
    current.response_data(BODY, trailers is None)
    if trailers is not None:
        current.response_trailers(trailers)


def _whole(current: Try, trailers: Fields | None) -> None:
    current.response_whole(ResponseHead(503, []), BODY, trailers)


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("trailers", [None, TRAILERS], ids=["no trailers", "trailers"])
@pytest.mark.parametrize("tell", [_in_parts, _whole])
def test_a_response_that_ended_unwanted_keeps_nothing_alive(
    tell: Callable[[Try, Fields | None], None], trailers: Fields | None
) -> None:
    owner = Owner(True)
    current = Try(owner)  # type: ignore[arg-type]
    owner.request.receiver = current
    request = weakref.ref(owner.request)
    tell(current, trailers)
    assert owner.receiver.calls == []
    del owner, current
    assert request() is None


@pytest.mark.parametrize("trailers", [None, TRAILERS], ids=["no trailers", "trailers"])
def test_a_whole_response_ends_with_its_head_only_where_no_trailers_follow(trailers: Fields | None) -> None:
    """A grpc-status in the head of another response is not the outcome of the call."""
    owner = Owner(False)
    _whole(Try(owner), trailers)  # type: ignore[arg-type]
    assert owner.heads == [(503, trailers is None)]
    ending = [("data", BODY, True)] if trailers is None else [("data", BODY, False), ("trailers", trailers)]
    assert owner.receiver.calls == [("head", 503, False), *ending]

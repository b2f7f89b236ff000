"""Malformed responses never reach a client, and never leave a connection to be reused."""

from __future__ import annotations

import pytest

from edge.codec.h1.body import ChunkedReader
from edge.codec.h1.head import parse_response
from edge.errors import BadResponse
from edge.model import Limits
from tests.hostile.cases_h1_responses import BAD_CHUNKS, RESPONSES, ResponseCase

BAD = [case for case in RESPONSES if case.framing is None]
GOOD = [case for case in RESPONSES if case.framing is not None]


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.name)
def test_a_malformed_head_is_refused_every_time(case: ResponseCase) -> None:
    for _ in range(2):
        with pytest.raises(BadResponse):
            parse_response(case.head, case.method, Limits())


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.name)
def test_a_head_frames_its_body_and_says_whether_the_connection_lives(case: ResponseCase) -> None:
    for _ in range(2):
        parsed = parse_response(case.head, case.method, Limits())
        assert (parsed.framing, parsed.keep_alive, parsed.head.length) == (
            case.framing,
            case.reusable,
            case.length,
        )
        names = {name for name, _ in parsed.head.fields}
        assert names.isdisjoint({b"connection", b"content-length", b"transfer-encoding", b"keep-alive"})


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
@pytest.mark.parametrize("body", BAD_CHUNKS, ids=range(len(BAD_CHUNKS)))
def test_a_malformed_chunked_body_is_refused_in_any_pieces(body: bytes, step: int) -> None:
    reader = ChunkedReader(BadResponse)
    with pytest.raises(BadResponse):
        for at in range(0, len(body), step):
            assert not reader.feed(body[at : at + step])[1]


def test_every_row_ran() -> None:
    assert (len(BAD), len(GOOD), len(BAD_CHUNKS)) == (41, 17, 19)

"""Every hostile H1 row against the codec alone, in one piece and byte by byte."""

from __future__ import annotations

import pytest

from tests.hostile.cases_h1 import CASES, Case
from tests.hostile.fake_h1 import Edge, responses, seen_of


def _check(case: Case, edge: Edge) -> None:
    assert edge.unhandled == []
    answers = responses(edge.transport.written, case.methods)
    if case.silence and len(answers) < len(case.answers):
        edge.wait(1000.0)
        answers = responses(edge.transport.written, case.methods)
    assert len(answers) == len(case.answers)
    for (status, _, _), allowed in zip(answers, case.answers, strict=True):
        assert status in allowed
    assert edge.ended is case.closed
    if case.closed:
        assert (b"connection", b"close") in answers[-1][1]
    _check_upstream(case, edge)


def _check_upstream(case: Case, edge: Edge) -> None:
    seen = [seen_of(exchange) for exchange in edge.exchanges]
    complete = [request for request in seen if request.complete]
    assert tuple(request.target for request in complete) == case.forwarded
    for exchange, request in zip(edge.exchanges, seen, strict=True):
        assert request.complete or exchange.failed is not None, "left in doubt"
    if complete:
        last = complete[-1]
        names = {name for name, _ in (*last.fields, *last.trailers)} - {
            b"host",
            b"content-length",
            b"transfer-encoding",
        }
        assert [value for name, value in last.fields if name == b"host"] == [case.authority]
        assert last.body == case.body
        assert names.isdisjoint(case.absent)
        assert set(case.present) <= set(last.fields)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_gets_the_one_right_answer_in_one_piece(case: Case) -> None:
    edge = Edge()
    edge.feed(case.data)
    _check(case, edge)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_gets_the_same_answer_byte_by_byte(case: Case) -> None:
    edge = Edge()
    edge.feed_bytewise(case.data)
    _check(case, edge)


def test_every_row_of_the_list_ran() -> None:
    assert len(CASES) == 187
    assert len({case.id for case in CASES}) == len(CASES)

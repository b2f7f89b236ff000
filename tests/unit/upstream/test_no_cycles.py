"""Requests that are over are freed by count: the collector has nothing to find."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest

from edge import model
from edge.upstream.request import PooledRequest
from edge.upstream.retried import RetriedRequest
from edge.upstream.retry import Retry
from edge.upstream.try_response import Try
from edge.upstream.watched import WatchedRequest
from tests.unit.upstream.fakes import OK, Bench, Recorder, get

BUSY = b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n"
CHUNKS = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
KINDS = (PooledRequest, RetriedRequest, Try, WatchedRequest)


def _whole(bench: Bench, request: Any) -> None:
    bench.dialer.dials[-1].protocol.data_received(OK)


def _without_body(bench: Bench, request: Any) -> None:
    bench.dialer.dials[-1].protocol.data_received(b"HTTP/1.1 204 No Content\r\n\r\n")


def _in_parts(bench: Bench, request: Any) -> None:
    for part in (OK[:-2], OK[-2:]):
        bench.dialer.dials[-1].protocol.data_received(part)


def _with_trailers(bench: Bench, request: Any) -> None:
    bench.dialer.dials[-1].protocol.data_received(CHUNKS + b"x-sum: 1\r\n\r\n")


def _tried_again(bench: Bench, request: Any) -> None:
    bench.dialer.dials[-1].protocol.data_received(BUSY)
    bench.time.pass_by(0.5)
    bench.dialer.dials[-1].protocol.data_received(OK)


def _cut(bench: Bench, request: Any) -> None:
    bench.dialer.dials[-1].protocol.connection_lost(None)


def _cancelled(bench: Bench, request: Any) -> None:
    request.cancel()


def _cancelled_while_it_waits(bench: Bench, request: Any) -> None:
    bench.dialer.dials[-1].protocol.data_received(BUSY)
    request.cancel()


ENDS: list[Callable[[Bench, Any], None]] = [
    _whole,
    _without_body,
    _in_parts,
    _with_trailers,
    _tried_again,
    _cut,
    _cancelled,
    _cancelled_while_it_waits,
]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__.strip("_"))
@pytest.mark.parametrize("outliers", [None, model.Outliers()])
@pytest.mark.parametrize("retried", [False, True])
def test_a_request_that_is_over_is_gone(
    end: Callable[[Bench, Any], None], outliers: model.Outliers | None, retried: bool
) -> None:
    bench = Bench(outliers=outliers)
    policy = model.Retry(codes=[503], backoff_s=0.1)
    retry = Retry(policy, bench.deadlines, bench.time.clock, lambda: 0.0)
    gc.collect()
    gc.disable()
    try:
        if retried:
            request: Any = retry.dispatch(bench.cluster, Recorder(), get(), True, 0.0)
        else:
            request = bench.cluster.dispatch(Recorder(), get(), True, 0.0)
        bench.connect()
        end(bench, request)
        del request
        left = [each for each in gc.get_objects() if type(each) in KINDS]
        assert left == []
    finally:
        gc.enable()

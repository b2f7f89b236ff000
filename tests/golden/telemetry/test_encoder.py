"""The encoder's output for fixed exchanges, byte by byte.

A change here changes what users see in their collectors: read the difference before accepting
it with `EDGE_GOLDEN_WRITE=1`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from google.protobuf import text_format
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans

from edge.telemetry.otlp import Encoder
from edge.telemetry.spans import ExchangeTrace
from tests.unit.telemetry.exchanges import FixedIds, exchange

HERE = Path(__file__).parent


def _refused() -> ExchangeTrace:
    trace = exchange(method=b"BREW", path=b"/a\xffb?sig=1", parent=b"", filters=1, tries=0)
    trace.status, trace.error = 503, "FilterTrap"
    trace.reply_source, trace.reply_filter = "filter", "api-key"
    trace.records[0].decision, trace.records[0].error = "trap", "edge.trap.unreachable"
    return trace


CASES = {"served": exchange, "retried": lambda: exchange(filters=0, tries=2), "refused": _refused}


@pytest.mark.parametrize("name", list(CASES))
def test_the_bytes_of_a_fixed_exchange_do_not_change(name: str) -> None:
    encoded = b"".join(Encoder(FixedIds(), ["page"]).encode(CASES[name]()))
    shown = text_format.MessageToString(ScopeSpans.FromString(encoded), as_utf8=True)
    golden = HERE / f"{name}.txt"
    raw = HERE / f"{name}.hex"
    if os.environ.get("EDGE_GOLDEN_WRITE"):
        golden.write_text(shown)
        raw.write_text(encoded.hex("\n", 48) + "\n")
    assert shown == golden.read_text()
    assert encoded == bytes.fromhex(raw.read_text().replace("\n", ""))

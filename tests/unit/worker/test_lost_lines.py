"""A log that loses lines is told of in the other log: at once, seldom, and when it is over."""

from __future__ import annotations

import logging

import pytest

from edge.worker.lost_lines import AGAIN_S, LostLines


class Losing:
    """As much of an access log as is looked at."""

    def __init__(self) -> None:
        self.dropped = 0
        self.fault = ""

    def lose(self, lines: int) -> None:
        self.dropped += lines
        self.fault = "no space left on device"


def test_a_loss_is_said_at_once_then_once_a_minute_and_its_end_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    now = [1000.0]
    log = Losing()
    lost = LostLines(lambda: now[0])

    def look() -> list[str]:
        caplog.clear()
        lost.look({"a.log": log})  # type: ignore[dict-item]
        return caplog.messages

    assert look() == []
    log.lose(3)
    assert look() == ["access log a.log: 3 lines lost so far: no space left on device"]
    assert caplog.records[0].levelno == logging.ERROR
    log.lose(4)
    assert look() == []
    now[0] += AGAIN_S
    assert look() == ["access log a.log: 7 lines lost so far: no space left on device"]
    now[0] += AGAIN_S
    assert look() == [], "no more were lost"
    log.fault = ""
    assert look() == ["access log a.log takes lines again; 7 were lost"]
    assert look() == []


def test_a_log_that_is_closed_is_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    now = [1000.0]
    log = Losing()
    log.lose(1)
    lost = LostLines(lambda: now[0])
    lost.look({"a.log": log})  # type: ignore[dict-item]
    lost.look({})
    now[0] += AGAIN_S
    lost.look({"a.log": log})  # type: ignore[dict-item]
    assert len(caplog.messages) == 2

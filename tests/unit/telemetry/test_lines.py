"""Log lines: whole, valid, unforgeable, and never in the way of a request."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.telemetry.access_log import AccessLog, Alike, ready, traced
from edge.telemetry.logs import GUEST_LINES_S, Log, LogHandler
from edge.telemetry.sink import BACKLOG_BYTES, FLUSH_BYTES, FLUSH_S, LineSink
from edge.telemetry.text import json_inner, json_string
from tests.unit.telemetry.loop import FakeLoop

FIELDS = [
    "time",
    "request_id",
    "client",
    "method",
    "authority",
    "path",
    "protocol",
    "status",
    "flags",
    "bytes_in",
    "bytes_out",
    "duration_ms",
    "route",
    "cluster",
    "upstream",
    "attempts",
    "trace_id",
    "span_id",
    "sampled",
    "user_agent",
    "filter",
]


def write(
    log: AccessLog, path: bytes = b"/api?x=1", user_agent: bytes = b"curl/8.9", authority: bytes = b"a"
) -> None:
    log.write(
        Alike(b"HTTP/1.1", 200, b"-", ready("api"), ready("shop"), b"127.0.0.1:9000", 1, ready("api-key")),
        1_790_000_000.25,
        b"req-1",
        b"192.0.2.7:50123",
        b"GET",
        authority,
        path,
        5,
        23,
        0.0012345,
        user_agent,
        traced(b"\x01" * 16, b"\x02" * 8, True),
    )


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_has_every_field_in_order(tmp_path: Path) -> None:
    log = AccessLog(str(tmp_path / "a.log"), FakeLoop().call_later)
    write(log)
    log.close()
    (line,) = lines(tmp_path / "a.log")
    assert list(line) == FIELDS
    assert line["time"] == "2026-09-21T14:13:20.250Z"
    assert (line["status"], line["bytes_in"], line["bytes_out"], line["duration_ms"]) == (200, 5, 23, 1.234)
    assert (line["route"], line["cluster"], line["filter"]) == ("api", "shop", "api-key")
    assert (line["trace_id"], line["span_id"], line["sampled"]) == ("01" * 16, "02" * 8, True)


@given(path=st.binary(max_size=200), user_agent=st.binary(max_size=200), authority=st.binary(max_size=20))
def test_no_bytes_can_break_or_forge_a_line(path: bytes, user_agent: bytes, authority: bytes) -> None:
    reader, writer = os.pipe()
    try:
        log = AccessLog(writer, FakeLoop().call_later)
        write(log, path, user_agent, authority)
        log.flush()
        raw = os.read(reader, 1 << 16)
    finally:
        os.close(reader)
        os.close(writer)
    assert raw.count(b"\n") == 1 and raw.endswith(b"\n")
    assert all(0x20 <= byte < 0x7F for byte in raw[:-1])
    line = json.loads(raw)
    assert list(line) == FIELDS
    assert line["path"] == path.decode("utf-8", "backslashreplace")
    assert line["user_agent"] == user_agent.decode("utf-8", "backslashreplace")


def test_an_overlong_value_is_cut(tmp_path: Path) -> None:
    log = AccessLog(str(tmp_path / "a.log"), FakeLoop().call_later)
    write(log, path=b"/" + b"a" * 10_000)
    log.close()
    assert len(lines(tmp_path / "a.log")[0]["path"]) == 4096


@given(st.text(max_size=100))
def test_any_text_is_json_of_printable_bytes(text: str) -> None:
    encoded = json_string(text)
    assert all(0x20 <= byte < 0x7F for byte in encoded)
    assert json.loads(encoded) == text.encode("utf-8", "backslashreplace").decode()


@pytest.mark.parametrize("hostile", ["a\r\nb", "\x1b[31m", "\x9b31m", "\u2028", "\x7f", '"\\', "\x00"])
def test_control_characters_are_spelled_out(hostile: str) -> None:
    encoded = json_inner(hostile.encode())
    assert all(0x20 <= byte < 0x7F for byte in encoded) and json.loads(b'"%b"' % encoded) == hostile


def test_lines_wait_for_the_timer_and_leave_together(tmp_path: Path) -> None:
    loop = FakeLoop()
    sink = LineSink(str(tmp_path / "s"), loop.call_later)
    sink.line(b"one\n")
    sink.line(b"two\n")
    assert (tmp_path / "s").read_bytes() == b"" and [delay for delay, _ in loop.calls] == [FLUSH_S]
    loop.run()
    assert (tmp_path / "s").read_bytes() == b"one\ntwo\n" and not loop.calls


def test_a_full_buffer_does_not_wait(tmp_path: Path) -> None:
    sink = LineSink(str(tmp_path / "s"), FakeLoop().call_later)
    sink.line(b"x" * (FLUSH_BYTES - 1) + b"\n")
    assert (tmp_path / "s").stat().st_size == FLUSH_BYTES


def test_a_full_disk_drops_and_counts_and_then_goes_on(tmp_path: Path) -> None:
    loop = FakeLoop()
    full = os.open("/dev/full", os.O_WRONLY)
    sink = LineSink(full, loop.call_later)
    sink._regular = True
    assert sink.fault == ""
    for _ in range(3):
        sink.line(b"lost\n")
    loop.run()
    assert (sink.dropped, sink.fault) == (3, "no space left on device")
    good = os.open(tmp_path / "s", os.O_WRONLY | os.O_CREAT)
    os.dup2(good, full)
    sink.line(b"kept\n")
    loop.run()
    os.close(full)
    os.close(good)
    assert (tmp_path / "s").read_bytes() == b"kept\n" and (sink.dropped, sink.fault) == (3, "")


def test_a_line_cut_by_a_full_disk_does_not_spoil_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = FakeLoop()
    sink = LineSink(str(tmp_path / "s"), loop.call_later)
    real, left = os.write, [6]

    def short(fd: int, data: bytes) -> int:
        if left[0] == 0:
            raise OSError(28, "No space left on device")
        taken = real(fd, data[: left[0]])
        left[0] -= taken
        return taken

    monkeypatch.setattr(os, "write", short)
    sink.line(b"one\n")
    sink.line(b"two\n")
    loop.run()
    assert (sink.dropped, sink.fault) == (1, "no space left on device")
    left[0] = 100
    sink.line(b"three\n")
    loop.run()
    assert (tmp_path / "s").read_bytes() == b"one\ntw\nthree\n"


def test_a_reader_that_does_not_read_blocks_nobody_and_loses_only_the_excess() -> None:
    reader, writer = os.pipe()
    loop = FakeLoop()
    sink = LineSink(writer, loop.call_later)
    line = b"x" * 1023 + b"\n"
    sent = 2 * BACKLOG_BYTES // len(line)
    for _ in range(sent):
        sink.line(line)
        loop.run()
    assert 0 < sink.dropped < sent and sink.fault == "its reader is too slow"
    os.set_blocking(reader, False)
    seen = b""
    for _ in range(1000):
        try:
            seen += os.read(reader, 1 << 16)
        except BlockingIOError:
            if not loop.calls:
                break
            loop.run()
    assert seen == line * (sent - sink.dropped) and sink.fault == ""
    os.close(reader)
    os.close(writer)


def test_a_reader_that_keeps_up_loses_nothing_between_two_timers() -> None:
    reader, writer = os.pipe()
    loop = FakeLoop()
    sink = LineSink(writer, loop.call_later)
    line = b"x" * 1023 + b"\n"
    seen = 0
    for _ in range(4 * BACKLOG_BYTES // FLUSH_BYTES):
        for _ in range(FLUSH_BYTES // len(line)):
            sink.line(line)
        seen += len(os.read(reader, FLUSH_BYTES))
    assert sink.dropped == 0 and seen == 4 * BACKLOG_BYTES
    os.close(reader)
    os.close(writer)


def test_a_reader_that_is_gone_is_counted_not_raised() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    loop = FakeLoop()
    sink = LineSink(writer, loop.call_later)
    sink.line(b"lost\n")
    loop.run()
    os.close(writer)
    assert (sink.dropped, sink.fault) == (1, "broken pipe") and not loop.calls


def test_reopen_follows_a_rotation(tmp_path: Path) -> None:
    log = AccessLog(str(tmp_path / "a.log"), FakeLoop().call_later)
    write(log, b"/old")
    (tmp_path / "a.log").rename(tmp_path / "a.log.1")
    assert log.reopen() == ""
    write(log, b"/new")
    log.close()
    assert [line["path"] for line in lines(tmp_path / "a.log.1")] == ["/old"]
    assert [line["path"] for line in lines(tmp_path / "a.log")] == ["/new"]


def test_a_reopen_that_fails_keeps_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    log = AccessLog(str(tmp_path / "d" / "a.log"), FakeLoop().call_later)
    (tmp_path / "d").rename(tmp_path / "e")
    assert log.reopen() == "no such file or directory"
    write(log)
    log.close()
    assert len(lines(tmp_path / "e" / "a.log")) == 1


class Clock:
    now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


def logged(target: Path, log: Log) -> list[dict[str, Any]]:
    log.flush()
    return lines(target)


def test_a_guest_line_names_filter_and_trace_and_cannot_forge(tmp_path: Path) -> None:
    log = Log(FakeLoop().call_later, Clock(), str(tmp_path / "l"), process="worker 0")
    log.guest("api-key", 3, b'a"}\n{"level":"x\x1b[31m\xff', b"\x01" * 16, b"\x02" * 8)
    (line,) = logged(tmp_path / "l", log)
    assert line == {
        "time": "2026-09-21T14:13:20.000Z",
        "level": "warn",
        "message": 'a"}\n{"level":"x\x1b[31m\\xff',
        "process": "worker 0",
        "filter": "api-key",
        "trace_id": "01" * 16,
        "span_id": "02" * 8,
    }


def test_a_flooding_guest_is_cut_and_its_loss_is_told(tmp_path: Path) -> None:
    clock = Clock()
    log = Log(FakeLoop().call_later, clock, str(tmp_path / "l"))
    for _ in range(GUEST_LINES_S + 50):
        log.guest("loud", 2, b"x")
    log.guest("quiet", 2, b"y")
    clock.now += 1
    log.guest("loud", 2, b"z")
    shown = logged(tmp_path / "l", log)
    assert len(shown) == GUEST_LINES_S + 2 and log.dropped == 50
    assert shown[-1]["dropped_before"] == 50 and "dropped_before" not in shown[-2]


def test_logging_goes_into_the_same_lines(tmp_path: Path) -> None:
    log = Log(FakeLoop().call_later, Clock(), str(tmp_path / "l"))
    logger = logging.getLogger("edge.test.lines")
    logger.propagate = False
    logger.handlers = [LogHandler(log)]
    logger.warning("worker %d died", 3)
    try:
        raise RuntimeError("why")
    except RuntimeError:
        logger.exception("odd")
    first, second = logged(tmp_path / "l", log)
    assert (first["level"], first["message"], first["logger"]) == ("warn", "worker 3 died", "edge.test.lines")
    assert "RuntimeError: why" in second["exception"]


def test_fields_of_a_line_are_json(tmp_path: Path) -> None:
    log = Log(FakeLoop().call_later, Clock(), str(tmp_path / "l"))
    log.write("info", "up", port=8080, ratio=0.5, nan=float("nan"), ok=True, name='a"b')
    (line,) = logged(tmp_path / "l", log)
    assert {key: line[key] for key in ("port", "ratio", "nan", "ok", "name")} == {
        "port": 8080,
        "ratio": 0.5,
        "nan": None,
        "ok": True,
        "name": 'a"b',
    }


def test_lines_of_other_threads_go_through_the_loop(tmp_path: Path) -> None:
    handed: list[Callable[[], None]] = []
    log = Log(FakeLoop().call_later, Clock(), str(tmp_path / "l"), call_threadsafe=handed.append)
    thread = threading.Thread(target=log.guest, args=("f", 2, "from warm"))
    thread.start()
    thread.join()
    assert logged(tmp_path / "l", log) == [] and len(handed) == 1
    handed[0]()
    (line,) = logged(tmp_path / "l", log)
    assert line["message"] == "from warm"

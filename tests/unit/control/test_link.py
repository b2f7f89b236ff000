"""Both ends of the wire against each other, and against bytes no honest peer sends."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from edge import model, wire
from edge.control.link import SupervisorLink
from edge.worker.link import SEND_BYTES, SPANS_BACKLOG_BYTES, WorkerLink, parse_arguments

EMPTY = model.Model(revision=7, listeners=[], routes=[], clusters=[])


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.001)


class Pair:
    def __init__(self) -> None:
        upper, lower = socket.socketpair()
        self.down: list[tuple[wire.Down, list[int]]] = []
        self.up: list[wire.Up] = []
        self.closed: list[str] = []
        self.supervisor = SupervisorLink(upper, self.up.append, self.closed.append)
        self.worker = WorkerLink(
            lower.detach(), lambda message, fds: self.down.append((message, fds)), self.closed.append
        )

    def close(self) -> None:
        self.supervisor.close()
        self.worker.close()


def run(conversation: Callable[[Pair], Awaitable[None]]) -> None:
    async def main() -> None:
        pair = Pair()
        try:
            await conversation(pair)
        finally:
            pair.close()

    asyncio.run(main())


def test_a_prepare_larger_than_the_socket_buffer_arrives_with_its_descriptors_in_order() -> None:
    async def conversation(pair: Pair) -> None:
        chains = [
            model.Chain(
                name="c",
                filters=[
                    model.Filter(name="f", module="0" * 64, abi="proxy-wasm/0.2.1", config=b"x" * (8 << 20))
                ],
            )
        ]
        big = model.Model(revision=7, listeners=[], routes=[], clusters=[], chains=chains)
        pipes = [os.pipe() for _ in range(3)]
        pair.supervisor.send(wire.Activate(1))
        pair.supervisor.send(wire.Prepare(7, big), [reading for reading, _ in pipes])
        pair.supervisor.send(wire.Activate(7))
        for reading, _ in pipes:
            os.close(reading)
        await until(lambda: len(pair.down) == 3)
        message, descriptors = pair.down[1]
        assert message == wire.Prepare(7, big)
        assert [fds for _, fds in pair.down] == [[], descriptors, []]
        for number, (fd, (_, writing)) in enumerate(zip(descriptors, pipes, strict=True)):
            os.write(writing, b"%d" % number)
            assert os.read(fd, 10) == b"%d" % number
            assert not os.get_inheritable(fd)
            os.close(fd)
            os.close(writing)

    run(conversation)


def test_messages_go_up_in_order() -> None:
    async def conversation(pair: Pair) -> None:
        sent: list[wire.Up] = [wire.Prepared(7), wire.Health(0, 7, 1, 2), wire.Spans(3, 0, b"abc")]
        assert [pair.worker.send(message) for message in sent] == [True] * 3
        await until(lambda: len(pair.up) == 3)
        assert pair.up == sent

    run(conversation)


def test_spans_are_dropped_and_counted_while_the_supervisor_does_not_read_but_answers_are_kept() -> None:
    async def conversation(pair: Pair) -> None:
        batch = wire.Spans(10, 0, b"s" * 500_000)
        kept = 0
        while pair.worker.send(batch):
            kept += 1
            assert kept * 500_000 < SPANS_BACKLOG_BYTES + 2 * SEND_BYTES + (2 << 20)  # the kernel doubles
        assert pair.worker.spans_dropped == 10
        assert pair.worker.send(wire.Prepared(7))
        await until(lambda: wire.Prepared(7) in pair.up)
        assert len(pair.up) == kept + 1

    run(conversation)


def test_a_message_up_over_one_mebibyte_is_dropped_by_an_honest_worker() -> None:
    async def conversation(pair: Pair) -> None:
        assert not pair.worker.send(wire.Spans(5, 0, b"s" * wire.UP_LIMIT_BYTES))
        assert pair.worker.spans_dropped == 5

    run(conversation)


def test_a_descriptor_that_a_worker_sends_up_is_never_taken() -> None:
    async def main() -> None:
        upper, lower = socket.socketpair()
        up: list[wire.Up] = []
        link = SupervisorLink(upper, up.append, lambda reason: None)
        reading, writing = os.pipe()
        payload = msgspec.msgpack.encode(wire.Prepared(1))
        before = len(os.listdir("/proc/self/fd"))
        socket.send_fds(lower, [wire.HEADER.pack(len(payload), 0) + payload], [reading])
        await until(lambda: up == [wire.Prepared(1)])
        assert len(os.listdir("/proc/self/fd")) == before
        link.close()
        lower.close()
        os.close(reading)
        os.close(writing)

    asyncio.run(main())


HOSTILE_UP = {
    "a length over the limit": wire.HEADER.pack(wire.UP_LIMIT_BYTES + 1, 0),
    "too many descriptors": wire.HEADER.pack(1, 254),
    "no msgpack": wire.HEADER.pack(3, 0) + b"\xc1\xc1\xc1",
    "an unknown message": wire.HEADER.pack(15, 0) + b"\x81\xa4type\xa8Activate"[:15],
    "a message of the other direction": wire.HEADER.pack(25, 0) + b"\x82\xa4type\xa8Activate\xa8revision\x01",
    "end of the wire": b"",
}


@pytest.mark.parametrize("hostile", HOSTILE_UP.values(), ids=HOSTILE_UP.keys())
def test_hostile_bytes_up_end_the_wire_with_a_reason(hostile: bytes) -> None:
    async def main() -> None:
        upper, lower = socket.socketpair()
        closed: list[str] = []
        up: list[wire.Up] = []
        SupervisorLink(upper, up.append, closed.append)
        lower.sendall(hostile)
        if not hostile:
            lower.close()
        await until(lambda: bool(closed))
        assert len(closed) == 1 and not up
        assert upper.fileno() == -1
        lower.close()

    asyncio.run(main())


def test_the_worker_learns_once_that_the_supervisor_is_gone() -> None:
    async def conversation(pair: Pair) -> None:
        pair.supervisor.close()
        await until(lambda: bool(pair.closed))
        assert pair.closed == ["the supervisor closed the wire"]
        assert not pair.worker.send(wire.Prepared(7))

    run(conversation)


def test_frames_come_out_the_same_however_the_stream_is_cut() -> None:
    stream = b"".join(wire.HEADER.pack(len(p), n) + p for p, n in [(b"", 0), (b"ab", 2), (b"c" * 300, 1)])
    whole = wire.FrameReader(1000).feed(stream)
    for size in (1, 2, 5, 7, 299):
        reader = wire.FrameReader(1000)
        cut = [reader.feed(stream[at : at + size]) for at in range(0, len(stream), size)]
        assert [frame for part in cut for frame in part] == whole == [(b"", 0), (b"ab", 2), (b"c" * 300, 1)]


def test_worker_arguments_are_parsed() -> None:
    parsed = parse_arguments(["--wire", "5", "--number", "1", "--workers", "3"])
    assert (parsed.wire_fd, parsed.number, parsed.workers) == (5, 1, 3)


@pytest.mark.parametrize("argv", [[], ["--number", "1"], ["--wire", "x"], ["--port", "1"]])
def test_wrong_worker_arguments_are_refused(argv: list[str]) -> None:
    with pytest.raises(ValueError):
        parse_arguments(argv)

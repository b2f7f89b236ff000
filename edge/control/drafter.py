"""The supervisor's side of drafting: ask the drafting room, wait for its one answer."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

import edge
from edge.control.draft import Failed, Outcome
from edge.wire import DESCRIPTORS_LIMIT, DOWN_LIMIT_BYTES, FrameError, FrameReader

READ_BYTES: Final = 1 << 20
LARGE_BYTES: Final = 256 << 10
"""The answer of a file that would take too long to draft from nothing: some 700 routes."""
REST_S: Final = 60.0
"""The room of a smaller one is kept for so long: a change seldom comes alone."""


class DraftingRoom:
    """The process `edge.control.drafting_room`, started when it is needed."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._child: subprocess.Popen[bytes] | None = None
        self._end: socket.socket | None = None
        self._rest: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int:
        """0 while there is none."""
        return self._child.pid if self._child is not None else 0

    def ask(self, file: Path) -> Drafter:
        """Begin a draft; one at a time."""
        self._stay()
        end, theirs = socket.socketpair()
        with theirs:
            try:
                self._send(file, theirs)
            except OSError:  # it ended while nobody looked
                self.close()
                # When even a new one does not live, the draft is told so, as of its end.
                with suppress(ConnectionError):
                    self._send(file, theirs)
        return Drafter(self, end)

    def answered(self, size: int) -> None:
        """A draft is over, its answer had `size` bytes: keep the process as long as it is worth it."""
        if size >= LARGE_BYTES:
            return
        try:
            self._rest = asyncio.get_running_loop().call_later(REST_S, self.close)
        except RuntimeError:  # no loop: this was the first draft, and nothing is served yet
            self.close()

    def close(self) -> int:
        """End the process, and what it drafts; its exit code, 0 when there was none."""
        self._stay()
        child, end = self._child, self._end
        self._child = self._end = None
        if child is None or end is None:
            return 0
        end.close()
        child.kill()
        return child.wait()

    def _stay(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None

    def _send(self, file: Path, theirs: socket.socket) -> None:
        if self._end is None:
            self._end = self._start()
        socket.send_fds(self._end, [os.fsencode(file)], [theirs.fileno()])

    def _start(self) -> socket.socket:
        end, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        command = [sys.executable, "-P", "-m", "edge.control.drafting_room"]
        with theirs:
            self._child = subprocess.Popen(
                [*command, str(theirs.fileno()), str(self._state_dir)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=_environment(),
            )
        return end


class Drafter:
    """One draft that is being made. One of `result` and `answer` is called, once."""

    def __init__(self, room: DraftingRoom, end: socket.socket) -> None:
        """`end` is where the answer comes, and is closed here."""
        self._room = room
        self._end = end
        self._reader = FrameReader(DOWN_LIMIT_BYTES)
        self._descriptors: list[int] = []
        self._payload: bytes | None = None

    def result(self) -> tuple[Outcome, list[int]]:
        """Blocks until there is an answer; the descriptors are the caller's.

        Raises KeyboardInterrupt when the user ended the room.
        """
        with self._end:
            while self._take():
                pass
        if self._payload is not None:
            return self._read(self._payload), self._descriptors
        code = self._room.close()
        if code == -signal.SIGINT:
            raise KeyboardInterrupt
        return _unanswered(code), self._descriptors

    async def answer(self) -> tuple[Outcome, list[int]]:
        """As `result`, on the running loop. Cancelled, it ends the room and keeps nothing."""
        loop = asyncio.get_running_loop()
        over = loop.create_future()
        self._end.setblocking(False)

        def readable() -> None:
            try:
                if not self._take() and not over.done():
                    over.set_result(None)
            except BlockingIOError:
                pass

        loop.add_reader(self._end, readable)
        try:
            await over
        except BaseException:
            self._room.close()
            for descriptor in self._descriptors:
                os.close(descriptor)
            raise
        finally:
            loop.remove_reader(self._end)
            self._end.close()
        if self._payload is not None:
            return self._read(self._payload), self._descriptors
        return _unanswered(self._room.close()), self._descriptors

    def _take(self) -> bool:
        """Receive once; whether more is to come."""
        data, received, _, _ = socket.recv_fds(self._end, READ_BYTES, DESCRIPTORS_LIMIT)
        for descriptor in received:
            os.set_inheritable(descriptor, False)
        self._descriptors += received
        try:
            for payload, _ in self._reader.feed(data):
                self._payload = payload
        except FrameError:
            return False
        return bool(data) and self._payload is None

    def _read(self, payload: bytes) -> Outcome:
        self._room.answered(len(payload))
        gc.disable()  # of a large file come tens of thousands of objects, none of them garbage
        try:
            made: Outcome = msgspec.msgpack.decode(payload, type=Outcome)
            return made
        except msgspec.DecodeError as error:
            return Failed(f"the drafting child's answer cannot be read: {error}")
        finally:
            gc.enable()


def _unanswered(code: int) -> Failed:
    how = f"signal {-code}" if code < 0 else f"code {code}"
    return Failed(f"the drafting child ended with {how} and no answer")


def _environment() -> dict[str, str]:
    """All of ours: OTEL_* variables and secrets are read there. And where this very package lies."""
    places = [str(Path(edge.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))}

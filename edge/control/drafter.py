"""The supervisor's side of drafting: start the child, wait for its one answer."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import msgspec

import edge
from edge.control.draft import Failed, Outcome
from edge.wire import DESCRIPTORS_LIMIT, DOWN_LIMIT_BYTES, FrameError, FrameReader

READ_BYTES = 1 << 20


class Drafter:
    """The child starts with the object. One of `result` and `answer` is called, once."""

    def __init__(self, file: Path, state_dir: Path) -> None:
        self._end, theirs = socket.socketpair()
        command = [sys.executable, "-P", "-m", "edge.control.drafting"]
        with theirs:
            self._child = subprocess.Popen(
                [*command, str(theirs.fileno()), str(file), str(state_dir)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=_environment(),
            )
        self._reader = FrameReader(DOWN_LIMIT_BYTES)
        self._descriptors: list[int] = []
        self._payload: bytes | None = None

    def result(self) -> tuple[Outcome, list[int]]:
        """Blocks until the child has answered; the descriptors are the caller's.

        Raises KeyboardInterrupt when the user ended the child.
        """
        with self._end:
            while self._take():
                pass
        status = self._child.wait()
        if self._payload is None and status == -signal.SIGINT:
            raise KeyboardInterrupt
        return self._outcome(status), self._descriptors

    async def answer(self) -> tuple[Outcome, list[int]]:
        """As `result`, on the running loop. Cancelled, it ends the child and keeps nothing."""
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
            self._child.kill()
            for descriptor in self._descriptors:
                os.close(descriptor)
            raise
        finally:
            loop.remove_reader(self._end)
            self._end.close()
            status = await asyncio.shield(asyncio.to_thread(self._child.wait))
        return self._outcome(status), self._descriptors

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

    def _outcome(self, status: int) -> Outcome:
        if self._payload is not None:
            try:
                made: Outcome = msgspec.msgpack.decode(self._payload, type=Outcome)
                return made
            except msgspec.DecodeError as error:
                return Failed(f"the drafting child's answer cannot be read: {error}")
        how = f"signal {-status}" if status < 0 else f"code {status}"
        return Failed(f"the drafting child ended with {how} and no answer")


def _environment() -> dict[str, str]:
    """All of ours: OTEL_* variables and secrets are read there. And where this very package lies."""
    places = [str(Path(edge.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))}

"""The supervisor's side of drafting: start the child, wait for its one answer."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import msgspec

import edge
from edge.control.draft import Failed, Outcome
from edge.wire import DESCRIPTORS_LIMIT, DOWN_LIMIT_BYTES, FrameReader

READ_BYTES = 1 << 20


class Drafter:
    """The child starts with the object; `result` is called once."""

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

    def result(self) -> tuple[Outcome, list[int]]:
        """Blocks until the child has answered; the descriptors are the caller's.

        Raises KeyboardInterrupt when the user ended the child.
        """
        reader = FrameReader(DOWN_LIMIT_BYTES)
        descriptors: list[int] = []
        frames: list[tuple[bytes, int]] = []
        with self._end:
            while not frames:
                data, received, _, _ = socket.recv_fds(self._end, READ_BYTES, DESCRIPTORS_LIMIT)
                for descriptor in received:
                    os.set_inheritable(descriptor, False)
                descriptors += received
                if not data:
                    break
                frames = reader.feed(data)
        status = self._child.wait()
        if frames:
            try:
                return msgspec.msgpack.decode(frames[0][0], type=Outcome), descriptors
            except msgspec.DecodeError as error:
                return Failed(f"the drafting child's answer cannot be read: {error}"), descriptors
        if status == -signal.SIGINT:
            raise KeyboardInterrupt
        how = f"signal {-status}" if status < 0 else f"code {status}"
        return Failed(f"the drafting child ended with {how} and no answer"), descriptors


def _environment() -> dict[str, str]:
    """All of ours: OTEL_* variables and secrets are read there. And where this very package lies."""
    places = [str(Path(edge.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))}

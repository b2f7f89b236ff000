"""The process in which drafts are made: `python -m edge.control.drafting_room FD STATE_DIR`.

Each message on FD is the path of a file, beside it the socket for the answer. A draft is made by a
child that is forked for it, so that what it leaves behind goes with it, and starting one takes
milliseconds. This process itself keeps what a child may use of the draft before: imported
modules, and the pieces of the file. It runs nothing else, never a thread or a loop.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import os
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import NoReturn

import msgspec

from edge.confine import confine, die_with_parent
from edge.control.config.pieces import Piece
from edge.control.draft import Failed
from edge.control.drafting import Drafted, Pieces, answer, draft

PATH_LIMIT = 64 << 10
_PACKAGE = "edge."


class Leavings(msgspec.Struct, frozen=True):
    """What a draft changes about what is known here."""

    fresh: dict[str, Piece]
    gone: list[str]
    modules: list[str]
    """Those of edge that it had to import."""


class DraftServer:
    """What runs in the room: answers until the other end closes."""

    def __init__(self, end: socket.socket, state_dir: Path) -> None:
        self._end = end
        self._state_dir = state_dir
        self._serving = os.getppid()
        self._known: Pieces = {}

    def serve(self) -> None:
        """Blocks."""
        while True:
            path, descriptors, _, _ = socket.recv_fds(self._end, PATH_LIMIT, 1)
            if not path:
                return
            with socket.socket(fileno=descriptors[0]) as end:
                self._serve(Path(os.fsdecode(path)), end)

    def _serve(self, file: Path, end: socket.socket) -> None:
        reading, writing = os.pipe()
        gc.freeze()  # a collection in the child would copy every page of ours
        room = os.getpid()
        child = os.fork()
        if not child:
            self._be_child(room, file, end, writing)
        os.close(writing)
        with open(reading, "rb") as stream:
            left = stream.read()
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        if code:
            how = f"signal {-code}" if code < 0 else f"code {code}"
            _answer_anyway(end, Drafted(Failed(f"the drafting child ended with {how} and no answer"), []))
        elif left:
            self._learn(msgspec.msgpack.decode(left, type=Leavings))

    def _be_child(self, room: int, file: Path, end: socket.socket, writing: int) -> NoReturn:
        code = 1
        try:
            die_with_parent()
            if os.getppid() == room:  # else it ended before the kernel knew of our wish
                self._end.close()
                self._draft(file, end, writing)
                code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)

    def _draft(self, file: Path, end: socket.socket, writing: int) -> None:
        before = set(sys.modules)
        drafted = asyncio.run(draft(file, self._state_dir, self._known, self._serving))
        answer(end, drafted.outcome, drafted.descriptors)
        end.close()
        modules = [name for name in sys.modules if name.startswith(_PACKAGE) and name not in before]
        fresh, gone = {}, []
        if drafted.pieces is not None:
            fresh = {text: piece for text, piece in drafted.pieces.items() if text not in self._known}
            gone = [text for text in self._known if text not in drafted.pieces]
        with open(writing, "wb") as stream:
            stream.write(msgspec.msgpack.encode(Leavings(fresh, gone, modules)))

    def _learn(self, left: Leavings) -> None:
        for text in left.gone:
            del self._known[text]
        self._known.update(left.fresh)
        for name in left.modules:
            importlib.import_module(name)


def _answer_anyway(end: socket.socket, drafted: Drafted) -> None:
    """The child may have answered in part, or nobody listens any more."""
    try:
        answer(end, drafted.outcome, drafted.descriptors)
    except OSError:
        pass


def main(argv: list[str]) -> int:
    """Started by `edge.control.drafter` only."""
    # A child lives for a second, and of a large file makes a million objects: looking for cycles among
    # them takes longer than everything else together.
    gc.disable()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a ^C at the terminal ends this without a word
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # to whoever sends it to all of edge it means a reload
    confine()
    die_with_parent()
    descriptor, state_dir = argv
    with socket.socket(fileno=int(descriptor)) as end:
        DraftServer(end, Path(state_dir)).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

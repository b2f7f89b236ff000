"""The `warm` thread: builds and starts what the loop has not seen yet, so traffic never stalls.

Jobs run one after another on a thread with `THREAD_STACK_BYTES` of stack. They use raw calls only
(the public API of wasmtime keeps its error in a module global), and each Store they make belongs
to them until the job is done.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeVar

from edge.wasm.engine import THREAD_STACK_BYTES

T = TypeVar("T")
Job = Callable[[], None]


class WarmThread:
    """`post` runs a callable on the loop's thread later (`loop.call_soon_threadsafe`)."""

    def __init__(self, post: Callable[[Job], object]) -> None:
        self._post = post
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        previous = threading.stack_size(THREAD_STACK_BYTES)
        try:
            self._thread = threading.Thread(target=self._run, name="edge-warm", daemon=True)
            self._thread.start()
        finally:
            threading.stack_size(previous)

    def submit(self, job: Callable[[], T], done: Callable[[T | Exception], None]) -> None:
        """Run `job` on the thread, then `done` on the loop with its result or what it raised."""

        def run() -> None:
            result: T | Exception
            try:
                result = job()
            except Exception as error:
                result = error
            self._deliver(done, result)

        self._jobs.put(run)

    def _deliver(self, done: Callable[[T | Exception], None], result: T | Exception) -> None:
        try:
            self._post(lambda: done(result))
        except RuntimeError:
            return  # The loop is closed: nobody waits for the result.

    def close(self) -> None:
        """End the thread after the jobs already submitted; does not wait for it."""
        self._jobs.put(None)

    def join(self, timeout_s: float) -> bool:
        """Wait for the end after `close`; False if it still runs."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            del job

"""A loop's `call_later`, run by hand."""

from __future__ import annotations

from collections.abc import Callable


class FakeLoop:
    """Keeps what was to be called; `run` calls it once."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        self.calls.append((delay_s, callback))

    def run(self) -> None:
        calls, self.calls = self.calls, []
        for _, callback in calls:
            callback()

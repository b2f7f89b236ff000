"""Back-pressure and deadlines of an exchange: whoever writes slowly holds back whoever reads."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from edge.exchange import properties
from edge.exchange.state import ExchangeState

BY_PEER = 1
BY_CHAIN = 2
"""Who holds a reading side back (bits); it reads again when nobody does."""
GRPC = b"application/grpc"
"""Its streams are open for as long as both like, and may be silent."""


class Flow(ExchangeState):
    """Adds who is held back, by whom, and until when; and what the chain asks of its host."""

    __slots__ = ()

    def pause_request(self) -> None:
        self._hold_request(BY_PEER)

    def resume_request(self) -> None:
        self._free_request(BY_PEER)

    def pause_request_source(self) -> None:
        self._hold_request(BY_CHAIN)

    def resume_request_source(self) -> None:
        self._free_request(BY_CHAIN)

    def _hold_request(self, who: int) -> None:
        if not self.request_held and not self.finished:
            self.downstream.pause_request()
        self.request_held |= who

    def _free_request(self, who: int) -> None:
        held = self.request_held & ~who
        if self.request_held and not held and not self.finished:
            self.downstream.resume_request()
        self.request_held = held

    def body_progress(self) -> int | None:
        """Whoever holds the body up, or has been answered, or streams messages, is not slow."""
        if self.request_held or self.tunnel or self.response is not None:
            return None
        kind = self.head.get(b"content-type")
        return None if kind is not None and kind.startswith(GRPC) else self.bytes_in

    def pause_response(self) -> None:
        self._hold_response(BY_PEER)

    def resume_response(self) -> None:
        self._free_response(BY_PEER)

    def pause_response_source(self) -> None:
        self._hold_response(BY_CHAIN)

    def resume_response_source(self) -> None:
        self._free_response(BY_CHAIN)

    def _hold_response(self, who: int) -> None:
        if not self.response_held and self.upstream is not None and not self.upstream_done:
            self.upstream.pause_response()
        self.response_held |= who

    def _free_response(self, who: int) -> None:
        held = self.response_held & ~who
        if self.response_held and not held and self.upstream is not None and not self.upstream_done:
            self.upstream.resume_response()
        self.response_held = held

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.services.call_soon(partial(self._guarded, callback))

    def _guarded(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception as error:
            self.fault(error)

    def fault(self, error: Exception) -> None:
        """Something of ours failed: this exchange ends, and no other."""
        raise NotImplementedError

    def now(self) -> float:
        return self.services.clock()

    def property(self, path: bytes) -> bytes | None:
        return properties.read(self, path)

    def set_backend(self, cluster: str) -> bool:
        """False once the head has gone upstream, or for a cluster this revision lacks."""
        if self.upstream is not None or self.closing or cluster not in self.revision.clusters:
            return False
        self.backend = cluster
        return True

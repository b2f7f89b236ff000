"""What the chain needs of the exchange it runs in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from edge.chain.filter import LocalReply
from edge.errors import EdgeError
from edge.head import Fields, RequestHead, ResponseHead


class ChainHost(Protocol):
    """Where events go that leave the chain, and what the chain may ask for.

    Calls come only while an entry of `ChainRun` or a `call_soon` callback is under way, and
    never after `reset_exchange` or after `ChainRun.done`. The host may call entries of the run
    from inside any of these methods: what they bring is taken up when the walk under way is over.
    """

    def forward_request_head(self, head: RequestHead, end: bool) -> None:
        """The head left the last filter: checked again if it was changed, then goes upstream."""

    def forward_request_data(self, data: bytes, end: bool) -> None:
        """`data` is empty only when `end`."""

    def forward_request_trailers(self, fields: Fields) -> None: ...
    def forward_response_head(self, head: ResponseHead, end: bool) -> None:
        """The head left filter 0 and goes to the client. At most once."""

    def forward_response_data(self, data: bytes, end: bool) -> None: ...
    def forward_response_trailers(self, fields: Fields) -> None: ...
    def reply_won(self, reply: LocalReply) -> None:
        """Once, before the reply's head travels: cancel upstream, drain or stop the request.

        Not called again when a failure on the way replaces that reply (`ChainRun.failure`).
        """

    def reset_exchange(self, error: EdgeError) -> None:
        """Both sides. The last call of the chain."""

    def pause_request_source(self) -> None: ...
    def resume_request_source(self) -> None: ...
    def pause_response_source(self) -> None: ...
    def resume_response_source(self) -> None: ...
    def call_soon(self, callback: Callable[[], None]) -> None:
        """Run `callback` at the end of this turn of the loop."""

    def set_pause_deadline(self, deadline_in_s: float | None) -> None:
        """Call `ChainRun.pause_expired` this many seconds from now; None = not any more."""

    def now(self) -> float:
        """Monotonic seconds, may be coarse."""

    def property(self, path: bytes) -> bytes | None:
        """Value of a NUL-separated property path, in Envoy's encoding."""

    def set_backend(self, cluster: str) -> bool:
        """False when there is no such cluster. The filter's own allow list was checked before."""

    def request_needs_body(self) -> None:
        """A filter waits for more of the body: a client that waits for a 100 gets one now."""

"""What an ABI host needs of the worker it runs in, as one small seam that tests can fake."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from edge.chain.filter import Port
from edge.head import Fields, RequestHead, ResponseHead

T = TypeVar("T")

CalloutDone = Callable[[ResponseHead | None, bytes, Fields], None]
"""Head, body, trailers; a failed callout is `(None, b"", [])`."""


class Warm(Protocol):
    """Runs jobs beside the loop; `done` comes later on the loop with the result or the exception."""

    def submit(self, job: Callable[[], T], done: Callable[[T | Exception], None]) -> None: ...


class Callouts(Protocol):
    """HTTP requests of filters to named clusters."""

    def start(
        self,
        cluster: str,
        head: RequestHead,
        body: bytes,
        trailers: Fields,
        timeout_s: float,
        done: CalloutDone,
    ) -> int:
        """A token from 1, or 0 for an unknown cluster. `done` never comes before this returned."""

    def cancel(self, token: int) -> None:
        """`done` will not come any more. Unknown tokens are ignored."""


class MetricSink(Protocol):
    """Series that guests define; one place per (filter, name), whatever instance asks.

    All methods may be called on the warm thread while an instance starts.
    """

    def define(self, filter_name: str, kind: int, name: str) -> int:
        """Id of the series (kind 0 counter, 1 gauge, 2 histogram), or -1 when there is no room."""

    def add(self, series: int, by: int) -> None: ...
    def set(self, series: int, value: int) -> None: ...
    def observe(self, series: int, value: int) -> None: ...
    def value(self, series: int) -> int:
        """Present value of a counter or gauge."""


class SharedData(Protocol):
    """Values by (vm id, key) with compare-and-swap numbers from 1. Safe on any thread."""

    def get(self, vm_id: str, key: bytes) -> tuple[bytes, int] | None:
        """Value and its number."""

    def set(self, vm_id: str, key: bytes, value: bytes, cas: int) -> bool | None:
        """`cas` 0 = whatever is there; False when the number differs, None when there is no room."""


class Queues(Protocol):
    """Queues by (vm id, name), known by tokens from 1. Safe on any thread, but `wake`."""

    def register(self, vm_id: str, name: bytes, ready: Callable[[int], bool]) -> int:
        """The token, 0 = no room. `ready(token)`, a method, is called on the loop in later turns while
        something waits; it is not kept alive, and answers False when it cannot be called now.
        """

    def resolve(self, vm_id: str, name: bytes) -> int:
        """The token, 0 = there is no such queue."""

    def put(self, token: int, data: bytes) -> bool:
        """False = no such queue, or no room in it."""

    def take(self, token: int) -> bytes | None:
        """The oldest, None = nothing there. Raises LookupError when there is no such queue."""

    def wake(self) -> None:
        """Somebody who registered can be called now."""


class HostServices(Protocol):
    """Given to every bound filter. Called on the loop's thread unless said otherwise."""

    first: bool
    """Whether this is the first worker of its group: what is to happen once happens here."""
    log_level: int
    """Lines below it are dropped before they leave the guest's Store: 0 trace .. 5 critical."""
    callouts: Callouts
    metrics: MetricSink
    shared: SharedData
    queues: Queues
    warm: Warm

    def now_ns(self) -> int:
        """Wall clock (guests are shown whole milliseconds of it); any thread."""

    def clock(self) -> float:
        """Monotonic seconds, may be coarse."""

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> object: ...
    def call_soon(self, callback: Callable[[], None]) -> object:
        """At the loop's next turn."""

    def log(self, filter_name: str, level: int, text: str, port: Port | None) -> None:
        """A line of a guest (level 0 trace .. 5 critical), already escaped; any thread.

        `port` is the exchange it belongs to, None for lines of a root context.
        """

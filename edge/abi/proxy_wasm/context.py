"""Contexts of an instance: what the inner host's outside calls reach, by the effective context's id."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from edge.abi.proxy_wasm.layout import Status
from edge.chain.filter import Body, LocalReply, Port

if TYPE_CHECKING:
    from edge.abi.proxy_wasm.instance import Instance

ROOT_ID: Final = 1
TICK_MIN_MS: Final = 100
LOG_LINES: Final = 100
"""Of one exchange, or of one call of a root context."""


class Context:
    """Base of both kinds. `left` packs the host calls and bytes still allowed (see layout.Control)."""

    __slots__ = ("callouts_left", "id", "instance", "lines_left", "properties")

    def __init__(self, instance: Instance, number: int) -> None:
        self.instance = instance
        self.id = number
        self.lines_left = LOG_LINES
        self.callouts_left = instance.owner.limits.callouts
        self.properties: dict[bytes, bytes] | None = None

    @property
    def port(self) -> Port | None:
        """Of the exchange, None for a root context."""
        return None

    def load(self, kind: int) -> tuple[bytes, int, bool] | None:
        """A map of this exchange: encoded, number of pairs, whether edits count; None = there is none."""
        return None

    def apply(self, words: list[int], payload: bytes) -> None:
        """Take over edits the guest made under this context."""

    def body(self, kind: int) -> Body | None:
        return None

    def property(self, path: bytes) -> bytes | None:
        """What the guest has set itself, else what the filter is called."""
        if self.properties is not None and path in self.properties:
            return self.properties[path]
        return self.instance.owner.own_properties.get(path)

    def set_property(self, path: bytes, value: bytes) -> int:
        if self.properties is None:
            self.properties = {}
        if len(self.properties) >= 100 and path not in self.properties:
            return Status.BAD_ARGUMENT
        self.properties[path] = value
        return Status.OK

    def stream(self, close: bool, kind: int) -> int:
        """Continue or close, after the driver call."""
        return Status.BAD_ARGUMENT

    def is_grpc(self) -> bool:
        """Whether the request is a gRPC one."""
        return False

    def reply(self, reply: LocalReply) -> int:
        return Status.BAD_ARGUMENT

    def waiting(self, change: int) -> None:
        """A callout of this context began (+1) or ended (-1)."""


class RootContext(Context):
    """The one root context of an instance: configuration, ticks, answers of callouts."""

    __slots__ = ("_generation", "done_pending", "tick_ms")

    def __init__(self, instance: Instance) -> None:
        super().__init__(instance, ROOT_ID)
        self.tick_ms = 0
        self.done_pending = False
        self._generation = 0

    def renew(self) -> None:
        """Each call on a root context has budgets of its own."""
        self.lines_left = LOG_LINES
        self.callouts_left = self.instance.owner.limits.callouts

    def set_tick(self, period_ms: int) -> int:
        self.tick_ms = max(period_ms, TICK_MIN_MS) if period_ms else 0
        self.arm()
        return Status.OK

    def arm(self) -> None:
        """Start the timer anew; what was armed before is void."""
        self._generation += 1
        if self.tick_ms and self.instance.attached:
            self.instance.services.call_later(self.tick_ms / 1000, self._timer(self._generation))

    def disarm(self) -> None:
        self._generation += 1
        self.tick_ms = 0

    def _timer(self, generation: int) -> Callable[[], None]:
        def fire() -> None:
            if generation == self._generation and self.tick_ms:
                self.instance.tick()
                if generation == self._generation:
                    self.arm()

        return fire

    def finish(self) -> int:
        """proxy_done: NOT_FOUND would make Rust guests panic, so a needless one is OK."""
        pending, self.done_pending = self.done_pending, False
        if pending:
            self.instance.services.call_soon(self.instance.delete_root)
        return Status.OK

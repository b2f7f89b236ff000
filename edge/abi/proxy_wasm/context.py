"""Contexts of an instance: what the inner host's outside calls reach, by the effective context's id."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from edge.abi.proxy_wasm.layout import Status
from edge.chain.filter import Body, LocalReply, Port
from edge.head import Fields

if TYPE_CHECKING:
    from edge.abi.proxy_wasm.instance import Instance

ROOT_ID: Final = 1
TICK_MIN_MS: Final = 100
LOG_LINES: Final = 100
"""Of one exchange, or of one call of a root context."""
PROPERTIES: Final = 100
"""That a guest may set in one context."""


class Notes:
    """What only some contexts need, made when first needed, so that the others do not pay for it."""

    __slots__ = (
        *("callouts_left", "closing", "continued", "cpu_ns", "kept", "properties", "replied"),
        *("reply", "trailers_gone", "trailers_made", "trailers_phase"),
    )

    def __init__(self, callouts: int) -> None:
        self.callouts_left = callouts
        self.properties: dict[bytes, bytes] = {}
        self.closing = False
        self.continued = 0
        """Bit n: continue direction n, after the driver call."""
        self.reply: LocalReply | None = None
        self.replied = False
        self.cpu_ns = 0
        """Measured so far in this exchange (only calls that saw a tick are)."""
        self.kept = [0, 0]
        """Body bytes that stayed here after the last data callback, by direction."""
        self.trailers_made: Fields | None = None
        self.trailers_phase = -1
        """The direction in which trailers may be made now: its last data callback is under way."""
        self.trailers_gone = 0
        """Bit n: the trailers of direction n have gone on."""


class Context:
    """Base of both kinds."""

    __slots__ = ("id", "instance", "lines_left", "notes")

    id: int
    instance: Instance
    lines_left: int
    notes: Notes | None

    def noted(self) -> Notes:
        """The notes, made now if there were none."""
        notes = self.notes
        if notes is None:
            self.notes = notes = Notes(self.instance.owner.callouts_limit)
        return notes

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
        notes = self.notes
        if notes is not None and path in notes.properties:
            return notes.properties[path]
        return self.instance.owner.own_properties.get(path)

    def set_property(self, path: bytes, value: bytes) -> int:
        properties = self.noted().properties
        if len(properties) >= PROPERTIES and path not in properties:
            return Status.BAD_ARGUMENT
        properties[path] = value
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
        self.instance = instance
        self.id = ROOT_ID
        self.lines_left = LOG_LINES
        self.notes = None
        self.tick_ms = 0
        self.done_pending = False
        self._generation = 0

    def renew(self) -> None:
        """Each call on a root context has budgets of its own."""
        self.lines_left = LOG_LINES
        notes = self.notes
        if notes is not None:
            notes.callouts_left = self.instance.owner.callouts_limit

    def set_tick(self, period_ms: int) -> int:
        self.tick_ms = max(period_ms, TICK_MIN_MS) if period_ms else 0
        self.arm()
        return Status.OK

    def arm(self) -> None:
        """Start the timer anew; what was armed before is void."""
        self._generation += 1
        if self.tick_ms and self.instance.attached and self.instance.owner.ticks:
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

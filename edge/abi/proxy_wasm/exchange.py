"""A stream context: one filter in one exchange. Implements `edge.chain.filter.Filter`.

The hot path is `_head` and `done`: one crossing each, and no frame of Python that can be spared.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns
from typing import TYPE_CHECKING, Final

from edge.abi.proxy_wasm.context import LOG_LINES, ROOT_ID
from edge.abi.proxy_wasm.layout import MAP_LIMIT_BYTES, RETURNED, Control, Flag
from edge.abi.proxy_wasm.surface import Surface
from edge.chain.filter import Action, Direction, LocalReply, Port
from edge.errors import FilterError
from edge.head import Fields
from edge.wasm.budget import UNTIMED
from edge.wasm.trap import Trap

if TYPE_CHECKING:
    from edge.abi.proxy_wasm.instance import Instance

_REQUEST, _RESPONSE = Direction.REQUEST, Direction.RESPONSE
_CONTINUE, _PAUSE, _REPLY, _RESET, _FAIL = (
    Action.CONTINUE,
    Action.PAUSE,
    Action.REPLY,
    Action.RESET,
    Action.FAIL,
)
_BODY_FACTOR: Final = 4
_ONLY_OPS: Final = (RETURNED | Flag.OPS) >> 8
_OPS_COUNT: Final = int(Control.OPS)
_GUEST: Final = int(Control.GUEST)
_HALF: Final = 0xFFFFFFFF


class StreamContext(Surface):
    """Created in the guest with its first callback. `parent` is the root's id until then, then 0.

    `left` packs the host calls (low half) and bytes (high half) that this exchange may still use.
    """

    __slots__ = ("left", "parent")

    def __init__(self, instance: Instance, port: Port, made: int = 0) -> None:
        """`made`: the id under which the guest has been told of it already."""
        self.instance = instance
        cell = instance.cell
        self.id = number = made or cell.take_id()
        instance.contexts[number] = self
        self._port = port
        self.left = instance.allowance
        self.lines_left = LOG_LINES
        self.parent = 0 if made else ROOT_ID
        self.failure = None
        self.notes = None

    # The callbacks, in the exchange's order

    def request_head(self, end: bool) -> Action:
        head = self._port.request
        cached = head._encoded or head.encoded()
        return self._head(_REQUEST, cached, end)

    def request_data(self, size: int, end: bool) -> Action:
        return self._data(_REQUEST, size, end)

    def request_trailers(self) -> Action:
        return self._trailers(_REQUEST, self._port.request_trailers)

    def response_head(self, end: bool) -> Action:
        head = self._port.response
        assert head is not None, "a response head callback without a response"
        cached = head._encoded or head.encoded()
        return self._head(_RESPONSE, cached, end)

    def response_data(self, size: int, end: bool) -> Action:
        return self._data(_RESPONSE, size, end)

    def response_trailers(self) -> Action:
        return self._trailers(_RESPONSE, self._port.response_trailers)

    def done(self) -> None:
        instance = self.instance
        if instance.owner.ends and not instance.dead and not self.parent:
            instance.args[0] = self.id
            self._drive(-1, instance.end)
        instance.forget(self)

    def _head(self, direction: Direction, cached: tuple[bytes, int], end: bool) -> Action:
        instance = self.instance
        if self.failure is not None:
            return _FAIL
        data, count = cached
        if not data.isascii():
            shown = instance.owner.shown(data)
            if shown is None:
                return self._refuse_bytes(direction)
            data = shown
        size = len(data)
        if size > MAP_LIMIT_BYTES:
            self.failure = FilterError("the head is larger than a filter can be shown", instance.owner.name)
            return _FAIL
        args = instance.args
        args[0] = self.id
        args[2] = self.parent
        args[4] = size
        args[6] = count
        args[8] = end
        if direction:
            at = instance.response_arena
            instance.memory[at : at + size] = data
            return self._drive(_RESPONSE, instance.response_head)
        at = instance.request_arena
        instance.memory[at : at + size] = data
        return self._drive(_REQUEST, instance.request_head)

    def _data(self, direction: Direction, size: int, end: bool) -> Action:
        instance = self.instance
        if self.failure is not None:
            return _FAIL
        notes = self.noted()
        self._allow_body(size - notes.kept[direction])
        if end:
            notes.trailers_made, notes.trailers_phase = [], direction
        args = instance.args
        args[0], args[2], args[4], args[6] = self.id, self.parent, size, end
        action = self._drive(direction, instance.response_data if direction else instance.request_data)
        notes.trailers_phase = -1
        instance.answer = instance.pushed = b""
        notes.kept[direction] = size if action is _PAUSE else 0
        return action

    def _allow_body(self, new: int) -> None:
        """Each body byte that is new here allows four bytes of copies."""
        if new > 0:
            left = self.left
            self.left = min((left >> 32) + _BODY_FACTOR * new, _HALF) << 32 | left & _HALF

    def _trailers(self, direction: Direction, fields: Fields | None) -> Action:
        if self.failure is not None:
            return _FAIL
        instance = self.instance
        args = instance.args
        args[0], args[2], args[4] = self.id, self.parent, len(fields or ())
        bound = instance.response_trailers if direction else instance.request_trailers
        action = self._drive(direction, bound)
        if action is _CONTINUE:
            self.noted().trailers_gone |= 1 << direction
        return action

    # One driver call

    def _drive(self, direction: int, bound: Callable[[], int]) -> Action:
        """As `Instance.run`, written out: this is where the microseconds are."""
        notes = self.notes
        if self._port.record is not None or (notes is not None and notes.cpu_ns):
            return self._drive_noted(direction, bound)
        instance = self.instance
        instance.current = self
        self.parent = 0
        budget = instance.budget
        budget.call += 1
        wide = instance.wide
        instance.control[_GUEST] = instance.slot
        wide[0] = self.left
        wide[1] = instance.now_ns()
        error = bound() if budget.call & UNTIMED else budget.timed(bound)
        word = instance.args[0]
        if word < RETURNED:
            return self.trapped(instance.store.trap(error))
        self.left = wide[0]
        if budget.used_ns:
            self._charge()
        if word == RETURNED and not instance.touched:
            return _CONTINUE
        return self._settled(direction, word)

    def _drive_noted(self, direction: int, bound: Callable[[], int]) -> Action:
        """The same with the figures of a sampled exchange and with CPU time charged before."""
        instance, notes, record = self.instance, self.notes, self._port.record
        instance.current = self
        self.parent = 0
        charged = notes is not None and notes.cpu_ns > 0
        if notes is not None and charged:
            instance.budget.charge(notes.cpu_ns)
        begun = 0
        if record is not None:
            instance.timed, instance.host_ns = True, 0
            begun = perf_counter_ns()
        try:
            word = instance.run(self.left, bound)
        except Trap as trap:
            return self.trapped(trap)
        finally:
            before, self.left = self.left, instance.wide[0]
            if record is not None:
                self._record(perf_counter_ns() - begun, before)
        if instance.budget.used_ns or charged:
            self._charge()
        if word == RETURNED and not instance.touched:
            return _CONTINUE
        return self._settled(direction, word)

    def _record(self, spent_ns: int, before: int) -> None:
        instance, record = self.instance, self._port.record
        instance.timed = False
        if record is None:
            return
        left = self.left
        record.host_ns += instance.host_ns
        record.guest_ns += max(0, spent_ns - instance.host_ns)
        record.calls += 1
        record.host_calls += (before & _HALF) - (left & _HALF)
        record.bytes_out += (before >> 32) - (left >> 32)
        record.memory_bytes = instance.memory_bytes()

    def _charge(self) -> None:
        budget = self.instance.budget
        self.noted().cpu_ns += budget.take_used()
        budget.serve()

    def trapped(self, trap: Trap) -> Action:
        """A call under this context trapped."""
        self.failure = self.instance.trapped(trap, self)
        return _FAIL

    # From the express lane

    def move(self, port: Port, left: int) -> None:
        """The general run has taken over: another port, and what the lane left of the allowance."""
        self._port = port
        self.left = left

    def crossed(self, direction: int, word: int, words: list[int], payload: bytes, used_ns: int) -> Action:
        """The end of this guest's callback in a crossing of the group; `words`: its edits."""
        if used_ns:
            self.noted().cpu_ns += used_ns
        if words:
            self.instance.current.apply(words, payload)
        return self._settled(direction, word)

    # What it comes to

    def _settled(self, direction: int, word: int) -> Action:
        """Take what the call left, then decide what its answer and wishes come to."""
        instance = self.instance
        if word >> 8 == _ONLY_OPS and instance.control[_OPS_COUNT] == 1 and instance.current is self:
            self._apply_one(instance.op_words[0], instance.take_payload())
            if instance.touched:
                instance.settle(0, self)
        else:
            instance.settle(word, self)
        answer = word & 0xFF
        if direction < 0:
            return _CONTINUE
        if self.notes is None and self.failure is None:
            return _PAUSE if answer else _CONTINUE
        return self._verdict(direction, answer)

    def _verdict(self, direction: int, answer: int) -> Action:
        if self.failure is not None:
            return _FAIL
        port, notes = self._port, self.noted()
        if notes.closing:
            port.reset()
            return _RESET
        reply, notes.reply = notes.reply, None
        if reply is not None:
            return _REPLY if port.reply(reply) else _CONTINUE
        asked, notes.continued = notes.continued, 0
        paused = answer != 0 and not notes.replied
        for each in (_REQUEST, _RESPONSE):
            if asked & 1 << each and (paused or each != direction):
                port.resume(each)
        return _PAUSE if paused else _CONTINUE

    def die(self, failure: FilterError, entered: StreamContext | None) -> None:
        """The cell's end in another's call; the exchange of `entered` hears of it by that call's answer."""
        self.failure = failure
        if entered is None or entered._port.request is not self._port.request:
            self._port.fail(failure)

    def _refuse_bytes(self, direction: Direction) -> Action:
        """nonUtf8: reject."""
        status = 502 if direction else 400
        reply = LocalReply(status, [], b"", "non_utf8", "filter", self.instance.owner.name)
        return _REPLY if self._port.reply(reply) else _CONTINUE

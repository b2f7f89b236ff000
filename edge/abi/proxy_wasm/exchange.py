"""A stream context: one filter in one exchange. Implements `edge.chain.filter.Filter`."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from time import perf_counter_ns
from typing import TYPE_CHECKING, Final

from edge.abi.proxy_wasm import edits
from edge.abi.proxy_wasm.context import ROOT_ID, Context
from edge.abi.proxy_wasm.layout import MAP_LIMIT_BYTES, RETURNED, Buffer, Map, Status
from edge.chain.filter import Action, Body, Direction, LocalReply, Port
from edge.errors import FilterError
from edge.head import Fields, RequestHead, ResponseHead, encode_fields
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
_LEFT_MAX: Final = 0xFFFFFFFF
_NO_DIRECTION: Final = -1
_BACKEND: Final = (b"edge\0backend", b"edge.backend")


class StreamContext(Context):
    """Created in the guest with its first callback. `parent` is the root's id until then, then 0."""

    __slots__ = (
        *("_closing", "_continue", "_kept", "_port", "_reply", "_replied", "_trailers_made", "cpu_ns"),
        *("failure", "left", "parent", "phase", "trailers_gone"),
    )

    def __init__(self, instance: Instance, port: Port) -> None:
        owner = instance.owner
        self.instance = instance
        self.id = number = instance.next_id
        instance.next_id = number + 1
        instance.contexts[number] = self
        self.lines_left = 100
        self.callouts_left = owner.callouts_limit
        self.properties = None
        self._port = port
        self.left = owner.allowance
        self.parent = ROOT_ID
        self.failure: FilterError | None = None
        self.cpu_ns = 0
        self.phase = _NO_DIRECTION
        self._continue = 0
        self._closing = self._replied = False
        self._reply: LocalReply | None = None
        self._kept: tuple[int, int] = (0, 0)
        self._trailers_made: Fields | None = None
        self.trailers_gone = 0

    @property
    def port(self) -> Port | None:
        return self._port

    # The callbacks, in the exchange's order

    def request_head(self, end: bool) -> Action:
        head = self._port.request
        data, count = head.encoded()
        return self._head(_REQUEST, data, count, end)

    def request_data(self, size: int, end: bool) -> Action:
        return self._data(_REQUEST, size, end)

    def request_trailers(self) -> Action:
        return self._trailers(_REQUEST, self._port.request_trailers)

    def response_head(self, end: bool) -> Action:
        head = self._port.response
        assert head is not None, "a response head callback without a response"
        data, count = head.encoded()
        return self._head(_RESPONSE, data, count, end)

    def response_data(self, size: int, end: bool) -> Action:
        return self._data(_RESPONSE, size, end)

    def response_trailers(self) -> Action:
        return self._trailers(_RESPONSE, self._port.response_trailers)

    def done(self) -> None:
        instance = self.instance
        if not instance.dead:
            if not self.parent:
                instance.args[0] = self.id
                self._drive(_NO_DIRECTION, instance.end)
            instance.forget(self)
        elif not instance.contexts:
            instance.forget(self)

    def _head(self, direction: Direction, data: bytes, count: int, end: bool) -> Action:
        instance = self.instance
        if self.failure is not None:
            return _FAIL
        if not data.isascii():
            shown = instance.owner.shown(data)
            if shown is None:
                return self._refuse_bytes(direction)
            data = shown
        size = len(data)
        if size > MAP_LIMIT_BYTES:
            self.failure = FilterError("the head is larger than a filter can be shown", instance.owner.name)
            return _FAIL
        at = instance._response_arena if direction else instance._request_arena
        instance.memory[at : at + size] = data
        args = instance.args
        args[0] = self.id
        args[2] = self.parent
        args[4] = size
        args[6] = count
        args[8] = end
        return self._drive(direction, instance.response_head if direction else instance.request_head)

    def _data(self, direction: Direction, size: int, end: bool) -> Action:
        instance = self.instance
        if self.failure is not None:
            return _FAIL
        self._allow_body(direction, size)
        args = instance.args
        args[0], args[2], args[4], args[6] = self.id, self.parent, size, end
        action = self._drive(direction, instance.response_data if direction else instance.request_data, end)
        kept = size if action is _PAUSE else 0
        self._kept = (self._kept[0], kept) if direction else (kept, self._kept[1])
        return action

    def _allow_body(self, direction: Direction, size: int) -> None:
        """Each body byte that is new here allows four bytes of copies."""
        more = self.left + ((_BODY_FACTOR * max(0, size - self._kept[direction])) << 32)
        self.left = min(more >> 32, _LEFT_MAX) << 32 | more & _LEFT_MAX

    def _trailers(self, direction: Direction, fields: Fields | None) -> Action:
        if self.failure is not None:
            return _FAIL
        instance = self.instance
        args = instance.args
        args[0], args[2], args[4] = self.id, self.parent, len(fields or ())
        bound = instance.response_trailers if direction else instance.request_trailers
        action = self._drive(direction, bound)
        if action is _CONTINUE:
            self.trailers_gone |= 1 << direction
        return action

    # One driver call

    def _drive(self, direction: int, bound: Callable[[], int], end: bool = False) -> Action:
        instance = self.instance
        instance.current = self
        self.phase = direction
        self.parent = 0
        self._may_make_trailers(direction, end)
        if self.cpu_ns:
            instance.budget.charge(self.cpu_ns)
        try:
            if self._port.record is not None:
                word = self._timed(bound)
            else:
                word = instance.run(self.left, bound)
            self.left = instance.left()
            if instance.budget.used_ns or self.cpu_ns:
                self._charge()
            if word == RETURNED and not instance.touched:
                return _CONTINUE
            instance.settle(word, self)
        except Trap as trap:
            self.failure = instance.trapped(trap, self)
            return _FAIL
        finally:
            self.phase = _NO_DIRECTION
        return self._verdict(direction, word & 0xFF)

    def _may_make_trailers(self, direction: int, end: bool) -> None:
        self._trailers_made = [] if end and direction >= 0 else None

    def _timed(self, bound: Callable[[], int]) -> int:
        """As `Instance.run`, with the figures of a sampled exchange."""
        instance, record = self.instance, self._port.record
        assert record is not None, "timed without a record"
        instance.timed, instance.host_ns = True, 0
        before = self.left
        begun = perf_counter_ns()
        try:
            return instance.run(before, bound)
        finally:
            spent = perf_counter_ns() - begun
            instance.timed = False
            left = instance.left()
            record.host_ns += instance.host_ns
            record.guest_ns += max(0, spent - instance.host_ns)
            record.calls += 1
            record.host_calls += (before & _LEFT_MAX) - (left & _LEFT_MAX)
            record.bytes_out += (before >> 32) - (left >> 32)
            record.memory_bytes = instance.memory_bytes()

    def _charge(self) -> None:
        instance = self.instance
        self.cpu_ns += instance.budget.take_used()
        instance.budget.serve()

    def _verdict(self, direction: int, answer: int) -> Action:
        """What the guest's answer and the actions it asked for come to, in its own callback."""
        if direction < 0:
            return _CONTINUE
        if self.failure is not None:
            return _FAIL
        port = self._port
        if self._closing:
            port.reset()
            return _RESET
        reply, self._reply = self._reply, None
        if reply is not None:
            return _REPLY if port.reply(reply) else _CONTINUE
        asked, self._continue = self._continue, 0
        paused = answer != 0 and not self._replied
        for each in (_REQUEST, _RESPONSE):
            if asked & 1 << each and (paused or each != direction):
                port.resume(each)
        return _PAUSE if paused else _CONTINUE

    def act(self) -> None:
        """Carry out what was asked for under this context from outside its own callbacks."""
        port = self._port
        if self.failure is not None:
            port.fail(self.failure)
        elif self._closing:
            port.reset()
        elif self._reply is not None:
            reply, self._reply = self._reply, None
            port.reply(reply)
        else:
            asked, self._continue = self._continue, 0
            for each in (_REQUEST, _RESPONSE):
                if asked & 1 << each:
                    port.resume(each)

    def die(self, failure: FilterError) -> None:
        """The instance trapped in another's call."""
        self.failure = failure
        self._port.fail(failure)

    def _refuse_bytes(self, direction: Direction) -> Action:
        """nonUtf8: reject."""
        status = 502 if direction else 400
        reply = LocalReply(status, [], b"", "non_utf8", "filter", self.instance.owner.name)
        return _REPLY if self._port.reply(reply) else _CONTINUE

    # What the inner host asks for

    def load(self, kind: int) -> tuple[bytes, int, bool] | None:
        port = self._port
        if kind in (Map.REQUEST, Map.RESPONSE):
            head: RequestHead | ResponseHead | None = port.request if kind == Map.REQUEST else port.response
            if head is None:
                return None
            data, count = head.encoded()
            writable = port.head_is_open(_RESPONSE if kind else _REQUEST)
        else:
            direction = _RESPONSE if kind == Map.RESPONSE_TRAILERS else _REQUEST
            fields = self._trailer_fields(direction)
            if fields is None:
                return None
            data, count = encode_fields(fields)
            writable = not self.trailers_gone & 1 << direction
        data = self.instance.owner.present(data)
        return (data, count, writable) if len(data) <= MAP_LIMIT_BYTES else None

    def _trailer_fields(self, direction: Direction) -> Fields | None:
        port = self._port
        fields = port.response_trailers if direction else port.request_trailers
        if fields is None and self._trailers_made is not None and self.phase == direction:
            return self._trailers_made
        return fields

    def apply(self, words: list[int], payload: bytes) -> None:
        parts = payload.split(b"\0")
        record = self._port.record
        if record is not None:
            record.edits += [name.decode("ascii", "replace") for name in parts[::2]]
        low, high = min(words) >> 24, max(words) >> 24
        if low == high and high in (Map.REQUEST, Map.RESPONSE):
            head = self._port.response if high else self._port.request
            if head is not None:
                edits.append_only(head, payload, parts)
            return
        at = 0
        for kind, group in groupby(words, key=lambda word: word >> 24 & 15):
            run = list(group)
            self._apply(kind, run, parts[at : at + 2 * len(run)])
            at += 2 * len(run)

    def _apply(self, kind: int, words: list[int], parts: list[bytes]) -> None:
        port = self._port
        if kind in (Map.REQUEST, Map.RESPONSE):
            head = port.response if kind else port.request
            if head is None:
                return
            try:
                edits.edit_head(head, words, parts)
            except FilterError as failure:
                failure.filter_name = self.instance.owner.name
                self._fail(failure)
            return
        direction = _RESPONSE if kind == Map.RESPONSE_TRAILERS else _REQUEST
        fields = self._trailer_fields(direction)
        if fields is None:
            return
        edits.edit_trailers(fields, words, parts)
        if fields is self._trailers_made:
            (port.set_response_trailers if direction else port.set_request_trailers)(fields)

    def _fail(self, failure: FilterError) -> None:
        self.failure = failure
        self._touch()

    def _touch(self) -> None:
        touched = self.instance.touched
        if self not in touched:
            touched.append(self)

    def body(self, kind: int) -> Body | None:
        return self._port.body(_RESPONSE if kind == Buffer.RESPONSE_BODY else _REQUEST)

    def property(self, path: bytes) -> bytes | None:
        own = Context.property(self, path)
        return own if own is not None else self._port.property(path)

    def set_property(self, path: bytes, value: bytes) -> int:
        if path in _BACKEND:
            cluster = value.decode("utf-8", "replace")
            allowed = cluster in self.instance.owner.backends and self._port.set_backend(cluster)
            return Status.OK if allowed else Status.BAD_ARGUMENT
        return Context.set_property(self, path, value)

    def stream(self, close: bool, kind: int) -> int:
        if close:
            self._closing = True
        elif kind <= 1:
            self._continue |= 1 << kind
        self._touch()
        return Status.OK

    def is_grpc(self) -> bool:
        return (self._port.request.get(b"content-type") or b"").startswith(b"application/grpc")

    def reply(self, reply: LocalReply) -> int:
        """The first one counts; a later one is accepted and has no effect."""
        if not self._replied:
            self._replied = True
            self._reply = reply
            self._touch()
        return Status.OK

    def waiting(self, change: int) -> None:
        if self.instance.contexts.get(self.id) is self:
            self._port.waiting(change)

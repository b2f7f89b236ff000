"""What the inner host may ask of an exchange: maps, bodies, properties, actions."""

from __future__ import annotations

from itertools import groupby
from typing import Final

from edge.abi.proxy_wasm import edits
from edge.abi.proxy_wasm.context import Context
from edge.abi.proxy_wasm.layout import Buffer, Map, Op, Status
from edge.chain.filter import Body, Direction, LocalReply, Port
from edge.errors import FilterError
from edge.head import Fields, RequestHead, ResponseHead, encode_fields

_REQUEST, _RESPONSE = Direction.REQUEST, Direction.RESPONSE
_BACKEND: Final = (b"edge\0backend", b"edge.backend")
_HEADS: Final = (int(Map.REQUEST), int(Map.RESPONSE))
_RESPONSE_BIT: Final = Map.RESPONSE << 24
_OTHER_OPS: Final = 0xFFFFFFFF & ~(Op.SET << 28 | Map.RESPONSE << 24 | 0xFFFFFF)
"""Bits of a word that an addition to a head and a replacement there never have."""


class Surface(Context):
    """A stream context without its callbacks."""

    __slots__ = ("_port", "failure")

    _port: Port
    failure: FilterError | None

    @property
    def port(self) -> Port | None:
        return self._port

    # Maps

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
            notes = self.notes
            writable = notes is None or not notes.trailers_gone & 1 << direction
        data = self.instance.owner.present(data)
        return data, count, writable

    def _trailer_fields(self, direction: Direction) -> Fields | None:
        """Those that came, else those that may be made in the last data callback."""
        port, notes = self._port, self.notes
        fields = port.response_trailers if direction else port.request_trailers
        if fields is None and notes is not None and notes.trailers_phase == direction:
            fields = notes.trailers_made
        return fields

    def _apply_one(self, word: int, payload: bytes) -> None:
        """As `apply`; one field added to a head, or set there, is what most filters do."""
        head = self._port.response if word & _RESPONSE_BIT else self._port.request
        if word & _OTHER_OPS or head is None or self._port.record is not None:
            self.apply([word], payload)
            return
        name, value = payload.split(b"\0")
        if word >> 28:
            head.fields[word & 0xFFFFFF] = (name, value)
            head.touch()
        else:
            head.extend([(name, value)], payload)

    def apply(self, words: list[int], payload: bytes) -> None:
        parts = payload.split(b"\0")
        record = self._port.record
        if record is not None:
            record.edits += [name.decode("ascii", "replace") for name in parts[::2]]
        kinds = {word >> 24 for word in words}
        maps = {kind & 15 for kind in kinds}
        if len(maps) == 1:
            (kind,) = maps
            if kinds == maps and kind in _HEADS:  # OP_ADD is 0
                head = self._port.response if kind else self._port.request
                if head is not None:
                    edits.append_only(head, payload, parts)
            else:
                self._apply(kind, words, parts)
            return
        at = 0
        for kind, group in groupby(words, key=lambda word: word >> 24 & 15):
            run = list(group)
            self._apply(kind, run, parts[at : at + 2 * len(run)])
            at += 2 * len(run)

    def _apply(self, kind: int, words: list[int], parts: list[bytes]) -> None:
        port = self._port
        if kind in _HEADS:
            head = port.response if kind else port.request
            if head is None:
                return
            try:
                edits.edit_head(head, words, parts)
            except FilterError as failure:
                failure.filter_name = self.instance.owner.name
                self.failure = failure
                self._touch()
            return
        direction = _RESPONSE if kind == Map.RESPONSE_TRAILERS else _REQUEST
        fields = self._trailer_fields(direction)
        if fields is None:
            return
        edits.edit_trailers(fields, words, parts)
        if self.notes is not None and fields is self.notes.trailers_made:
            (port.set_response_trailers if direction else port.set_request_trailers)(fields)

    # Bodies and properties

    def body(self, kind: int) -> Body | None:
        return self._port.body(_RESPONSE if kind == Buffer.RESPONSE_BODY else _REQUEST)

    def property(self, path: bytes) -> bytes | None:
        notes = self.notes
        if notes is not None and path in notes.properties:
            return notes.properties[path]
        own = self.instance.owner.own_properties.get(path)
        return own if own is not None else self._port.property(path)

    def set_property(self, path: bytes, value: bytes) -> int:
        if path in _BACKEND:
            cluster = value.decode("utf-8", "replace")
            allowed = cluster in self.instance.owner.backends and self._port.set_backend(cluster)
            return Status.OK if allowed else Status.BAD_ARGUMENT
        return Context.set_property(self, path, value)

    def is_grpc(self) -> bool:
        return (self._port.request.get(b"content-type") or b"").startswith(b"application/grpc")

    # Actions, carried out after the driver call

    def _touch(self) -> None:
        touched = self.instance.touched
        if self not in touched:
            touched.append(self)

    def stream(self, close: bool, kind: int) -> int:
        notes = self.noted()
        if close:
            notes.closing = True
        elif kind <= 1:
            notes.continued |= 1 << kind
        self._touch()
        return Status.OK

    def reply(self, reply: LocalReply) -> int:
        """The first one counts; a later one is accepted and has no effect."""
        notes = self.noted()
        if not notes.replied:
            notes.replied = True
            notes.reply = reply
            self._touch()
        return Status.OK

    def act(self) -> None:
        """Carry out what was asked for under this context from outside its own callbacks."""
        port, notes = self._port, self.noted()
        if self.failure is not None:
            port.fail(self.failure)
        elif notes.closing:
            port.reset()
        elif notes.reply is not None:
            reply, notes.reply = notes.reply, None
            port.reply(reply)
        else:
            asked, notes.continued = notes.continued, 0
            for each in (_REQUEST, _RESPONSE):
                if asked & 1 << each:
                    port.resume(each)

    def waiting(self, change: int) -> None:
        if self.instance.contexts.get(self.id) is self:
            self._port.waiting(change)

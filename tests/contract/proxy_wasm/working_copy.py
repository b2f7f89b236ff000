"""The oracle's header maps: a plain list that is written back whole when the call is over."""

from __future__ import annotations

import re

from edge.errors import BadRequest
from edge.head import Fields, RequestHead, ResponseHead
from edge.syntax import canonical_authority, canonical_path

OK, NOT_FOUND, BAD_ARGUMENT = 0, 1, 2
LIMIT_BYTES, LIMIT_FIELDS = 120 << 10, 1024

_NAME = re.compile(rb":?[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*").fullmatch
_REFUSED = {
    *(b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"expect"),
    *(b"http2-settings", b"host"),
}
_PSEUDO = {
    b":path": re.compile(rb"/[\x21\x22\x24-\x7e]*").fullmatch,
    b":authority": re.compile(rb"[\x21\x22\x24-\x7e]+").fullmatch,
    b":scheme": re.compile(rb"https?").fullmatch,
    b":method": re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch,
    b":status": re.compile(rb"[2-5][0-9][0-9]").fullmatch,
}
_LENGTH = re.compile(rb"[0-9]{1,18}").fullmatch


def shown(value: bytes) -> bytes:
    """As a guest sees it: Latin-1 unless it is UTF-8."""
    try:
        value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1").encode()
    return value


class WorkingCopy:
    """Pairs [name, value as shown, value as it is]. `message` is a head, or None for trailers."""

    def __init__(self, message: RequestHead | ResponseHead | None, fields: Fields, writable: bool) -> None:
        self.message = message
        self.fields = fields
        self.writable = writable
        self.dirty = False
        self.length_dropped = False
        special: Fields = []
        if isinstance(message, RequestHead):
            special = [
                *((b":method", message.method), (b":path", message.path)),
                *((b":scheme", message.scheme), (b":authority", message.authority)),
            ]
        elif message is not None:
            special = [(b":status", b"%d" % message.status)]
        if message is not None and message.length is not None:
            special.append((b"content-length", b"%d" % message.length))
        self.pairs = [[name, shown(value), value] for name, value in special + fields]

    def name(self, name: bytes) -> bytes | None:
        """Lower case, with host for :authority; None when it is no name."""
        if len(name) > 4096 or not _NAME(name):
            return None
        name = name.lower()
        return b":authority" if name == b"host" and isinstance(self.message, RequestHead) else name

    def get(self, name: bytes) -> bytes | None:
        return next((value for key, value, _ in self.pairs if key == name), None)

    def size(self) -> int:
        return sum(len(name) + len(value) for name, value, _ in self.pairs)

    def _live(self) -> int:
        return self.size() + 2 * len(self.pairs)

    def allowed(self, name: bytes) -> bool:
        special = name.startswith(b":") or name == b"content-length"
        return name not in _REFUSED and (self.message is not None or not special)

    def write(self, name: bytes, value: bytes, replace: bool) -> int:
        """`name` from `name()`, allowed and writable; `value` clean."""
        if name.startswith(b":"):
            fits = name in _PSEUDO and self.get(name) is not None and _PSEUDO[name](value)
            if not replace or not fits or self._live() + len(name) + len(value) + 2 > LIMIT_BYTES:
                return BAD_ARGUMENT
            self._set(name, value)
            return OK
        if name == b"content-length":
            if not _LENGTH(value):
                return BAD_ARGUMENT
            if self.get(name) not in (None, value):
                self.remove(name)
            return OK
        if self._live() + len(name) + len(value) + 2 > LIMIT_BYTES:
            return BAD_ARGUMENT
        if replace and self.get(name) is not None:
            self._set(name, value)
        elif len(self.pairs) == LIMIT_FIELDS:
            return BAD_ARGUMENT
        else:
            self.dirty = True
            self.pairs.append([name, value, value])
        return OK

    def _set(self, name: bytes, value: bytes) -> None:
        first = next(pair for pair in self.pairs if pair[0] == name)
        kept = [pair for pair in self.pairs if pair is first or pair[0] != name]
        if first[1] != value or len(kept) != len(self.pairs):
            self.dirty = True
        if first[1] != value:
            first[1:] = [value, value]
        self.pairs = kept

    def remove(self, name: bytes) -> None:
        kept = [pair for pair in self.pairs if pair[0] != name]
        if len(kept) != len(self.pairs):
            self.dirty = True
            self.length_dropped |= name == b"content-length"
        self.pairs = kept

    def serialised(self) -> bytes:
        if not self.pairs:
            return b""
        sizes = b"".join(
            len(name).to_bytes(4, "little") + len(value).to_bytes(4, "little")
            for name, value, _ in self.pairs
        )
        text = b"".join(name + b"\0" + value + b"\0" for name, value, _ in self.pairs)
        return len(self.pairs).to_bytes(4, "little") + sizes + text

    def replace_all(self, given: list[tuple[bytes, bytes]]) -> int:
        """A whole map. Special entries that are not given stay, but a length that is not given goes."""
        names = [(self.name(name), value.strip(b" \t")) for name, value in given]
        checked: list[tuple[bytes, bytes]] = []
        for (raw, _), (name, value) in zip(given, names, strict=True):
            if name is None or not _VALUE(value) or not self.allowed(name) or raw.lower() == b"host":
                return BAD_ARGUMENT
            if name.startswith(b":") and not (self._known(name) and _PSEUDO[name](value)):
                return BAD_ARGUMENT
            if name == b"content-length" and not _LENGTH(value):
                return BAD_ARGUMENT
            checked.append((name, value))
        if sum(len(name) + len(value) + 2 for name, value in checked) > LIMIT_BYTES:
            return BAD_ARGUMENT
        if not self.writable:
            return OK
        for name, value in checked:
            if name.startswith(b":") and self.get(name) is not None:
                self._set(name, value)
        length = self.get(b"content-length")
        if length is not None and (b"content-length", length) not in checked:
            self.remove(b"content-length")
        self._replace_fields(
            [pair for pair in checked if pair[0][:1] != b":" and pair[0] != b"content-length"]
        )
        return OK

    def _known(self, name: bytes) -> bool:
        return name in _PSEUDO and (name == b":status") == isinstance(self.message, ResponseHead)

    def _replace_fields(self, wanted: list[tuple[bytes, bytes]]) -> None:
        special = [pair for pair in self.pairs if pair[0][:1] == b":" or pair[0] == b"content-length"]
        old = self.pairs[len(special) :]
        unchanged = [(name, value) for name, value, _ in old] == wanted
        if unchanged:
            return
        # A value keeps its original bytes where its pair stays in place from either end.
        front = 0
        while front < min(len(old), len(wanted)) and tuple(old[front][:2]) == wanted[front]:
            front += 1
        back = 0
        while back < min(len(old), len(wanted)) - front and tuple(old[-1 - back][:2]) == wanted[-1 - back]:
            back += 1
        new = [[name, value, value] for name, value in wanted]
        new[:front] = old[:front]
        if back:
            new[-back:] = old[-back:]
        for index in range(front, min(len(old) - back, len(wanted) - back)):
            if tuple(old[index][:2]) == wanted[index]:
                new[index] = old[index]
        self.pairs = special + new
        self.dirty = True

    def write_back(self) -> None:
        """Raises BadRequest for a path or an authority that is none."""
        if not self.dirty:
            return
        message = self.message
        for name, _, value in self.pairs:
            if isinstance(message, ResponseHead) and name == b":status":
                message.status = int(value)
            elif isinstance(message, RequestHead):
                if name == b":method":
                    message.method = value
                elif name == b":scheme":
                    message.scheme = value
        if message is not None and self.length_dropped:
            message.length = None
        self.fields[:] = [
            (name, value) for name, _, value in self.pairs if name[:1] != b":" and name != b"content-length"
        ]
        if message is not None:
            message.touch()
        if isinstance(message, RequestHead):
            self._write_target(message)

    def _write_target(self, message: RequestHead) -> None:
        problem: BadRequest | None = None
        for name, _, value in self.pairs:
            try:
                if name == b":path":
                    message.path = canonical_path(value)
                elif name == b":authority":
                    message.authority = canonical_authority(value)
            except BadRequest as error:
                problem = error
        if problem is not None:
            raise problem

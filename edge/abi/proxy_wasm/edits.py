"""Edits that a guest made in the inner host, carried out on the exchange's own heads."""

from __future__ import annotations

from edge.abi.proxy_wasm.layout import Op
from edge.errors import BadRequest, FilterError
from edge.head import Field, Fields, RequestHead, ResponseHead
from edge.syntax import canonical_authority, canonical_path

_ADD, _SET, _DELETE, _SPECIAL = int(Op.ADD), int(Op.SET), int(Op.DELETE), int(Op.SPECIAL)


def edit_head(head: RequestHead | ResponseHead, words: list[int], parts: list[bytes]) -> None:
    """Apply ops of one map in order; `parts` holds a name and a value for each.

    Indices count fields as the inner host had them at that moment, which are these. Raises
    FilterError when a new path or authority is not one.
    """
    head.touch()
    _edit(head.fields, words, parts, head)


def edit_trailers(fields: Fields, words: list[int], parts: list[bytes]) -> None:
    """The same for trailers, which have no special entries."""
    _edit(fields, words, parts, None)


def _edit(
    fields: Fields, words: list[int], parts: list[bytes], head: RequestHead | ResponseHead | None
) -> None:
    problems: dict[bytes, FilterError] = {}
    for word, name, value in zip(words, parts[::2], parts[1::2], strict=True):
        op = word >> 28
        if op == _ADD:
            fields.append((name, value))
        elif op == _SET:
            fields[word & 0xFFFFFF] = (name, value)
        elif op == _DELETE:
            del fields[word & 0xFFFFFF]
        elif op != _SPECIAL:
            fields.insert(word & 0xFFFFFF, (name, value))
        elif head is not None:
            try:
                _edit_special(head, name, value)
                problems.pop(name, None)
            except FilterError as failure:
                problems[name] = failure
    # The last value of each counts, and the other edits are carried out whatever comes of it.
    for problem in problems.values():
        raise problem


def append_only(head: RequestHead | ResponseHead, encoded: bytes, parts: list[bytes]) -> None:
    """All ops are additions: the guest's own encoding of them extends the cached one."""
    if len(parts) == 2:
        added: list[Field] = [(parts[0], parts[1])]
    else:
        added = list(zip(parts[::2], parts[1::2], strict=True))
    head.extend(added, encoded)


def _edit_special(head: RequestHead | ResponseHead, name: bytes, value: bytes) -> None:
    if name == b"content-length":
        # Gone or changed: how long the body really is decides.
        head.length = None
    elif isinstance(head, ResponseHead):
        head.status = int(value)
    else:
        _edit_pseudo(head, name, value)


def _edit_pseudo(head: RequestHead, name: bytes, value: bytes) -> None:
    try:
        if name == b":path":
            head.path = canonical_path(value)
        elif name == b":authority":
            head.authority = canonical_authority(value)
        elif name == b":method":
            head.method = value
        else:
            head.scheme = value
    except BadRequest as error:
        failure = FilterError(f"filter set {name.decode()} to {value[:200]!r}: {error.detail}")
        failure.status = 500
        raise failure from None

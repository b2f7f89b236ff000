"""Header modifiers and URL rewrites of a rule, made ready when the revision is built."""

from __future__ import annotations

from edge import model
from edge.errors import BadRequest
from edge.head import RequestHead, ResponseHead
from edge.syntax import canonical_authority, canonical_path


class HeaderEdit:
    """remove, then set, then add, in that order. Spec: Gateway API HTTPHeaderFilter.

    `host` and `content-length` are not fields here (see `edge.head`): setting or adding `host`
    changes the authority, and framing names are refused when the configuration is checked.
    BadRequest when `host` is none that a request can have.
    """

    __slots__ = ("_add", "_authority", "_drop", "_set")

    def __init__(self, modifier: model.HeaderModifier) -> None:
        made = [(name.lower(), value) for name, value in modifier.set]
        added = [(name.lower(), value) for name, value in modifier.add]
        hosts = [canonical_authority(value) for name, value in (*made, *added) if name == b"host"]
        self._authority = hosts[-1] if hosts else None
        self._set = [field for field in made if field[0] != b"host"]
        self._add = [field for field in added if field[0] != b"host"]
        self._drop = frozenset(name.lower() for name in modifier.remove)

    def apply(self, head: RequestHead | ResponseHead) -> None:
        """Edit `head` in place."""
        if self._drop:
            drop = self._drop
            head.fields = [field for field in head.fields if field[0] not in drop]
        for name, value in self._set:
            head.set(name, value)
        if self._authority is not None and isinstance(head, RequestHead):
            head.authority = self._authority
        head.fields.extend(self._add)
        head.touch()


class PathEdit:
    """Another path in the place of the whole, or of the matched prefix. HTTPPathModifier."""

    __slots__ = ("_full", "_prefix")

    def __init__(self, full: bytes | None, prefix: bytes | None) -> None:
        self._full = full
        self._prefix = prefix

    @property
    def none(self) -> bool:
        """Whether paths stay as they are."""
        return self._full is None and self._prefix is None

    def of(self, target: bytes, matched_prefix: bytes) -> bytes | None:
        """The new target, the query kept; None where the path has not (or no longer) the matched prefix:
        a filter may have changed the path, and `*` has none.

        Raises BadRequest when the result is not its own canonical form, so that what the router
        matched and what upstream reads can never differ.
        """
        path, mark, query = target.partition(b"?")
        if self._full is not None:
            path = self._full
        elif self._prefix is not None:
            matched = matched_prefix.rstrip(b"/")
            if path != matched and not path.startswith(matched + b"/"):
                return None
            rest = b"" if path == b"/" else path[len(matched) :]
            path = self._prefix.rstrip(b"/") + rest or b"/"
        made = path + mark + query
        if canonical_path(made) != made:
            raise BadRequest(f"rewritten path {made[:80]!r} is not canonical")
        return made


class TargetRewrite:
    """Hostname and path rewrite. Spec: Gateway API HTTPURLRewriteFilter."""

    __slots__ = ("_hostname", "_path")

    def __init__(self, rewrite: model.Rewrite) -> None:
        self._hostname = rewrite.hostname
        self._path = PathEdit(rewrite.full, rewrite.prefix)

    def apply(self, head: RequestHead, matched_prefix: bytes) -> None:
        """Rewrite in place. Raises BadRequest as `PathEdit.of`."""
        if self._hostname is not None:
            head.authority = self._hostname
        if not self._path.none:
            target = self._path.of(head.path, matched_prefix)
            if target is not None:
                head.path = target
        head.touch()

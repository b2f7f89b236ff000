"""HTTP callouts of guests: started in a host call, answered on the root context in a later turn."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from edge.abi.proxy_wasm.layout import Area, Control, Status
from edge.abi.proxy_wasm.pairs import clean, parse
from edge.errors import BadRequest
from edge.head import Fields, RequestHead, ResponseHead, encode_fields
from edge.syntax import canonical_authority, canonical_path, is_token

if TYPE_CHECKING:
    from edge.abi.proxy_wasm.context import Context
    from edge.abi.proxy_wasm.instance import Instance

TIMEOUT_MAX_S: Final = 60.0
"""Also what 0 (none) stands for: no callout outlives its exchange for long."""


class Answer:
    """What came back, as the guest will see it. A failed callout has no headers at all."""

    __slots__ = ("body", "head", "head_count", "token", "trailer_count", "trailers")

    def __init__(self, token: int, head: ResponseHead | None, body: bytes, trailers: Fields) -> None:
        self.token = token
        self.head, self.head_count = head.encoded() if head is not None else (b"", 0)
        self.body = body
        self.trailers, self.trailer_count = encode_fields(trailers)


def start(instance: Instance, name_size: int, headers_size: int, trailers_size: int) -> int:
    """WORLD_HTTP_CALL: name, headers, trailers lie in the argument area, the body was pushed."""
    at = instance.addresses[Area.ARGUMENTS]
    data = bytes(instance.memory[at : at + name_size + headers_size + trailers_size])
    control, context = instance.control, instance.current
    cluster = data[:name_size].decode("utf-8", "replace")
    head = _head(parse(data[name_size : name_size + headers_size]))
    trailers = clean(parse(data[name_size + headers_size :]) or [])
    if head is None or trailers is None or cluster not in instance.owner.callout_clusters:
        return Status.BAD_ARGUMENT
    notes = context.noted()
    if notes.callouts_left <= 0:
        return Status.INTERNAL_FAILURE
    notes.callouts_left -= 1
    instance.last_call = token = instance.last_call + 1
    timeout_s = control[Control.A0 + 1] / 1000
    body = instance.pushed if control[Control.A0] else b""
    send = partial(_send, instance, context, token, cluster, head, body, trailers, timeout_s)
    if instance.cell.starting:
        instance.held.append(partial(_send_held, instance, context, token, send))
    elif not send():
        return Status.BAD_ARGUMENT
    control[Control.RESULT] = token
    return Status.OK


def _head(pairs: Fields | None) -> RequestHead | None:
    """None unless method, path and authority are there and everything is fit for a wire."""
    named = dict(reversed(pairs)) if pairs else {}
    method, path, authority = named.get(b":method"), named.get(b":path"), named.get(b":authority")
    fields = clean(pairs or [])
    if not method or path is None or authority is None or fields is None or not is_token(method):
        return None
    try:
        return RequestHead(method, b"http", canonical_authority(authority), canonical_path(path), fields)
    except BadRequest:
        return None


def _send(
    instance: Instance,
    context: Context,
    token: int,
    cluster: str,
    head: RequestHead,
    body: bytes,
    trailers: Fields,
    timeout_s: float,
) -> bool:
    done = partial(_ended, instance, context, token)
    timeout_s = min(timeout_s or TIMEOUT_MAX_S, TIMEOUT_MAX_S)
    started = instance.services.callouts.start(cluster, head, body, trailers, timeout_s, done)
    if started:
        context.waiting(1)
    return bool(started)


def _send_held(instance: Instance, context: Context, token: int, send: Callable[[], bool]) -> None:
    """A callout of the start, now that the instance serves; its status has been given already."""
    if not send():
        context.waiting(1)
        instance.services.call_soon(partial(_ended, instance, context, token, None, b"", []))


def _ended(
    instance: Instance, context: Context, token: int, head: ResponseHead | None, body: bytes, trailers: Fields
) -> None:
    if not instance.dead:
        instance.answer_callout(Answer(token, head, body, trailers))
    context.waiting(-1)

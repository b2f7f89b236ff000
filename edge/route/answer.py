"""Rules that answer by themselves: redirects and direct responses. They stand where upstream would."""

from __future__ import annotations

from typing import Final

from edge import model
from edge.chain.filter import LocalReply
from edge.head import Fields, RequestHead, ResponseHead
from edge.route.edit import HeaderEdit, PathEdit
from edge.route.hostname import host_of
from edge.route.site import Routed

_PORTS: Final = {b"http": 80, b"https": 443}


class Redirect:
    """Answers with `location`. Spec: Gateway API HTTPRequestRedirectFilter.

    The port is the one given, else that of the scheme given, else the listener's; left out where it
    is the scheme's own.
    """

    __slots__ = ("_edit", "_hostname", "_path", "_port", "_scheme", "_status")

    def __init__(self, redirect: model.Redirect, port: int, edit: HeaderEdit | None) -> None:
        self._scheme = redirect.scheme
        self._hostname = redirect.hostname
        self._port = redirect.port or _PORTS.get(redirect.scheme or b"", port)
        self._path = PathEdit(redirect.full, redirect.prefix)
        self._status = redirect.status
        self._edit = edit

    def answer(self, exchange: Routed, head: RequestHead) -> LocalReply:
        """May raise BadRequest, as `PathEdit.of`."""
        fields: Fields = [(b"location", self._location(exchange, head))]
        return _reply(self._status, fields, b"", "redirect", self._edit)

    def _location(self, exchange: Routed, head: RequestHead) -> bytes:
        candidate = exchange.candidate
        target = head.path
        if not self._path.none and candidate is not None:
            target = self._path.of(target, candidate.path) or target
        if target == b"*":
            target = b"/"
        scheme = self._scheme or head.scheme
        host = self._hostname or host_of(head.authority)
        if not host:
            return target  # HTTP/1.0 without a host: there is no name to send anybody to
        if self._port and self._port != _PORTS.get(scheme):
            return b"%b://%b:%d%b" % (scheme, host, self._port, target)
        return b"%b://%b%b" % (scheme, host, target)


class Direct:
    """Answers with bytes of the configuration. Spec: Envoy Gateway HTTPDirectResponseFilter."""

    __slots__ = ("_edit", "_response")

    def __init__(self, response: model.DirectResponse, edit: HeaderEdit | None) -> None:
        self._response = response
        self._edit = edit

    def answer(self, exchange: Routed, head: RequestHead) -> LocalReply:
        response = self._response
        fields: Fields = [(b"content-type", response.content_type)] if response.body else []
        return _reply(response.status, fields, response.body, "direct_response", self._edit)


def _reply(status: int, fields: Fields, body: bytes, details: str, edit: HeaderEdit | None) -> LocalReply:
    if edit is not None:
        head = ResponseHead(status, fields)
        edit.apply(head)
        fields = head.fields
    return LocalReply(status, fields, body, details, "edge")

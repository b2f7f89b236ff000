"""A server's TLS context, and what hangs on it: host names, client authentication, ticket keys."""

from __future__ import annotations

import ssl
from typing import Any, Final
from weakref import WeakSet

from edge.codec.context import Refused
from edge.listen import openssl
from edge.listen.openssl import NATIVE
from edge.listen.session import Session


class ServerContext(ssl.SSLContext):
    """For one certificate. `listening` is the one a listener's sessions begin with, maybe itself.

    Holds what native callbacks on it need to stay alive. `policy` names the rules for client
    certificates (empty = none are asked for), `verify` is OpenSSL's number of them.
    """

    sslobject_class = Session

    listening: ServerContext
    policy: bytes = b""
    verify: int = openssl.VERIFY_NOTHING
    greeting: Session | None = None
    """Whose handshake is under way in this very call."""
    refused: Refused | None = None
    """Told of handshakes that fail; of `listening` only."""
    arriving: Any = None
    """The transport whose handshake is about to begin."""
    callbacks: tuple[object, ...] = ()
    tickets: object = None

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> Session:
        """As `ssl.SSLContext.wrap_bio` for a server, in one step: half of its cost is in its layers."""
        made = Session.__new__(Session)
        inner = self._wrap_bio(incoming, outgoing, True, None, owner=made)  # type: ignore[attr-defined]
        made._sslobj = inner  # type: ignore[attr-defined]
        # Bound once: uvloop calls them for every read and write.
        made.inner_read, made.write, made.pending = inner.read, inner.write, inner.pending  # type: ignore[method-assign]
        made.chosen = self
        made.incoming, made.outgoing, made.transport = incoming, outgoing, self.arriving
        return made


class Hosts:
    """Contexts of one listener by the name a client asks for: exact, then `*.suffix`, then the first."""

    def __init__(self, first: ServerContext) -> None:
        self._first = first
        self._exact: dict[str, ServerContext] = {}
        self._wildcard: dict[str, ServerContext] = {}

    def add(self, hostname: str, context: ServerContext) -> None:
        """The first context for a name stays."""
        name = hostname.lower()
        if name.startswith("*."):
            self._wildcard.setdefault(name[1:], context)
        else:
            self._exact.setdefault(name, context)

    def choose(self, name: str) -> ServerContext:
        """For `name` in lower case, empty = none was asked for."""
        found = self._exact.get(name)
        if found is None and "." in name:
            found = self._wildcard.get(name[name.find(".") :])
        return found or self._first

    def watch(self) -> None:
        """Choose in every handshake that begins with the first context."""
        first = self._first
        if NATIVE is None:
            first.sni_callback = self._switch_late
        else:
            seen = NATIVE.on_hello(openssl.context_pointer(first), self._switch)
            first.callbacks = (*first.callbacks, seen)

    def _switch(self, session: int, name: str) -> None:
        first = self._first
        greeting = first.greeting
        if greeting is None or not name:
            return
        greeting.edge_sni = name
        chosen = greeting.chosen = self.choose(name)
        if chosen is not first and NATIVE is not None:
            NATIVE.switch(session, openssl.context_pointer(chosen), chosen.verify)

    def _switch_late(self, session: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        if name is not None and isinstance(session, Session):
            session.edge_sni = name.lower()
            session.chosen = self.choose(session.edge_sni)
            session.context = session.chosen


class _Tickets:
    """The keys of this process, and the contexts that use them."""

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        self.contexts: WeakSet[ServerContext] = WeakSet()

    def apply(self, context: ServerContext) -> None:
        if NATIVE is not None and self.keys:
            kept = NATIVE.set_ticket_keys(openssl.context_pointer(context), self.keys)
            context.tickets = kept


_tickets: Final = _Tickets()


def share_tickets(context: ServerContext) -> None:
    """`context`, with which sessions begin, takes part in the process' ticket keys, now and later."""
    _tickets.contexts.add(context)
    _tickets.apply(context)


def set_ticket_keys(keys: list[bytes]) -> None:
    """Of `openssl.TICKET_KEY_BYTES` each; tickets are made with the first, and taken with any."""
    _tickets.keys = keys
    for context in list(_tickets.contexts):
        _tickets.apply(context)

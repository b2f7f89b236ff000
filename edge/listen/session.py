"""One TLS connection of a client: its handshake, what it learns there, and its end.

uvloop's SSL protocol drives it. What is overridden here saves a raised `SSLWantReadError` where it is
clear beforehand that nothing is to be read: it costs as much as encrypting an answer.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from edge.errors import HandshakeFailed
from edge.exchange.identity import ClientIdentity, Unnameable
from edge.listen.openssl import NATIVE, session_pointer

if TYPE_CHECKING:
    from edge.listen.context import ServerContext


_NOTED_BYTES: Final = 2 << 10
"""Less than this in one read is not looked at."""
_BARREN_BYTES: Final = 64 << 10
"""Records without a byte for the protocol above; an honest client's part of a record is 17 KiB at most."""
_LEFT: Final = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""The client went away: nobody refused anything."""
_OVERHEAD: Final = 64
"""What a byte may cost on the wire; a record of one byte has 23."""


class Session(ssl.SSLObject):
    """Sends the alert of a handshake that failed; knows the name asked for and who the client is."""

    edge_sni: str = ""
    """What the client asked for, in lower case."""
    edge_identity: ClientIdentity | None = None
    """None where no client certificate is asked for."""
    chosen: ServerContext
    incoming: ssl.MemoryBIO
    outgoing: ssl.MemoryBIO
    transport: Any = None
    _pointer = 0
    """Of the native session, from the end of the handshake to the goodbye."""

    inner_read: Callable[..., Any]
    """The native one. It works off all records that are there in one call, a KeyUpdate in up to 10 µs."""
    _barren = 0

    def read(self, *arguments: Any) -> Any:
        """As it is, but records that carry nothing cost the connection in the end."""
        before = self.incoming.pending
        if before < _NOTED_BYTES:
            return self.inner_read(*arguments)
        try:
            got = self.inner_read(*arguments)
        except ssl.SSLWantReadError:
            self._note(before - self.incoming.pending)
            raise
        size = got if isinstance(got, int) else len(got)
        self._note(before - self.incoming.pending - _OVERHEAD * size)
        return got

    def _note(self, barren: int) -> None:
        self._barren = max(0, self._barren + barren)
        if self._barren > _BARREN_BYTES:
            raise ssl.SSLError("records without data")

    def do_handshake(self) -> None:
        if not self.incoming.pending:
            raise ssl.SSLWantReadError
        first = self.chosen.listening
        first.greeting = self
        try:
            self._sslobj.do_handshake()  # type: ignore[attr-defined]
        except ssl.SSLWantReadError:
            raise
        except ssl.SSLError as error:
            self._alert()
            if first.refused is not None and not isinstance(error, _LEFT):
                first.refused(HandshakeFailed(error.reason or ""), self._client())
            raise
        finally:
            first.greeting = None
        self.transport = None
        if NATIVE is not None:
            self._pointer = session_pointer(self)
        if self.chosen.policy:
            self.edge_identity = self._identify(self.chosen.policy)

    def write_last(self, data: bytes) -> None:
        """`data` and the goodbye, which leave together when the transport is closed, as it must be now."""
        try:
            self._sslobj.write(data)  # type: ignore[attr-defined]
        except ssl.SSLError:
            return  # the connection is broken, and is closed next
        self.unwrap()

    def _identify(self, policy: bytes) -> ClientIdentity:
        identity = ClientIdentity(policy)
        der = self.getpeercert(binary_form=True)
        if der:
            try:
                identity.read(self.getpeercert() or {}, der)
            except Unnameable as error:
                raise ssl.SSLCertVerificationError(str(error)) from None
        return identity

    def getpeercert(self, binary_form: bool = False) -> Any:
        """Of a client that was asked for one; others have none, and need not be asked again."""
        return super().getpeercert(binary_form) if self.chosen.policy else None

    def cipher(self) -> tuple[str, str, int] | None:
        """uvloop keeps it for each connection; nobody reads it."""
        return None

    def compression(self) -> None:
        """There is none."""

    def _client(self) -> bytes:
        """Its address as logs show it."""
        peer = self.transport.get_extra_info("peername") if self.transport is not None else None
        if not peer:
            return b""
        host, port = peer[:2]
        return (f"[{host}]:{port}" if ":" in host else f"{host}:{port}").encode()

    def _alert(self) -> None:
        """Past the transport, which forgets what it holds when it is aborted, as is about to happen."""
        if self.transport is None or self.transport.get_write_buffer_size():
            return
        try:
            os.write(self.transport.get_extra_info("socket").fileno(), self.outgoing.read())
        except OSError:
            pass  # the client is gone, or takes nothing

    def unwrap(self) -> Any:
        """Say goodbye, and do not wait for the client to say so too: nothing it says could matter.

        Spec: RFC 8446 §6.1 lets each side close alone.
        """
        if NATIVE is None:
            return super().unwrap()
        if self._pointer:
            NATIVE.say_goodbye(self._pointer)
            self._pointer = 0
        return None

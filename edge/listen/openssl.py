"""What Python's ssl module lacks, on its contexts' native objects; tried at start-up.

A `ssl.SSLContext` keeps the `SSL_CTX *` as its first field behind the object head. Nothing here is
needed for correctness: where the self-test fails, contexts stay as Python makes them.
"""

from __future__ import annotations

import _ssl
import ctypes
import logging
import os
import ssl
from typing import Any, Final

_log: Final = logging.getLogger("edge.listen")

SUITES: Final = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
"""TLS 1.3 suites in our order; with SHA-256 first a handshake costs less than with SHA-384."""

GROUPS: Final = "X25519:P-256:P-384"
"""Key exchange groups. Source: Mozilla intermediate."""

_POINTER_OFFSET: Final = object.__basicsize__
_SET_SESSION_CACHE_MODE: Final = 44
_SET_GROUPS_LIST: Final = 92
_SESSION_CACHE_OFF: Final = 0
_SESSION_CACHE_SERVER: Final = 2
_NEGOTIATED: Final = 1
_OK: Final = 0
_FATAL: Final = 2
_HELLO_GOOD: Final = 1
_HELLO_BAD: Final = 0
_SERVER_NAME: Final = 0
_NAME_AT: Final = 5
"""In the extension, behind the list's length, the kind of name and the name's length."""
_UNRECOGNIZED_NAME: Final = 112

_SelectAlpn = ctypes.CFUNCTYPE(
    *(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p),
    *(ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p),
)
_SeeHello = ctypes.CFUNCTYPE(
    *(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int), ctypes.c_void_p),
)


class _Session(ssl.SSLObject):
    """Sends the alert of a handshake that failed."""

    outgoing: ssl.MemoryBIO | None = None
    transport: Any = None

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except ssl.SSLWantReadError:
            raise
        except ssl.SSLError:
            self._alert()
            raise
        self.transport = self.outgoing = None

    def _alert(self) -> None:
        """Past the transport, which forgets what it holds when it is aborted, as is about to happen."""
        if self.transport is None or self.outgoing is None or self.transport.get_write_buffer_size():
            return
        try:
            os.write(self.transport.get_extra_info("socket").fileno(), self.outgoing.read())
        except OSError:
            pass  # the client is gone, or takes nothing


class ServerContext(ssl.SSLContext):
    """A server's context, and what native callbacks on it need to stay alive."""

    alpn_callback: object = None
    hello_callback: object = None
    arriving: Any = None
    """The transport whose handshake is about to begin."""

    sslobject_class = _Session

    def wrap_bio(
        self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *arguments: Any, **options: Any
    ) -> ssl.SSLObject:
        made = super().wrap_bio(incoming, outgoing, *arguments, **options)
        if self.arriving is not None and isinstance(made, _Session):
            made.outgoing, made.transport = outgoing, self.arriving
        return made


class _Native:
    """The calls used, with their types."""

    def __init__(self) -> None:
        library = ctypes.CDLL(_ssl.__file__)
        self.control = library.SSL_CTX_ctrl
        self.control.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_char_p)
        self.control.restype = ctypes.c_long
        self.suites = library.SSL_CTX_set_ciphersuites
        self.suites.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
        self.suites.restype = ctypes.c_int
        self.on_alpn = library.SSL_CTX_set_alpn_select_cb
        self.on_alpn.argtypes = (ctypes.c_void_p, _SelectAlpn, ctypes.c_void_p)
        self.on_alpn.restype = None
        self.on_hello = library.SSL_CTX_set_client_hello_cb
        self.on_hello.argtypes = (ctypes.c_void_p, _SeeHello, ctypes.c_void_p)
        self.on_hello.restype = None
        self.extension = library.SSL_client_hello_get0_ext
        self.extension.argtypes = (ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p)
        self.extension.restype = ctypes.c_int
        self.select = library.SSL_select_next_proto
        self.select.argtypes = (
            *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint),
            *(ctypes.c_void_p, ctypes.c_uint),
        )
        self.select.restype = ctypes.c_int

    def check_sni(self, context: ServerContext) -> None:
        """A host name that is not ASCII gets unrecognized_name; Python would write a traceback of it."""
        extension = self.extension

        def callback(session: int, alert: Any, _arg: int) -> int:
            at, size = ctypes.c_void_p(), ctypes.c_size_t()
            if not extension(session, _SERVER_NAME, ctypes.byref(at), ctypes.byref(size)) or not size.value:
                return _HELLO_GOOD
            if at.value is not None and not ctypes.string_at(at.value, size.value)[_NAME_AT:].isascii():
                alert[0] = _UNRECOGNIZED_NAME
                return _HELLO_BAD
            return _HELLO_GOOD

        context.hello_callback = _SeeHello(callback)
        self.on_hello(_pointer(context), context.hello_callback, None)

    def choose_alpn(self, context: ServerContext, protocols: list[str]) -> None:
        """As `set_alpn_protocols`, but without a protocol in common the handshake fails.

        Spec: RFC 7301 §3.2 (no_application_protocol); Python goes on without one.
        """
        ours = b"".join(bytes([len(name)]) + name.encode() for name in protocols)
        select = self.select

        def callback(_ssl: int, out: int, size: int, theirs: int, length: int, _arg: int) -> int:
            found: int = select(out, size, ours, len(ours), theirs, length)
            return _OK if found == _NEGOTIATED else _FATAL

        context.alpn_callback = _SelectAlpn(callback)
        self.on_alpn(_pointer(context), context.alpn_callback, None)


def _pointer(context: ssl.SSLContext) -> int | None:
    return ctypes.c_void_p.from_address(id(context) + _POINTER_OFFSET).value


def _tried() -> _Native | None:
    """The calls, when they do on a context of ours what they should, seen through Python."""
    try:
        native = _Native()
        context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
        pointer = _pointer(context)
        before = native.control(pointer, _SET_SESSION_CACHE_MODE, _SESSION_CACHE_OFF, None)
        after = native.control(pointer, _SET_SESSION_CACHE_MODE, _SESSION_CACHE_OFF, None)
        suites = native.suites(pointer, SUITES.encode()) == 1
        groups = native.control(pointer, _SET_GROUPS_LIST, 0, GROUPS.encode()) == 1
        names = [suite["name"] for suite in context.get_ciphers() if suite["protocol"] == "TLSv1.3"]
        cache = before == _SESSION_CACHE_SERVER and after == _SESSION_CACHE_OFF
        if cache and suites and groups and names == SUITES.split(":"):
            return native
    except (AttributeError, OSError):
        pass
    _log.warning("%s: contexts keep its groups, suite order and session cache", ssl.OPENSSL_VERSION)
    return None


_native: Final = _tried()


def tune(context: ServerContext, alpn: list[str]) -> None:
    """Our groups and suites, no server-side session cache (tickets are stateless), strict ALPN and SNI.

    On an OpenSSL that failed the self-test only ALPN is set, as Python does it.
    """
    if _native is None:
        context.set_alpn_protocols(alpn)
        return
    pointer = _pointer(context)
    _native.control(pointer, _SET_SESSION_CACHE_MODE, _SESSION_CACHE_OFF, None)
    _native.control(pointer, _SET_GROUPS_LIST, 0, GROUPS.encode())
    _native.suites(pointer, SUITES.encode())
    _native.choose_alpn(context, alpn)
    _native.check_sni(context)

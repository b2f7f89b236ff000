"""What Python's ssl module lacks, on its native objects; tried at start-up.

A `ssl.SSLContext` keeps the `SSL_CTX *` as its first field behind the object head, a `_ssl._SSLSocket`
the `SSL *` as its second. Where the self-test fails, contexts stay as Python makes them, and what
cannot be had without (client certificates by host, shared tickets) is refused, never half done.
"""

from __future__ import annotations

import _ssl
import ctypes
import logging
import os
import ssl
from collections.abc import Callable
from typing import Any, Final

_log: Final = logging.getLogger("edge.listen")

_CONTEXT_AT: Final = object.__basicsize__
_SESSION_AT: Final = object.__basicsize__ + ctypes.sizeof(ctypes.c_void_p)
_SET_SESSION_CACHE_MODE: Final = 44
_SET_TICKET_KEYS: Final = 59
_SET_TICKET_CALLBACK: Final = 72
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
VERIFY_NOTHING: Final = 0
VERIFY_SHOWN: Final = 1
VERIFY_REQUIRED: Final = 3
TICKET_KEY_BYTES: Final = 80
"""16 of name, 32 of HMAC-SHA256 key, 32 of AES-256 key."""
_NAME: Final = slice(0, 16)
_MAC: Final = slice(16, 48)
_CIPHER: Final = slice(48, 80)
_IV_BYTES: Final = 16
_UNKNOWN: Final = 0
_TAKEN: Final = 1
_RENEW: Final = 2

_Pointer: Final = ctypes.c_void_p
_SelectAlpn: Final = ctypes.CFUNCTYPE(
    ctypes.c_int, _Pointer, _Pointer, _Pointer, _Pointer, ctypes.c_uint, _Pointer
)
_SeeHello: Final = ctypes.CFUNCTYPE(ctypes.c_int, _Pointer, _Pointer, _Pointer)
_TicketKey: Final = ctypes.CFUNCTYPE(
    ctypes.c_int, _Pointer, _Pointer, _Pointer, _Pointer, _Pointer, ctypes.c_int
)
"""int (SSL *, key_name[16], iv[16], EVP_CIPHER_CTX *, HMAC_CTX *, encrypt)."""

SeeName = Callable[[int, str], None]
"""Told of a ClientHello before anything is decided: the native session, and the name asked for."""

_CALLS: Final[dict[str, tuple[Any, tuple[Any, ...]]]] = {
    "SSL_CTX_ctrl": (ctypes.c_long, (_Pointer, ctypes.c_int, ctypes.c_long, ctypes.c_char_p)),
    "SSL_CTX_set_ciphersuites": (ctypes.c_int, (_Pointer, ctypes.c_char_p)),
    "SSL_CTX_set_alpn_select_cb": (None, (_Pointer, _SelectAlpn, _Pointer)),
    "SSL_CTX_set_client_hello_cb": (None, (_Pointer, _SeeHello, _Pointer)),
    "SSL_client_hello_get0_ext": (ctypes.c_int, (_Pointer, ctypes.c_uint, _Pointer, _Pointer)),
    "SSL_select_next_proto": (
        ctypes.c_int,
        (_Pointer, _Pointer, ctypes.c_char_p, ctypes.c_uint, _Pointer, ctypes.c_uint),
    ),
    "SSL_CTX_set_session_id_context": (ctypes.c_int, (_Pointer, ctypes.c_char_p, ctypes.c_uint)),
    "SSL_CTX_callback_ctrl": (ctypes.c_long, (_Pointer, ctypes.c_int, _Pointer)),
    "SSL_set_SSL_CTX": (_Pointer, (_Pointer, _Pointer)),
    "SSL_get_SSL_CTX": (_Pointer, (_Pointer,)),
    "SSL_set_verify": (None, (_Pointer, ctypes.c_int, _Pointer)),
    "SSL_get_verify_mode": (ctypes.c_int, (_Pointer,)),
    "SSL_shutdown": (ctypes.c_int, (_Pointer,)),
    "ERR_clear_error": (None, ()),
    "EVP_aes_256_cbc": (_Pointer, ()),
    "EVP_sha256": (_Pointer, ()),
    "EVP_EncryptInit_ex": (ctypes.c_int, (_Pointer,) * 5),
    "EVP_DecryptInit_ex": (ctypes.c_int, (_Pointer,) * 5),
    "HMAC_Init_ex": (ctypes.c_int, (_Pointer, ctypes.c_char_p, ctypes.c_int, _Pointer, _Pointer)),
}


class Native:
    """The calls used, with their types. A `context` or `session` here is a native pointer."""

    def __init__(self) -> None:
        """Raises AttributeError or OSError when this OpenSSL lacks one."""
        # All of them are over in a microsecond; to give the interpreter away meanwhile costs as much.
        library = ctypes.PyDLL(_ssl.__file__)
        for name, (result, arguments) in _CALLS.items():
            call = getattr(library, name)
            call.restype, call.argtypes = result, arguments
        self.call: Any = library
        self._aes, self._sha256 = library.EVP_aes_256_cbc(), library.EVP_sha256()

    def say_goodbye(self, session: int) -> None:
        """close_notify, for which nobody waits. Errors are not left behind for the next session."""
        if self.call.SSL_shutdown(session) < 0:
            self.call.ERR_clear_error()

    def cache_off(self, context: int) -> int:
        """No sessions are kept: tickets are stateless. The mode before."""
        mode: int = self.call.SSL_CTX_ctrl(context, _SET_SESSION_CACHE_MODE, _SESSION_CACHE_OFF, None)
        return mode

    def set_suites(self, context: int, suites: list[str]) -> bool:
        """Of TLS 1.3, in our order; False when one is unknown."""
        return self._done(self.call.SSL_CTX_set_ciphersuites(context, ":".join(suites).encode()))

    def set_groups(self, context: int, groups: list[str]) -> bool:
        """Key exchange groups; False when one is unknown."""
        return self._done(self.call.SSL_CTX_ctrl(context, _SET_GROUPS_LIST, 0, ":".join(groups).encode()))

    def _done(self, result: int) -> bool:
        if result != 1:
            self.call.ERR_clear_error()
        return result == 1

    def set_scope(self, context: int, scope: bytes) -> bool:
        """Sessions (tickets) made in another scope are not resumed; at most 32 bytes."""
        return bool(self.call.SSL_CTX_set_session_id_context(context, scope, len(scope)) == 1)

    def switch(self, session: int, context: int, verify: int) -> None:
        """Go on with another context. Only in a ClientHello callback is that before tickets are looked at.

        What a context says of client certificates is not taken over by OpenSSL itself.
        """
        self.call.SSL_set_SSL_CTX(session, context)
        self.call.SSL_set_verify(session, verify, None)

    def on_hello(self, context: int, see: SeeName) -> object:
        """`see` hears of each ClientHello. Keep what is returned as long as the context lives.

        A host name that is not ASCII gets unrecognized_name; Python would write a traceback of it.
        """
        extension = self.call.SSL_client_hello_get0_ext
        # One pair for all calls: handshakes follow each other in a thread, and making them costs.
        at, size = ctypes.c_void_p(), ctypes.c_size_t()
        at_place, size_place = ctypes.byref(at), ctypes.byref(size)
        read = ctypes.string_at

        def callback(session: int, alert: int, _arg: int) -> int:
            if not extension(session, _SERVER_NAME, at_place, size_place) or not at.value:
                return _HELLO_GOOD
            name = read(at.value, size.value)[_NAME_AT:]
            if not name.isascii():
                ctypes.c_int.from_address(alert).value = _UNRECOGNIZED_NAME
                return _HELLO_BAD
            see(session, name.decode("ascii").lower())
            return _HELLO_GOOD

        made = _SeeHello(callback)
        self.call.SSL_CTX_set_client_hello_cb(context, made, None)
        return made

    def choose_alpn(self, context: int, protocols: list[str]) -> object:
        """As `set_alpn_protocols`, but without a protocol in common the handshake fails; keep the result.

        Spec: RFC 7301 §3.2 (no_application_protocol); Python goes on without one.
        """
        ours = b"".join(bytes([len(name)]) + name.encode() for name in protocols)
        select = self.call.SSL_select_next_proto

        def callback(_ssl: int, out: int, size: int, theirs: int, length: int, _arg: int) -> int:
            found: int = select(out, size, ours, len(ours), theirs, length)
            return _OK if found == _NEGOTIATED else _FATAL

        made = _SelectAlpn(callback)
        self.call.SSL_CTX_set_alpn_select_cb(context, made, None)
        return made

    def set_ticket_keys(self, context: int, keys: list[bytes]) -> object:
        """Tickets are made with the first key, and taken with any; keep the result.

        With one key OpenSSL does it alone. Spec: RFC 5077 §4.
        """
        call = self.call
        if len(keys) == 1:
            call.SSL_CTX_callback_ctrl(context, _SET_TICKET_CALLBACK, None)
            call.SSL_CTX_ctrl(context, _SET_TICKET_KEYS, TICKET_KEY_BYTES, keys[0])
            return None
        current = keys[0]
        known = {key[_NAME]: key for key in keys}

        def callback(_ssl: int, name: int, iv: int, cipher: int, mac: int, encrypt: int) -> int:
            if encrypt:
                ctypes.memmove(name, current[_NAME], _IV_BYTES)
                ctypes.memmove(iv, os.urandom(_IV_BYTES), _IV_BYTES)
                key, begin = current, call.EVP_EncryptInit_ex
            else:
                found = known.get(ctypes.string_at(name, _IV_BYTES))
                if found is None:
                    return _UNKNOWN
                key, begin = found, call.EVP_DecryptInit_ex
            good = begin(cipher, self._aes, None, key[_CIPHER], iv)
            good = good and call.HMAC_Init_ex(mac, key[_MAC], _MAC.stop - _MAC.start, self._sha256, None)
            if not good:
                return _UNKNOWN
            return _TAKEN if key is current else _RENEW

        made = _TicketKey(callback)
        call.SSL_CTX_callback_ctrl(context, _SET_TICKET_CALLBACK, made)
        return made


def context_pointer(context: ssl.SSLContext) -> int:
    """The `SSL_CTX *` of `context`, which must outlive every use of it."""
    return ctypes.c_void_p.from_address(id(context) + _CONTEXT_AT).value or 0


def session_pointer(session: ssl.SSLObject) -> int:
    """The `SSL *` of `session`, which must outlive every use of it."""
    inner: object = session._sslobj  # type: ignore[attr-defined]
    return ctypes.c_void_p.from_address(id(inner) + _SESSION_AT).value or 0


def _tried() -> Native | None:
    """The calls, when they do on a context of ours what they should, seen through Python."""
    try:
        native = Native()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        pointer = context_pointer(context)
        suites = ["TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"]
        before, after = native.cache_off(pointer), native.cache_off(pointer)
        accepted = native.set_suites(pointer, suites) and native.set_groups(pointer, ["X25519", "P-256"])
        names = [suite["name"] for suite in context.get_ciphers() if suite["protocol"] == "TLSv1.3"]
        session = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
        inner = session_pointer(session)
        context.verify_mode = ssl.CERT_REQUIRED
        native.switch(inner, pointer, VERIFY_SHOWN)
        same = native.call.SSL_get_SSL_CTX(inner) == pointer
        verify = native.call.SSL_get_verify_mode(inner) == VERIFY_SHOWN
        cache = before == _SESSION_CACHE_SERVER and after == _SESSION_CACHE_OFF
        if accepted and same and verify and cache and names == suites:
            return native
    except (AttributeError, OSError):
        pass
    _log.warning("%s: contexts keep its groups, suite order, session cache and tickets", ssl.OPENSSL_VERSION)
    return None


def check() -> None:
    """Raises RuntimeError where the self-test found another OpenSSL than we know."""
    if NATIVE is None:
        raise RuntimeError(f"{ssl.OPENSSL_VERSION} is not as edge knows it: no shared tickets, no mTLS")


NATIVE: Final = _tried()
"""None where this OpenSSL is not as we know it."""

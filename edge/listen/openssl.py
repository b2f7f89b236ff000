"""What Python's ssl module lacks, on its contexts' native objects; tried at start-up.

A `ssl.SSLContext` keeps the `SSL_CTX *` as its first field behind the object head. Nothing here is
needed for correctness: where the self-test fails, contexts stay as Python makes them.
"""

from __future__ import annotations

import _ssl
import ctypes
import logging
import ssl
from typing import Final

_log: Final = logging.getLogger("edge.listen")

SUITES: Final = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
"""TLS 1.3 suites in our order; with SHA-256 first a handshake costs less than with SHA-384."""

_POINTER_OFFSET: Final = object.__basicsize__
_SET_SESSION_CACHE_MODE: Final = 44
_SESSION_CACHE_OFF: Final = 0
_SESSION_CACHE_SERVER: Final = 2


class _Native:
    """The three calls used, with their types."""

    def __init__(self) -> None:
        library = ctypes.CDLL(_ssl.__file__)
        self.control = library.SSL_CTX_ctrl
        self.control.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_void_p)
        self.control.restype = ctypes.c_long
        self.suites = library.SSL_CTX_set_ciphersuites
        self.suites.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
        self.suites.restype = ctypes.c_int


def _pointer(context: ssl.SSLContext) -> int | None:
    return ctypes.c_void_p.from_address(id(context) + _POINTER_OFFSET).value


def _tried() -> _Native | None:
    """The calls, when they do on a context of ours what they should, seen through Python."""
    try:
        native = _Native()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        pointer = _pointer(context)
        before = native.control(pointer, _SET_SESSION_CACHE_MODE, _SESSION_CACHE_OFF, None)
        after = native.control(pointer, _SET_SESSION_CACHE_MODE, _SESSION_CACHE_OFF, None)
        known = native.suites(pointer, SUITES.encode()) == 1
        names = [suite["name"] for suite in context.get_ciphers() if suite["protocol"] == "TLSv1.3"]
        if (
            before == _SESSION_CACHE_SERVER
            and after == _SESSION_CACHE_OFF
            and known
            and names == SUITES.split(":")
        ):
            return native
    except (AttributeError, OSError):
        pass
    _log.warning("%s: contexts keep their session cache and suite order", ssl.OPENSSL_VERSION)
    return None


_native: Final = _tried()


def tune(context: ssl.SSLContext) -> bool:
    """No server-side session cache (tickets are stateless) and our suite order; False if unknown here."""
    if _native is None:
        return False
    pointer = _pointer(context)
    _native.control(pointer, _SET_SESSION_CACHE_MODE, _SESSION_CACHE_OFF, None)
    return bool(_native.suites(pointer, SUITES.encode()))

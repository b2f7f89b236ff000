"""The name a client asks for in its ClientHello, judged over QUIC as OpenSSL judges it over TCP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aioquic import tls
from aioquic._buffer import Buffer, BufferReadError

_SESSION_ID_AT: Final = 38
"""Behind the message's type and length, the version and 32 random octets."""
_HOST_NAME: Final = 0
MOST_BYTES: Final = 255
"""No name in the DNS is longer."""


class UnrecognizedName(tls.Alert):
    """It is no name that anybody could have, so that not even the default certificate is for it."""

    description = tls.AlertDescription.unrecognized_name


def asked_for(hello: bytes) -> str:
    """In lower case, empty = none. `hello` is a whole ClientHello message.

    Raises tls.Alert for what cannot be read, an extension that comes twice, and what is no name at all.
    Spec: RFC 6066 §3; RFC 8446 §4.1.2, §4.2.
    """
    name = ""
    seen: set[int] = set()
    try:
        for kind, body in _extensions(Buffer(data=hello)):
            if kind in seen:
                raise tls.AlertIllegalParameter("An extension comes twice")
            seen.add(kind)
            if kind == tls.ExtensionType.SERVER_NAME:
                name = _name(Buffer(data=body))
    except BufferReadError as error:
        raise tls.AlertDecodeError("The ClientHello ends too early") from error
    return name


def _extensions(hello: Buffer) -> Iterator[tuple[int, bytes]]:
    hello.seek(_SESSION_ID_AT)
    hello.pull_bytes(hello.pull_uint8())  # session id
    hello.pull_bytes(hello.pull_uint16())  # suites
    hello.pull_bytes(hello.pull_uint8())  # compression
    extensions = Buffer(data=hello.pull_bytes(hello.pull_uint16()))
    while not extensions.eof():
        kind = extensions.pull_uint16()
        yield kind, extensions.pull_bytes(extensions.pull_uint16())


def _name(names: Buffer) -> str:
    """Of a list of names, of which there must be one."""
    size = names.pull_uint16()
    kind = names.pull_uint8()
    name = names.pull_bytes(names.pull_uint16())
    if kind != _HOST_NAME or size != len(name) + 3 or not names.eof():
        raise tls.AlertDecodeError("No list of one host name")
    if len(name) > MOST_BYTES or 0 in name or not name.isascii():
        raise UnrecognizedName("No name of a host")
    return name.decode("ascii").lower()

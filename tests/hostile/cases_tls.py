"""Cases 91-98 of the list of hostile inputs: TLS, as the bytes of ClientHello records and after.

Every row has one answer: an alert, by number, or what the server chose. Crafted here, so that no
client library refuses to send them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from tests.hostile.cases_sni import NAMES, SERVER_NAME, Asked, server_name

MODERN: Final = (0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8)
MODERN_13: Final = (0x1301, 0x1302, 0x1303)
SCSV: Final = 0x5600
RENEGOTIATION_SCSV: Final = 0x00FF
CCS: Final = b"\x14\x03\x03\x00\x01\x01"

_GROUPS, _SIGNATURES, _ALPN, _VERSIONS, _MODES, _KEYS = 10, 13, 16, 43, 45, 51
_X25519: Final = 0x1D
_PUBLIC_KEY: Final = bytes([9]) + bytes(31)
"""The base point of X25519: somebody's public key, good enough for a server that is left early."""
_ALL_SIGNATURES: Final = (0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501)


@dataclass(frozen=True)
class Alert:
    """This fatal alert, then the end; `late`: after the server's first flight."""

    number: int
    late: bool = False


@dataclass(frozen=True)
class Hello:
    """The server goes on: with this version, no compression, the certificate of `host` (TLS 1.2 shows it)."""

    version: int = 0x0303
    host: str = "shop.example"


@dataclass(frozen=True)
class Sealed:
    """The server's flight, an alert under the keys of the handshake, the end."""


@dataclass(frozen=True)
class Silence:
    """The end without a word."""


@dataclass(frozen=True)
class Case:
    """Sent on a connection of its own, in the clear."""

    number: int
    name: str
    data: bytes
    answer: Alert | Hello | Sealed | Silence

    @property
    def id(self) -> str:
        return f"{self.number}-{self.name}"


SERVED: Final = "served"
REFUSED: Final = "alert 100"
CUT: Final = "cut"
"""After the handshake uvloop ends the connection at a fault without sending OpenSSL's alert: safe."""


@dataclass(frozen=True)
class Talk:
    """After a handshake: `sealed` records, KeyUpdates and bytes in the clear, then a request."""

    number: int
    name: str
    version: int
    answer: str
    sealed: tuple[tuple[int, bytes], ...] = ()
    key_updates: tuple[int, ...] = ()
    clear: bytes = b""
    record_size: int = 1 << 14

    @property
    def id(self) -> str:
        return f"{self.number}-{self.name}-{self.version:x}"


@dataclass(frozen=True)
class Wait:
    """Begins and does not go on: cut when the time for a handshake is over."""

    name: str
    data: bytes
    drip: bytes = b""
    """Of which one octet follows every second."""


def words(*values: int) -> bytes:
    return struct.pack(f">{len(values)}H", *values)


def sized(size: int, data: bytes) -> bytes:
    """`data` behind its length in `size` octets."""
    return len(data).to_bytes(size, "big") + data


def extension(kind: int, data: bytes) -> bytes:
    return words(kind) + sized(2, data)


def sni(name: bytes) -> bytes:
    return extension(SERVER_NAME, server_name(name))


def alpn(*names: bytes) -> bytes:
    return extension(_ALPN, sized(2, b"".join(sized(1, name) for name in names)))


def versions(*offered: int) -> bytes:
    """For TLS 1.3, with a key share."""
    return (
        extension(_VERSIONS, sized(1, words(*offered)))
        + extension(_MODES, b"\x01\x01")
        + extension(_KEYS, sized(2, words(_X25519) + sized(2, _PUBLIC_KEY)))
    )


def groups(*offered: int) -> bytes:
    return extension(_GROUPS, sized(2, words(*offered)))


def signatures(*offered: int) -> bytes:
    return extension(_SIGNATURES, sized(2, words(*offered)))


_USUAL: Final = groups(_X25519, 0x17) + signatures(*_ALL_SIGNATURES)


def hello(
    *more: bytes,
    version: int = 0x0303,
    suites: tuple[int, ...] = MODERN,
    usual: bytes = _USUAL,
    compression: bytes = b"\0",
) -> bytes:
    """A ClientHello message; `more` are extensions."""
    body = words(version) + bytes(range(32)) + sized(1, bytes(32)) + sized(2, words(*suites))
    body += sized(1, compression) + sized(2, usual + b"".join(more))
    return b"\x01" + sized(3, body)


def record(data: bytes, kind: int = 22, version: int = 0x0301) -> bytes:
    return bytes([kind]) + words(version) + sized(2, data)


def records(data: bytes, size: int = 1 << 14) -> bytes:
    """`data` in as many records as it takes."""
    return b"".join(record(data[at : at + size]) for at in range(0, len(data), size))


_TLS13 = versions(0x0304)
_HELLO: Final = hello()
_HELLO13: Final = hello(_TLS13, suites=MODERN_13)
_BOTH: Final = (*MODERN_13, *MODERN)


def _ssl2(version: int) -> bytes:
    """A ClientHello in the format of SSL 2, which may offer any version."""
    body = b"\x01" + words(version, 9, 0, 16) + b"\0\xc0\x2f\0\xc0\x2b\x07\0\xc0" + bytes(range(16))
    return words(0x8000 | len(body)) + body


_OLD: Final = (
    Case(91, "ssl2", _ssl2(2), Alert(70)),
    Case(91, "ssl2-format-tls1.0", _ssl2(0x0301), Alert(70)),
    # OpenSSL reads the format, but nothing is to be had without extensions.
    Case(91, "ssl2-format-tls1.2", _ssl2(0x0303), Alert(40)),
    # SSL 3 has no protocol_version: OpenSSL says handshake_failure in its place.
    Case(91, "ssl3", record(hello(version=0x0300)), Alert(40)),
    Case(91, "tls1.0", record(hello(version=0x0301)), Alert(70)),
    Case(91, "tls1.1", record(hello(version=0x0302)), Alert(70)),
    Case(91, "only-old-versions-listed", record(hello(versions(0x0301, 0x0302), suites=_BOTH)), Alert(70)),
    Case(91, "only-a-draft-listed", record(hello(versions(0x7F1C), suites=_BOTH)), Alert(70)),
    Case(91, "unknown-and-1.2-listed", record(hello(versions(0x0A0A, 0x0303), suites=_BOTH)), Hello()),
    Case(91, "tls1.2", record(_HELLO), Hello()),
    Case(91, "tls1.3", record(_HELLO13), Hello(0x0304)),
)

_BAD_SUITES: Final = {
    "rsa-key-exchange": (0x009C, 0x009D, 0x002F, 0x0035, 0x003C, 0x003D),
    "ecdhe-cbc": (0xC009, 0xC00A, 0xC013, 0xC014, 0xC023, 0xC024, 0xC027, 0xC028),
    "dhe": (0x009E, 0x009F, 0x0033, 0x0039, 0xCCAA),
    "static-ecdh": (0xC02D, 0xC02E, 0xC031, 0xC032),
    "rc4": (0x0004, 0x0005, 0xC007, 0xC011),
    "3des": (0x000A, 0xC008, 0xC012, 0x0016),
    "null": (0x0001, 0x0002, 0x003B, 0xC006, 0xC010),
    "null-null": (0x0000,),
    "export": (0x0003, 0x0006, 0x0008, 0x0014, 0x0062),
    "anonymous": (0x0034, 0x00A6, 0x006C, 0xC018),
    "pre-shared-key": (0x00A8, 0x00AE, 0xCCAC),
    "ccm": (0xC0AC, 0xC0AE),
    "unknown": (0x0A0A, 0xFAFA),
    "only-of-tls1.3": MODERN_13,
}
_ODD_GROUPS: Final = groups(0x19, 0x1E, 0x0100)
_ODD_SHARE: Final = (
    extension(_VERSIONS, sized(1, words(0x0304)))
    + extension(_MODES, b"\x01\x01")
    + extension(_KEYS, sized(2, words(0x1E) + sized(2, bytes(56))))
)
_SIGNED: Final = signatures(*_ALL_SIGNATURES)
_SHA1: Final = groups(_X25519) + signatures(0x0203, 0x0201)

_SUITES: Final = (
    *(Case(92, name, record(hello(suites=suites)), Alert(40)) for name, suites in _BAD_SUITES.items()),
    Case(92, "ccm-1.3", record(hello(_TLS13, suites=(0x1304, 0x1305))), Alert(40)),
    # illegal_parameter is for lists that break the syntax.
    Case(92, "no-suites", record(hello(suites=())), Alert(47)),
    Case(92, "no-group-of-ours", record(hello(usual=_ODD_GROUPS + _SIGNED)), Alert(40)),
    Case(
        92,
        "no-group-of-ours-1.3",
        record(hello(_ODD_SHARE, suites=MODERN_13, usual=_ODD_GROUPS + _SIGNED)),
        Alert(40),
    ),
    Case(92, "sha1-signatures", record(hello(usual=_SHA1)), Alert(40)),
    Case(92, "sha1-signatures-1.3", record(hello(_TLS13, suites=MODERN_13, usual=_SHA1)), Alert(40)),
)


def _asked(row: Asked) -> Case:
    answer = Hello(host=row.over_tcp) if isinstance(row.over_tcp, str) else Alert(row.over_tcp)
    extensions = [extension(SERVER_NAME, each) for each in row.contents]
    return Case(96, row.name, records(hello(*extensions)), answer)


_OFFERED: Final = (
    Case(93, "compression-not-taken", record(hello(compression=b"\1\0")), Hello()),
    Case(93, "only-compression", record(hello(compression=b"\1")), Alert(50)),
    Case(93, "no-compression-method", record(hello(compression=b"")), Alert(50)),
    Case(93, "compression-1.3", record(hello(_TLS13, suites=MODERN_13, compression=b"\1\0")), Alert(47)),
    Case(94, "fallback", record(hello(suites=(*MODERN, SCSV))), Alert(86)),
    Case(94, "fallback-to-refused", record(hello(version=0x0302, suites=(*MODERN, SCSV))), Alert(70)),
    Case(94, "no-fallback", record(hello(_TLS13, suites=(*MODERN_13, SCSV))), Hello(0x0304)),
    Case(95, "no-overlap", record(hello(alpn(b"foo"))), Alert(120)),
    Case(95, "no-overlap-1.3", record(hello(_TLS13, alpn(b"foo"), suites=MODERN_13)), Alert(120)),
    Case(95, "h3-on-tcp", record(hello(alpn(b"h3"))), Alert(120)),
    Case(95, "almost-h2", record(hello(alpn(b"H2", b"h2\0", b"h"))), Alert(120)),
    Case(95, "empty-list", record(hello(alpn())), Alert(50)),
    Case(95, "empty-name", record(hello(alpn(b"h2", b""))), Alert(50)),
    Case(95, "unknown-and-h2", record(hello(alpn(b"foo", b"h2"))), Hello()),
    *map(_asked, NAMES),
)
_RECORDS: Final = (
    Case(97, "bytewise", records(_HELLO, 1), Hello()),
    Case(97, "bytewise-1.3", records(_HELLO13, 1), Hello(0x0304)),
    # OpenSSL drops empty handshake records, up to 32 in a row.
    Case(97, "empty-between", record(_HELLO[:9]) + record(b"") + record(_HELLO[9:]), Hello()),
    Case(97, "empty-flood", record(b"") * 100, Alert(10)),
    Case(97, "ccs-10-in-1.3", record(_HELLO13) + CCS * 10, Hello(0x0304)),
    Case(97, "ccs-100-in-1.3", record(_HELLO13) + CCS * 100, Sealed()),
    Case(97, "ccs-early", record(_HELLO) + CCS, Alert(10, late=True)),
    Case(97, "ccs-first", CCS + record(_HELLO), Alert(10)),
    Case(97, "ccs-100-first", CCS * 100, Alert(10)),
    Case(97, "data-first", record(b"GET / HTTP/1.1\r\n", 23), Alert(10)),
    Case(97, "record-too-long", b"\x16\x03\x01\xff\xff" + bytes(100), Alert(22)),
    Case(97, "unknown-record", record(b"a", 99), Alert(10)),
    Case(97, "heartbeat", record(b"\x01\xff\xff", 24), Alert(10)),
    Case(97, "server-hello", record(b"\x02" + _HELLO[1:]), Alert(10)),
    Case(97, "hello-of-16m", record(b"\x01\xff\xff\xff" + bytes(100)), Alert(47)),
    Case(97, "octets-after-hello", record(b"\x01" + sized(3, _HELLO[4:] + b"xx")), Alert(50)),
    Case(97, "warning-flood", record(b"\x01\x5a", 21) * 100, Alert(10)),
    Case(97, "http1", b"GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n", Silence()),
    Case(97, "h2c", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Silence()),
)
CASES: Final = (*_OLD, *_SUITES, *_OFFERED, *_RECORDS)

_EMPTY: Final = (23, b"")
TALKS: Final = (
    *(Talk(97, "bytewise", version, SERVED, record_size=1) for version in (0x0303, 0x0304)),
    *(Talk(97, "10-empty", version, SERVED, sealed=(_EMPTY,) * 10) for version in (0x0303, 0x0304)),
    *(Talk(97, "1000-empty", version, CUT, sealed=(_EMPTY,) * 1000) for version in (0x0303, 0x0304)),
    *(Talk(97, "late-ccs", version, CUT, clear=CCS) for version in (0x0303, 0x0304)),
    Talk(97, "empty-handshake", 0x0304, CUT, sealed=((22, b""),)),
    Talk(93, "renegotiation", 0x0303, REFUSED, sealed=((22, _HELLO),)),
    Talk(93, "renegotiation", 0x0304, CUT, sealed=((22, _HELLO),)),
    Talk(97, "key-update", 0x0304, SERVED, key_updates=(0, 1)),
    Talk(97, "key-update-flood", 0x0304, SERVED, key_updates=(1,) * 1000),
    Talk(97, "key-update-of-no-kind", 0x0304, CUT, key_updates=(7,)),
)

WAITS: Final = (
    Wait("nothing", b""),
    Wait("header", record(_HELLO)[:5]),
    Wait("half", record(_HELLO)[: len(_HELLO) // 2]),
    Wait("drip", b"", record(_HELLO)),
    Wait("no-finished", record(_HELLO)),
    Wait("no-finished-1.3", record(_HELLO13)),
    Wait("one-empty-record", record(b"")),
)
"""Case 98."""

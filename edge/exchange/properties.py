"""Properties of an exchange that filters may read, in Envoy's encoding.

Strings are raw bytes, integers and durations 8 bytes little endian (durations in ns), booleans
one byte. Paths are segments joined by NUL. Source: Envoy attributes; facts of the Proxy-Wasm ABI.
"""

from __future__ import annotations

from binascii import hexlify
from collections.abc import Callable
from typing import Final

from edge.exchange.identity import ClientIdentity
from edge.exchange.state import ExchangeState

_Reader = Callable[[ExchangeState], bytes | None]


def _int(value: int) -> bytes:
    return value.to_bytes(8, "little", signed=True)


def _address(pair: tuple[str, int]) -> bytes:
    host, port = pair
    return f"[{host}]:{port}".encode() if ":" in host else f"{host}:{port}".encode()


def _url_path(exchange: ExchangeState) -> bytes:
    return exchange.head.path.partition(b"?")[0]


def _query(exchange: ExchangeState) -> bytes:
    return exchange.head.path.partition(b"?")[2]


def _field(name: bytes) -> _Reader:
    return lambda exchange: exchange.head.get(name)


def _route_name(exchange: ExchangeState) -> bytes | None:
    return exchange.candidate.rule.route.encode() if exchange.candidate else None


def _cluster_name(exchange: ExchangeState) -> bytes | None:
    if exchange.cluster_name:
        return exchange.cluster_name.encode()
    cluster = exchange.candidate.rule.cluster if exchange.candidate else None
    return cluster.name.encode() if cluster is not None else None


def _upstream_address(exchange: ExchangeState) -> bytes | None:
    upstream = exchange.upstream
    return upstream.address.encode() if upstream is not None and upstream.address else None


def _upstream_port(exchange: ExchangeState) -> bytes | None:
    address = _upstream_address(exchange)
    return _int(int(address.rpartition(b":")[2])) if address else None


def _response_code(exchange: ExchangeState) -> bytes | None:
    status = exchange.status or (exchange.response.status if exchange.response else 0)
    return _int(status) if status else None


def _total_size(exchange: ExchangeState) -> bytes:
    fields = sum(len(name) + len(value) for name, value in exchange.head.fields)
    return _int(exchange.bytes_in + fields)


def _identity(exchange: ExchangeState) -> ClientIdentity | None:
    """Who the client showed to be; None without a certificate."""
    identity = exchange.connection.identity
    return identity if identity is not None and identity.presented else None


def _of_certificate(read: Callable[[ClientIdentity], bytes]) -> _Reader:
    """As Envoy: of several alternative names of a kind the first."""

    def reader(exchange: ExchangeState) -> bytes | None:
        identity = _identity(exchange)
        return (read(identity) or None) if identity is not None else None

    return reader


_READERS: Final[dict[bytes, _Reader]] = {
    b"request\0path": lambda e: e.head.path,
    b"request\0url_path": _url_path,
    b"request\0query": _query,
    b"request\0host": lambda e: e.head.authority,
    b"request\0scheme": lambda e: e.head.scheme,
    b"request\0method": lambda e: e.head.method,
    b"request\0referer": _field(b"referer"),
    b"request\0useragent": _field(b"user-agent"),
    b"request\0id": lambda e: e.request_id,
    b"request\0protocol": lambda e: e.head.protocol.encode(),
    b"request\0size": lambda e: _int(e.bytes_in),
    b"request\0total_size": _total_size,
    b"request\0duration": lambda e: _int(int(e.duration_s() * 1e9)),
    b"request\0time": lambda e: _int(e.services.wall_ns() - int(e.duration_s() * 1e9)),
    b"response\0code": _response_code,
    b"response\0code_details": lambda e: e.reply_details.encode() or None,
    b"response\0flags": lambda e: e.flag.encode() or None,
    b"response\0size": lambda e: _int(e.bytes_out),
    b"source\0address": lambda e: _address(e.connection.peer),
    b"source\0port": lambda e: _int(e.connection.peer[1]),
    b"destination\0address": lambda e: _address(e.connection.local),
    b"destination\0port": lambda e: _int(e.connection.local[1]),
    b"connection\0id": lambda e: _int(e.connection.id),
    b"connection\0mtls": lambda e: b"\1" if _identity(e) is not None else b"\0",
    b"connection\0subject_peer_certificate": _of_certificate(lambda identity: identity.subject),
    b"connection\0dns_san_peer_certificate": _of_certificate(lambda identity: b"".join(identity.dns[:1])),
    b"connection\0uri_san_peer_certificate": _of_certificate(lambda identity: b"".join(identity.uri[:1])),
    b"connection\0sha256_peer_certificate_digest": _of_certificate(lambda identity: identity.digest),
    b"connection\0tls_version": lambda e: e.connection.tls_version.encode() or None,
    b"connection\0requested_server_name": lambda e: e.connection.sni.encode() or None,
    b"upstream\0address": _upstream_address,
    b"upstream\0port": _upstream_port,
    b"route_name": _route_name,
    b"xds\0route_name": _route_name,
    b"cluster_name": _cluster_name,
    b"xds\0cluster_name": _cluster_name,
    b"listener_direction": lambda e: _int(1),
    b"xds\0listener_direction": lambda e: _int(1),
    b"xds\0listener_name": lambda e: e.listener.encode(),
    b"edge\0trace_id": lambda e: hexlify(e.context.trace_id) if e.context is not None else None,
    b"edge\0span_id": lambda e: hexlify(e.context.span_id) if e.context is not None else None,
    b"edge\0backend": lambda e: (e.backend or "").encode() or None,
    b"edge.backend": lambda e: (e.backend or "").encode() or None,
}

_REQUEST_HEADER: Final = b"request\0headers\0"
_RESPONSE_HEADER: Final = b"response\0headers\0"


def read(exchange: ExchangeState, path: bytes) -> bytes | None:
    """Value of the property at `path`, or None when it is unknown or has no value now."""
    reader = _READERS.get(path)
    if reader is not None:
        return reader(exchange)
    if path.startswith(_REQUEST_HEADER):
        values = exchange.head.get_all(path[len(_REQUEST_HEADER) :].lower())
        return b",".join(values) if values else None
    if path.startswith(_RESPONSE_HEADER) and exchange.response is not None:
        values = exchange.response.get_all(path[len(_RESPONSE_HEADER) :].lower())
        return b",".join(values) if values else None
    return None

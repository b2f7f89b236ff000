"""Every hostile TLS row against a running edge; after each, everybody else is served as before."""

from __future__ import annotations

import socket
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final

import pytest
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection

from tests.hostile.cases_sni import NAMES, Asked, Asking
from tests.hostile.cases_tls import (
    CASES,
    CUT,
    MODERN,
    MODERN_13,
    SERVED,
    TALKS,
    WAITS,
    Alert,
    Case,
    Hello,
    Sealed,
    Talk,
    Wait,
)
from tests.hostile.key_updates import ASKED, NOT_ASKED, Sealer
from tests.hostile.live_site import PROBE, LiveSite, live_site
from tests.integration.authority import HOSTS
from tests.integration.h3_client import H3Client
from tests.integration.protocol_site import fields
from tests.integration.raw_client import request

with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # it imports asyncore
    from tlslite.api import HandshakeSettings, TLSConnection
    from tlslite.errors import TLSAbruptCloseError, TLSRemoteAlert
    from tlslite.messages import Message

_LIMIT_S: Final = 10.0
_CLOSED_BY_S, _EARLY_S, _LATE_S = 10.0, 1.0, 45.0
"""Late is what a busy machine may add; hypercorn's own limit, 60 s, would still be told apart.

`test_tls_time.py` holds the same rows against a clock that no machine delays.
"""
_CPU_S: Final = 1.0
"""More than any row may cost edge, its probes included; typical are 0.02, the KeyUpdates 0.1."""
_KEY_UPDATES: Final = 20_000
"""Of a flood; 27 bytes each, all made beforehand. They held a worker for seconds before they were counted."""
_ALERT, _HANDSHAKE, _DATA = 21, 22, 23
_CERTIFICATE, _DONE = 11, 14
_SEALED_ALERT_SIZE: Final = 19


class Waiting(threading.Thread):
    """A client that keeps edge waiting; `took` is when it was cut, None if it was not."""

    def __init__(self, port: int, row: Wait) -> None:
        super().__init__(daemon=True)
        self.row = row
        self.took: float | None = None
        self._began = time.monotonic()
        self._socket = socket.create_connection(("127.0.0.1", port), _LIMIT_S)
        self._socket.sendall(row.data)

    def run(self) -> None:
        drip = iter(self.row.drip)
        with self._socket:
            self._socket.settimeout(1.0)
            while time.monotonic() < self._began + _CLOSED_BY_S + _LATE_S:
                try:
                    if not self._socket.recv(1 << 16):
                        break
                except TimeoutError:
                    self._socket.sendall(bytes(islice(drip, 1)))
                except ConnectionError:
                    break
            else:
                return
            self.took = time.monotonic() - self._began


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSite]:
    with live_site(tmp_path_factory.mktemp("tls")) as site:
        yield site
        site.edge.check_sound()


@pytest.fixture(scope="module", autouse=True)
def waiting(site: LiveSite) -> list[Waiting]:
    """All at once, beside the other rows."""
    threads = [Waiting(site.edge.ports["secure"], row) for row in WAITS]
    for thread in threads:
        thread.start()
    return threads


@pytest.fixture
def others(site: LiveSite) -> Iterator[None]:
    """After a row: clients from before and new ones are answered, nothing died, and it was cheap."""
    before = site.cpu_s()
    yield
    site.probe()
    for protocol in ("h1s", "h2"):
        assert site.ask(protocol, PROBE).body == b"ok"
    assert site.cpu_s() - before < _CPU_S
    assert site.edge.worker_pid == site.worker
    site.edge.check_sound()


def _split(data: bytes) -> list[tuple[int, bytes]]:
    """Records that are whole."""
    found = []
    while len(data) >= 5 and len(data) >= 5 + (size := int.from_bytes(data[3:5])):
        found.append((data[0], data[5 : 5 + size]))
        data = data[5 + size :]
    return found


def _went_on(records: list[tuple[int, bytes]]) -> bool:
    """A first flight has come as far as it can be read."""
    return any(kind == _DATA or (kind == _HANDSHAKE and body[0] == _DONE) for kind, body in records)


def _check_hello(records: list[tuple[int, bytes]], answer: Hello) -> None:
    kind, hello = records[0]
    assert (kind, hello[0], hello[4:6]) == (_HANDSHAKE, 2, b"\x03\x03")
    at = 39 + hello[38]
    suite, compression = int.from_bytes(hello[at : at + 2]), hello[at + 2]
    assert suite in (MODERN if answer.version == 0x0303 else MODERN_13)
    assert compression == 0
    if answer.version == 0x0303:
        (certificate,) = [body for _, body in records if body[0] == _CERTIFICATE]
        assert [host for host in HOSTS if host.encode() in certificate] == [answer.host]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
@pytest.mark.usefixtures("others")
def test_records_get_the_one_right_answer(site: LiveSite, case: Case) -> None:
    came, ended = b"", False
    with socket.create_connection(("127.0.0.1", site.edge.ports["secure"]), _LIMIT_S) as client:
        client.sendall(case.data)
        while not ended and not (isinstance(case.answer, Hello) and _went_on(_split(came))):
            more = client.recv(1 << 16)
            came, ended = came + more, not more
    records = _split(came)
    match case.answer:
        case Hello():
            assert not ended, records
            _check_hello(records, case.answer)
        case Alert(number, late):
            assert records[-1] == (_ALERT, bytes([2, number]))
            assert _went_on(records[:-1]) if late else len(records) == 1
        case Sealed():
            assert _went_on(records)
            assert (records[-1][0], len(records[-1][1])) == (_DATA, _SEALED_ALERT_SIZE)
        case _:
            assert came == b""


@pytest.mark.parametrize("asked", NAMES, ids=lambda asked: asked.name)
@pytest.mark.usefixtures("others")
@pytest.mark.row(96, over="h3")
def test_96_over_quic_gets_the_one_right_answer(site: LiveSite, asked: Asked) -> None:
    class Client(H3Client):
        @staticmethod
        def _connection(configuration: QuicConfiguration) -> QuicConnection:
            return Asking(configuration, asked.contents)

    client = Client(site.edge.ports["secure"], "", connect=False)
    with client:
        client.connect()
        client.wait(lambda: client.established)
        if isinstance(asked.over_quic, str):
            assert client.established, client.closed
            certificate: Any = client.quic.tls._peer_certificate
            assert [host for host in HOSTS if f"'{host}'" in str(certificate.extensions)] == [asked.over_quic]
            stream_id = client.request(fields(PROBE))
            client.wait(lambda: client.ended(stream_id))
            assert client.body(stream_id) == b"ok"
        else:
            assert client.closed is not None and not client.established
            assert client.closed.error_code == asked.over_quic


def _drive(steps: Any) -> None:
    for _ in steps:
        pass


def _connect(client: socket.socket, talk: Talk) -> TLSConnection:
    settings = HandshakeSettings()
    settings.minVersion = settings.maxVersion = divmod(talk.version, 0x100)
    connection = TLSConnection(client)
    connection.recordSize = talk.record_size
    connection.handshakeClientCert(settings=settings, serverName=HOSTS[0], alpn=[b"http/1.1"])
    return connection


def _converse(client: socket.socket, connection: TLSConnection, talk: Talk) -> str:
    try:
        for kind, body in talk.sealed:
            _drive(connection._sendMsg(Message(kind, bytearray(body)), False))
        for kind in talk.key_updates:
            _drive(connection.send_keyupdate_request(kind))
        client.sendall(talk.clear)
        connection.write(request(PROBE.encode()))
        came = b""
        while not came.endswith(b"ok"):
            came += connection.read(max=1 << 14, min=1)
    except TLSRemoteAlert as alert:
        return f"alert {alert.description}"
    except (TLSAbruptCloseError, OSError) as error:
        assert not isinstance(error, TimeoutError)
        return CUT
    return SERVED


@pytest.mark.parametrize("talk", TALKS, ids=lambda talk: talk.id)
@pytest.mark.usefixtures("others")
def test_what_follows_a_handshake_gets_the_one_right_answer(site: LiveSite, talk: Talk) -> None:
    with socket.create_connection(("127.0.0.1", site.edge.ports["secure"]), _LIMIT_S) as client:
        connection = _connect(client, talk)
        assert connection.version == divmod(talk.version, 0x100)
        assert _converse(client, connection, talk) == talk.answer


@contextmanager
def _sealing(site: LiveSite) -> Iterator[tuple[TLSConnection, socket.socket, Sealer]]:
    """A client of TLS 1.3 that reads by `TLSConnection` and seals by itself what it writes to the socket."""
    settings = HandshakeSettings()
    settings.cipherNames = ["aes128gcm"]
    with socket.create_connection(("127.0.0.1", site.edge.ports["secure"]), _LIMIT_S) as client:
        connection = TLSConnection(client)
        connection.handshakeClientCert(settings=settings, serverName=HOSTS[0], alpn=[b"http/1.1"])
        assert connection.version == (3, 4)
        yield connection, client, Sealer(bytes(connection.session.cl_app_secret))


def _is_served(connection: TLSConnection, client: socket.socket, wire: bytes) -> bool:
    came = b""
    try:
        client.sendall(wire)
        while not came.endswith(b"ok"):
            more = connection.read(max=1 << 14, min=1)
            if not more:
                return False
            came += more
    except (TLSAbruptCloseError, TLSRemoteAlert, OSError) as error:
        assert not isinstance(error, TimeoutError)
        return False
    return True


@pytest.mark.parametrize("asks", [NOT_ASKED, ASKED])
@pytest.mark.usefixtures("others")
def test_97_a_flood_of_key_updates_is_cut(site: LiveSite, asks: int) -> None:
    with _sealing(site) as (connection, client, sealer):
        wire = b"".join(sealer.key_update(asks) for _ in range(_KEY_UPDATES))
        assert not _is_served(connection, client, wire + sealer.data(request(PROBE.encode())))


@pytest.mark.usefixtures("others")
def test_97_a_key_update_before_each_request_is_served(site: LiveSite) -> None:
    with _sealing(site) as (connection, client, sealer):
        for _ in range(50):
            wire = sealer.key_update(ASKED) + sealer.data(request(PROBE.encode()))
            assert _is_served(connection, client, wire)


@pytest.mark.usefixtures("others")
@pytest.mark.row(98, over="tls", live=True)
def test_who_does_not_finish_a_handshake_is_cut(waiting: list[Waiting]) -> None:
    for thread in waiting:
        thread.join(_CLOSED_BY_S + _LATE_S)
    took = {thread.row.name: thread.took for thread in waiting}
    assert len(took) == len(WAITS)
    for name, seconds in took.items():
        assert seconds is not None, f"{name}: never cut"
        assert _CLOSED_BY_S - _EARLY_S < seconds < _CLOSED_BY_S + _LATE_S, name


def test_every_row_of_the_list_ran() -> None:
    assert (len(CASES), len(TALKS), len(WAITS), len(NAMES)) == (81, 14, 7, 17)
    names = [row.id for row in (*CASES, *TALKS)]
    assert len(set(names)) == len(names)
    assert {row.number for row in (*CASES, *TALKS)} == set(range(91, 98))

"""A real client over a real socket, through hypercorn's seam: curl's HTTP/3, by way of pycurl."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from io import BytesIO
from itertools import count
from pathlib import Path

import pycurl
import pytest
import uvloop

from edge import model
from edge.codec.context import ListenerContext
from edge.exchange.deadlines import Deadlines
from edge.exchange.seams import Connection, Downstream
from edge.head import RequestHead, ResponseHead
from edge.listen import quic, quic_seam
from edge.listen.quic import QuicDown, QuicListener, cid_maker
from tests.hostile.fake_h1 import FakeExchange
from tests.unit.codec.h3.world import authority, certificate

BODY = os.urandom(300_000)


class _Echo(FakeExchange):
    """Answers with the body it got, or with `hello`."""

    def __init__(self, downstream: Downstream, head: RequestHead, end: bool) -> None:
        super().__init__(downstream, head, end)
        if end:
            self.answer(b"hello")

    def body_progress(self) -> int | None:
        """Nobody is in a hurry here."""

    def request_data(self, data: bytes, end: bool) -> None:
        super().request_data(data, end)
        if end:
            self.answer(self.body)

    def answer(self, body: bytes) -> None:
        fields = [(b"x-protocol", self.head.protocol.encode())]
        self.downstream.send_whole(ResponseHead(200, fields, len(body)), body)


@pytest.fixture(scope="module", autouse=True)
def _seam() -> Iterator[None]:
    before = quic_seam.hypercorn_run.UDPServer
    quic_seam.install()
    yield
    quic_seam.hypercorn_run.UDPServer = before


class _Served:
    """A listener on a socket of its own."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.unhandled: list[BaseException] = []
        ids = count(1)
        self.context = ListenerContext(
            accept=self._accept,
            scheme=b"https",
            limits=model.Limits(),
            deadlines=Deadlines(loop.time, loop.call_later),
            clock=loop.time,
            next_id=lambda: next(ids),
            unhandled=self.unhandled.append,
        )
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.bind(("127.0.0.1", 0))
        self.port: int = sock.getsockname()[1]
        made = model.Listener(
            name="web", host="127.0.0.1", port=self.port, certificates=[certificate("shop.example")]
        )
        self.listener = QuicListener(made, sock, self.context)

    def _accept(self, connection: Connection, downstream: Downstream, head: RequestHead, end: bool) -> _Echo:
        return _Echo(downstream, head, end)


def _curl(port: int, ca: Path, path: str, body: bytes | None = None) -> tuple[int, int, bytes]:
    """Status, version and body as curl sees them."""
    out = BytesIO()
    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, f"https://shop.example:{port}{path}")
    curl.setopt(pycurl.RESOLVE, [f"shop.example:{port}:127.0.0.1"])
    curl.setopt(pycurl.CAINFO, str(ca))
    # CURL_HTTP_VERSION_3ONLY
    curl.setopt(pycurl.HTTP_VERSION, 31)
    curl.setopt(pycurl.TIMEOUT, 20)
    curl.setopt(pycurl.WRITEDATA, out)
    if body is not None:
        curl.setopt(pycurl.POST, 1)
        curl.setopt(pycurl.POSTFIELDSIZE, len(body))
        curl.setopt(pycurl.READDATA, BytesIO(body))
    curl.perform()
    found = curl.getinfo(pycurl.RESPONSE_CODE), curl.getinfo(pycurl.INFO_HTTP_VERSION)
    curl.close()
    return (*found, out.getvalue())


async def _talk(ca: Path) -> None:
    served = _Served()
    served.listener.start()
    loop = asyncio.get_running_loop()
    while not served.listener.is_up:
        await asyncio.sleep(0.01)
    for path, body, expected in (("/", None, b"hello"), ("/up", BODY, BODY)):
        status, version, got = await loop.run_in_executor(None, _curl, served.port, ca, path, body)
        assert (status, version) == (200, 30)
        assert got == expected
    await asyncio.wait_for(served.listener.stop(), 30)
    assert not served.listener.is_up
    served.listener.close()
    assert served.unhandled == []


def test_curl_gets_and_uploads_over_http3(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_bytes(authority().cert_pem.bytes())
    uvloop.run(_talk(ca))


async def _lose(ca: Path) -> None:
    served = _Served()
    served.listener.start()
    loop = asyncio.get_running_loop()
    for lost in range(3):
        async with asyncio.timeout(60):
            while not served.listener.is_up:
                await asyncio.sleep(0.01)
        assert len(served.unhandled) == lost
        got = await loop.run_in_executor(None, _curl, served.port, ca, "/", None)
        assert got == (200, 30, b"hello")
        served.listener._host.let_go()
        async with asyncio.timeout(60):
            while served.listener.is_up:
                await asyncio.sleep(0)
    await asyncio.wait_for(served.listener.stop(), 60)
    served.listener.close()
    for told in served.unhandled:
        assert isinstance(told, QuicDown) and f"web: no HTTP/3 on 127.0.0.1:{served.port}" in str(told)
    async with asyncio.timeout(60):
        while not _is_free(served.port):
            await asyncio.sleep(0.01)


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def test_a_socket_that_is_lost_is_served_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quic, "RETRY_S", 0.01)
    ca = tmp_path / "ca.pem"
    ca.write_bytes(authority().cert_pem.bytes())
    uvloop.run(_lose(ca))


def test_connection_ids_tell_the_kernel_which_worker() -> None:
    for workers in (1, 2, 3, 7):
        for worker in range(workers):
            make = cid_maker(worker, workers)
            made = {make() for _ in range(200)}
            assert {len(cid) for cid in made} == {8} and len(made) == 200
            assert workers == 1 or {cid[0] % workers for cid in made} == {worker}


def test_another_hypercorn_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quic_seam, "version", lambda name: "0.19.0")
    with pytest.raises(quic_seam.SeamError, match=r"0\.19\.0 .* 0\.18\.0"):
        quic_seam.install()

"""PROXY headers to endpoints on real sockets: before everything else, TLS included."""

from __future__ import annotations

import asyncio
import ssl

import pytest
import trustme

from edge import model
from edge.exchange.deadlines import Deadlines
from edge.head import RequestHead
from edge.listen.proxy_header import SIGNATURE, parse
from edge.upstream import Cluster, TcpDialer
from tests.integration.upstream_exchange import Exchange, run, until
from tests.tools import free_port

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Client:
    peer = ("198.51.100.7", 4711)
    local = ("203.0.113.1", 443)


class Asking(Exchange):
    """An exchange of `Client`."""

    connection = Client()


class Origin:
    """Takes the header off each connection, answers one request, and waits for its end."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self.context = context
        self.seen: list[tuple[str, int] | None] = []
        self.ended = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            data = await reader.readexactly(5)
            rest = reader.readuntil(b"\r\n") if data == b"PROXY" else reader.readexactly(16 + 12 - 5)
            header = parse(data + await rest)
            assert header is not None
            self.seen.append(header.source)
            if self.context is not None:
                await writer.start_tls(self.context)
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK)
            await writer.drain()
            await reader.read()
            self.ended += 1
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            self.ended += 1
        finally:
            writer.close()


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("secure", [False, True])
def test_each_request_has_a_connection_that_tells_its_client(version: int, secure: bool) -> None:
    async def case() -> None:
        loop = asyncio.get_running_loop()
        before = asyncio.all_tasks()
        authority = trustme.CA()
        context = None
        if secure:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("shop.internal").configure_cert(context)
        origin = Origin(context)
        server = await asyncio.start_server(origin.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        tls = model.UpstreamTls(sni="shop.internal", ca_pem=authority.cert_pem.bytes()) if secure else None
        dialer = TcpDialer(loop)
        cluster = Cluster(
            model.Cluster(
                name="shop",
                endpoints=[
                    model.Endpoint(host="127.0.0.1", port=free_port()),
                    model.Endpoint(host="127.0.0.1", port=port),
                ],
                connect_timeout_s=10.0,
                proxy_protocol=version,
                tls=tls,
            ),
            dialer,
            Deadlines(loop.time, loop.call_later),
            loop.time,
            model.Limits(),
        )
        try:
            for number in range(1, 4):
                exchange = Asking()
                head = RequestHead(b"GET", b"http", b"shop.example", b"/", [])
                cluster.dispatch(exchange, head, True, 0.0)
                assert await exchange.end() == "ok"
                assert exchange.body == b"ok"
                await until(lambda number=number: origin.ended == number)  # type: ignore[misc]
            assert origin.seen == [Client.peer] * 3
            assert cluster.endpoints.open() == 0
        finally:
            cluster.close()
            server.close()
            await until(lambda: asyncio.all_tasks() <= before)

    run(case)


def test_a_connection_that_is_given_up_while_it_is_made_leaves_nothing_open() -> None:
    async def case() -> None:
        loop = asyncio.get_running_loop()
        before = asyncio.all_tasks()
        came = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert (await reader.read(len(SIGNATURE))).startswith(SIGNATURE[:1])
            came.set()
            await reader.read()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        dialer = TcpDialer(loop)
        cluster = Cluster(
            model.Cluster(
                name="shop",
                endpoints=[model.Endpoint(host="127.0.0.1", port=port)],
                connect_timeout_s=10.0,
                proxy_protocol=2,
                tls=model.UpstreamTls(sni="shop.internal"),
            ),
            dialer,
            Deadlines(loop.time, loop.call_later),
            loop.time,
            model.Limits(),
        )
        head = RequestHead(b"GET", b"http", b"shop.example", b"/", [])
        request = cluster.dispatch(Asking(), head, True, 0.0)
        await asyncio.wait_for(came.wait(), 30.0)
        request.cancel()
        server.close()
        await until(lambda: asyncio.all_tasks() <= before)
        assert not dialer.tasks
        assert cluster.endpoints.open() == 0

    run(case)

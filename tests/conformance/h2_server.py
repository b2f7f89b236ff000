"""A TLS server that answers every request alike over HTTP/2, for programs that judge the protocol.

Run as a program it prints its port and serves until its standard input ends.
"""

from __future__ import annotations

import asyncio
import itertools
import ssl
import sys

import trustme

from edge.codec.context import ListenerContext
from edge.codec.h2.engine import MakeEngine
from edge.codec.h2.native import NativeEngine
from edge.codec.h2.pure import PureEngine
from edge.codec.h2.server import H2Server
from edge.errors import EdgeError
from edge.exchange.deadlines import Deadlines
from edge.exchange.seams import Connection, Downstream
from edge.head import Fields, RequestHead, ResponseHead
from edge.model import Limits

_ENGINES: dict[str, MakeEngine] = {"native": NativeEngine, "pure": PureEngine}


class Fixed:
    """An exchange that answers 200 and a few bytes once the request is complete."""

    def __init__(self, downstream: Downstream, end: bool) -> None:
        self._downstream = downstream
        if end:
            self._answer()

    def request_data(self, data: bytes, end: bool) -> None:
        if end:
            self._answer()

    def request_trailers(self, fields: Fields) -> None:
        self._answer()

    def body_progress(self) -> int | None:
        """Nobody is in a hurry here."""

    def downstream_failed(self, error: EdgeError) -> None:
        return

    def pause_response(self) -> None:
        return

    def resume_response(self) -> None:
        return

    def _answer(self) -> None:
        body = b"served by edge\n"
        self._downstream.send_whole(ResponseHead(200, [(b"content-type", b"text/plain")], len(body)), body)


def _accept(connection: Connection, downstream: Downstream, head: RequestHead, end: bool) -> Fixed:
    return Fixed(downstream, end)


def _tls() -> ssl.SSLContext:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    context.set_alpn_protocols(["h2"])
    return context


async def serve(engine: MakeEngine) -> None:
    loop = asyncio.get_running_loop()
    deadlines = Deadlines(loop.time, loop.call_later)
    ids = itertools.count(1)

    def unhandled(error: BaseException) -> None:
        sys.stderr.write(f"unhandled: {error!r}\n")

    context = ListenerContext(
        accept=_accept,
        scheme=b"https",
        limits=Limits(),
        deadlines=deadlines,
        clock=loop.time,
        next_id=lambda: next(ids),
        unhandled=unhandled,
    )
    server = await loop.create_server(lambda: H2Server(context, engine), "127.0.0.1", 0, ssl=_tls())
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve(_ENGINES[sys.argv[1]]))

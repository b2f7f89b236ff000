"""When clients are told of HTTP/3: while its socket is really served, and no longer."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import hypercorn.asyncio.run as hypercorn_run
import pytest
from hypercorn.config import Sockets

from edge import model
from edge.errors import EdgeError
from edge.exchange.deadlines import Deadlines
from edge.exchange.revision import Services
from edge.listen import quic, quic_seam
from edge.listen.quic_host import QuicHost
from edge.listen.quic_seam import QuicConfig
from edge.worker.listening import Listening
from edge.worker.planned import UDP
from edge.worker.slices import Slices
from tests.unit.codec.h3.world import FakeNetwork, certificate


class FakeUdp(FakeNetwork):
    """The transport of `host`, up from the start."""

    def __init__(self, host: QuicHost) -> None:
        super().__init__()
        self.host: QuicHost | None = host
        host.connection_made(self)  # type: ignore[arg-type]

    def abort(self) -> None:
        self.lose(None)

    def lose(self, error: Exception | None) -> None:
        host, self.host = self.host, None
        if host is not None:
            host.connection_lost(error)


class FakeHypercorn:
    """Serves nothing until it is told to stop; `faults` are raised, one by each UDP socket.

    With `ends` a UDP socket is served until then.
    """

    def __init__(self) -> None:
        self.hosts: list[QuicHost] = []
        self.faults: list[Exception] = []
        self.ends: asyncio.Event | None = None

    async def serve(self, app: object, config: object, *, sockets: Sockets, shutdown_trigger: Any) -> None:
        if isinstance(config, QuicConfig):
            self.hosts.append(config.quic_host)
            if self.faults:
                raise self.faults.pop(0)
            if self.ends is not None:
                shutdown_trigger, self.ends = self.ends.wait, None
        await shutdown_trigger()
        for each in (*sockets.secure_sockets, *sockets.insecure_sockets, *sockets.quic_sockets):
            each.close()


@pytest.fixture
def hypercorn(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHypercorn]:
    fake = FakeHypercorn()
    monkeypatch.setattr(hypercorn_run, "worker_serve", fake.serve)
    monkeypatch.setattr(quic_seam, "install", lambda: None)
    monkeypatch.setattr(quic, "RETRY_S", 0.001)
    monkeypatch.setattr(quic, "MOST_RETRY_S", 0.004)
    yield fake


def listener(name: str = "web", advertised: int = 0, h3: bool = True) -> model.Listener:
    return model.Listener(
        name=name,
        host="192.0.2.1",
        port=8443,
        advertised_port=advertised,
        protocols=["h1", "h2", *(["h3"] if h3 else [])],
        certificates=[certificate("shop.example")],
    )


class Site:
    """A worker's listeners on sockets that are bound to nothing."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        deadlines = Deadlines(loop.time, loop.call_later)
        ids = count(1)
        self.services = Services(
            loop.time, time.time_ns, deadlines, loop.call_soon, lambda: b"%d" % next(ids)
        )
        self.unhandled: list[BaseException] = []
        self.listening = Listening(self.services, 0, 1, self.unhandled.append, self._refused)
        self.sockets: dict[str, socket.socket] = {}

    def _refused(self, listener: str, error: EdgeError, client: bytes = b"", protocol: str = "") -> None:
        raise AssertionError(error)

    def open(self, name: str, kind: socket.SocketKind) -> None:
        """Another socket than before."""
        before, made = self.sockets.get(name), socket.socket(socket.AF_INET, kind)
        made.setblocking(False)
        self.sockets[name] = made
        if before is not None:
            before.close()

    async def serve(self, *listeners: model.Listener) -> None:
        """The next revision."""
        sent = {}
        for each in listeners:
            for name, kind in ((each.name, socket.SOCK_STREAM), (each.name + UDP, socket.SOCK_DGRAM)):
                if kind == socket.SOCK_DGRAM and "h3" not in each.protocols:
                    continue
                if name not in self.sockets:
                    self.open(name, kind)
                sent[name] = self.sockets[name].dup()
        made = model.Model(revision=1, listeners=list(listeners), routes=[], clusters=[])
        plan = await self.listening.plan(made, sent, Slices(time.perf_counter))
        self.listening.apply(plan, None)

    def shown(self) -> bytes | None:
        """What clients of `web` are told."""
        field = self.services.alt_svc.get("web")
        assert field is None or field[0] == b"alt-svc"
        return field[1] if field is not None else None

    async def end(self) -> None:
        await self.listening.stop()
        self.listening.close()
        for each in self.sockets.values():
            each.close()


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not done():
            await asyncio.sleep(0)


OFFER = b'h3=":8443"; ma=3600'


def test_nobody_is_told_before_udp_is_up_or_after_it_is_lost(hypercorn: FakeHypercorn) -> None:
    async def main() -> None:
        site = Site()
        await site.serve(listener())
        assert site.shown() is None
        await until(lambda: len(hypercorn.hosts) == 1)
        assert (site.shown(), site.listening.without_h3()) == (None, {"web": 0})
        udp = FakeUdp(hypercorn.hosts[0])
        assert (site.shown(), site.listening.without_h3()) == (OFFER, {"web": 0})
        udp.lose(OSError("gone"))
        assert site.shown() is None
        await until(lambda: len(hypercorn.hosts) == 2)
        assert (site.shown(), site.listening.without_h3()) == (None, {"web": 1})
        FakeUdp(hypercorn.hosts[1])
        assert (site.shown(), site.listening.without_h3()) == (OFFER, {"web": 0})
        (told,) = site.unhandled
        assert str(told) == "listener web: no HTTP/3 on 192.0.2.1:8443, tried again in 0.001 s"
        assert str(told.__cause__) == "gone"
        await site.end()

    asyncio.run(main())


def test_what_fails_is_told_of_and_tried_again_after_longer_and_longer_waits(
    hypercorn: FakeHypercorn,
) -> None:
    async def main() -> None:
        hypercorn.faults = [OSError(str(number)) for number in range(4)]
        site = Site()
        await site.serve(listener())
        await until(lambda: len(hypercorn.hosts) == 5)
        assert site.shown() is None
        assert [str(each.__cause__) for each in site.unhandled] == ["0", "1", "2", "3"]
        waits = [str(each).split()[-2] for each in site.unhandled]
        assert waits == ["0.001", "0.002", "0.004", "0.004"]
        FakeUdp(hypercorn.hosts[4])
        assert site.shown() == OFFER
        await site.end()
        assert len(site.unhandled) == 4

    asyncio.run(main())


def test_a_socket_whose_server_ends_by_itself_is_given_up(hypercorn: FakeHypercorn) -> None:
    """Whatever is left of the one before must not read beside the next one."""

    async def main() -> None:
        ended = hypercorn.ends = asyncio.Event()
        site = Site()
        await site.serve(listener())
        await until(lambda: len(hypercorn.hosts) == 1)
        udp = FakeUdp(hypercorn.hosts[0])
        assert site.shown() == OFFER
        ended.set()
        await until(lambda: len(hypercorn.hosts) == 2)
        assert (site.shown(), udp.host) == (None, None)
        assert len(site.unhandled) == 1
        FakeUdp(hypercorn.hosts[1])
        assert site.shown() == OFFER
        await site.end()

    asyncio.run(main())


def test_a_transport_that_cannot_be_used_is_not_up(hypercorn: FakeHypercorn) -> None:
    class Nameless(FakeUdp):
        def get_extra_info(self, name: str, default: Any = None) -> Any:
            raise OSError("no name")

    async def main() -> None:
        site = Site()
        await site.serve(listener())
        await until(lambda: len(hypercorn.hosts) == 1)
        Nameless(hypercorn.hosts[0])
        assert site.shown() is None
        await until(lambda: len(hypercorn.hosts) == 2)
        assert [str(each.__cause__) for each in site.unhandled] == ["no name"]
        await site.end()

    asyncio.run(main())


def test_the_port_is_the_one_that_is_advertised(hypercorn: FakeHypercorn) -> None:
    async def main() -> None:
        site = Site()
        await site.serve(listener(advertised=443))
        await until(lambda: len(hypercorn.hosts) == 1)
        await site.serve(listener(advertised=444))
        assert site.shown() is None
        FakeUdp(hypercorn.hosts[0])
        assert site.shown() == b'h3=":444"; ma=3600'
        await site.serve(listener(advertised=4433))
        assert site.shown() == b'h3=":4433"; ma=3600'
        await site.serve(listener())
        assert site.shown() == OFFER
        assert len(hypercorn.hosts) == 1
        await site.end()

    asyncio.run(main())


@pytest.mark.parametrize("left", ["h3", "listener", "worker"])
def test_what_leaves_is_not_offered_whatever_becomes_of_its_socket(
    hypercorn: FakeHypercorn, left: str
) -> None:
    async def main() -> None:
        site = Site()
        await site.serve(listener(), listener("other"))
        await until(lambda: len(hypercorn.hosts) == 2)
        of_web = FakeUdp(hypercorn.hosts[0])
        FakeUdp(hypercorn.hosts[1])
        assert site.services.alt_svc == dict.fromkeys(("web", "other"), (b"alt-svc", OFFER))
        if left == "worker":
            await site.listening.stop()
            assert site.services.alt_svc == {}
        else:
            await site.serve(listener("other"), *([listener(h3=False)] if left == "h3" else []))
            assert site.services.alt_svc == {"other": (b"alt-svc", OFFER)}
        await until(lambda: not hypercorn.hosts[0].accepting)
        before = dict(site.services.alt_svc)
        of_web.lose(None)
        FakeUdp(hypercorn.hosts[0])
        assert site.services.alt_svc == before
        await site.end()
        assert site.unhandled == []

    asyncio.run(main())


@pytest.mark.parametrize("moved", ["web" + UDP, "web"])
def test_a_socket_that_moves_is_offered_when_the_new_one_is_up(hypercorn: FakeHypercorn, moved: str) -> None:
    async def main() -> None:
        site = Site()
        await site.serve(listener())
        await until(lambda: len(hypercorn.hosts) == 1)
        old = FakeUdp(hypercorn.hosts[0])
        site.open("web" + UDP, socket.SOCK_DGRAM)
        if moved == "web":
            site.open("web", socket.SOCK_STREAM)
        await site.serve(listener())
        assert site.shown() is None
        await until(lambda: len(hypercorn.hosts) == 2)
        assert site.shown() is None
        FakeUdp(hypercorn.hosts[1])
        assert site.shown() == OFFER
        await until(lambda: not hypercorn.hosts[0].accepting)
        old.lose(None)
        assert site.shown() == OFFER
        await site.end()
        assert site.unhandled == []

    asyncio.run(main())

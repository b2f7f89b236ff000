"""Every hostile row over real sockets against a running edge, with probes over every protocol after each."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import cast

import pytest

from tests.conformance.h3 import http_cases, transport_cases
from tests.hostile import cases_h1, cases_h2, cases_h3
from tests.hostile.fake_h1 import responses
from tests.hostile.fake_h2 import Heads
from tests.hostile.live_site import PROBE, LiveSite, live_site
from tests.integration.authority import HOSTS
from tests.integration.h2_client import H2Client
from tests.integration.h3_client import H3Client
from tests.integration.protocol_site import fields
from tests.unit.codec.h3.world import World

_OWN = {b"x-forwarded-for", b"x-forwarded-proto"}
"""Set by edge itself on every request, whatever a client claimed."""
_PROBE_ID = 9_999
_ANSWER_S = 30.0
_ran: set[tuple[str, str]] = set()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSite]:
    with live_site(tmp_path_factory.mktemp("live")) as site:
        yield site


def _named(case: object) -> str:
    return str(case.id)  # type: ignore[attr-defined]


@pytest.mark.parametrize("protocol", ["h1", "h1s"])
@pytest.mark.parametrize("case", cases_h1.CASES, ids=_named)
def test_http1_rows_where_http2_is_spoken_too(site: LiveSite, protocol: str, case: cases_h1.Case) -> None:
    """What these listeners do before they know the protocol changes no answer."""
    if case.silence:
        return _silent(site, protocol, case)
    _ran.add((case.id, protocol))
    since = len(site.judge.arrived)
    with site.h1(protocol) as client:
        try:
            client.send(case.data)
        except (BrokenPipeError, ConnectionResetError):
            assert case.closed
        came, answers = b"", None
        while answers is None or len(answers) < len(case.answers):
            more = client.socket.recv(1 << 16)
            assert more, came
            came += more
            try:
                answers = responses(came, case.methods)
            except Exception:
                answers = None
    assert len(answers) == len(case.answers)
    for (status, _, _), allowed in zip(answers, case.answers, strict=True):
        assert status in allowed
    assert not case.closed or (b"connection", b"close") in answers[-1][1]
    site.check_forwarded(since, case.forwarded)
    return None


def _silent(site: LiveSite, protocol: str, case: cases_h1.Case) -> None:
    """Rows that end by a timeout: nothing is forwarded, and it harms nobody meanwhile."""
    _ran.add((case.id, protocol))
    since = len(site.judge.arrived)
    with site.h1(protocol) as client:
        client.send(case.data)
        site.check_forwarded(since, case.forwarded)


_OF_HTTP1 = {"55-http1": 200, "55-wrong-end": 505}
"""What does not begin like HTTP/2 is HTTP/1.1 on a plain listener of both."""


@pytest.mark.parametrize("case", [case for case in cases_h2.CASES if case.id in _OF_HTTP1], ids=_named)
def test_what_is_no_preface_is_a_request_of_http1(site: LiveSite, case: cases_h2.Case) -> None:
    _ran.add((case.id, "h2c"))
    since = len(site.judge.arrived)
    with site.h1() as client:
        client.send(case.send(Heads()))
        assert client.response().status == _OF_HTTP1[case.id]
    site.check_forwarded(since, (b"/",) if _OF_HTTP1[case.id] == 200 else ())


@pytest.mark.parametrize(
    ("case", "protocol"),
    [
        (case, way)
        for case in cases_h2.CASES
        for way in ("h2c", "h2")
        if way == "h2" or case.id not in _OF_HTTP1
    ],
    ids=lambda value: value if isinstance(value, str) else _named(value),
)
def test_http2_rows(site: LiveSite, case: cases_h2.Case, protocol: str) -> None:
    _ran.add((case.id, protocol))
    since = len(site.judge.arrived)
    site.judge.holds = case.waits
    try:
        with site.connect(protocol, greet=case.greet) as client:
            assert isinstance(client, H2Client)
            client.send(case.send(client.head))
            if case.goaway is not None:
                client.wait(lambda: client.goaway is not None)
                assert client.goaway == case.goaway
                assert _statuses(client, case) == case.statuses
                assert client.resets.keys() <= {1}
            else:
                _check_streams(client, case)
    finally:
        site.judge.holds = False
    # Where the connection or the exchange ends, what came before may have gone upstream, or not.
    certain = case.goaway is None and not case.waits and not case.fails
    complete = site.check_forwarded(since, case.forwarded if certain else None)
    site.most += 0 if certain else max(0, len(case.forwarded) - len(complete))
    assert not case.fails or tuple(each.target for each in complete) in ((), case.forwarded)
    if complete:
        sent = [*complete[-1].fields, *complete[-1].trailers]
        assert set(case.present) <= set(sent)
        assert {name for name, _ in sent}.isdisjoint(set(case.absent) - _OWN)
        assert dict(sent)[b"x-forwarded-for"] == b"127.0.0.1"


def _check_streams(client: H2Client, case: cases_h2.Case) -> None:
    client.wait(lambda: case.resets.keys() <= client.resets.keys() and all(map(client.ended, case.statuses)))
    if not case.waits:
        client.send(client.head(_PROBE_ID, fields(PROBE)))
        client.wait(lambda: client.ended(_PROBE_ID))
        assert client.body(_PROBE_ID) == b"ok", "other streams of the connection go on"
    assert client.goaway is None
    assert client.resets == case.resets
    assert _statuses(client, case) == case.statuses


def _statuses(client: H2Client, case: cases_h2.Case) -> dict[int, int]:
    return {each: int(dict(client.heads(each)[-1])[b":status"]) for each in case.statuses}


@pytest.mark.parametrize("case", cases_h3.CASES, ids=_named)
@pytest.mark.row(over="h3")
def test_http3_rows(site: LiveSite, case: cases_h3.Case) -> None:
    _ran.add((case.id, "h3"))
    since = len(site.judge.arrived)
    with site.connect("h3") as client:
        assert isinstance(client, H3Client)
        stream_id = case.send(client)
        if case.close is not None:
            client.wait(lambda: client.closed is not None)
            assert client.closed is not None and client.closed.error_code == case.close
        else:
            client.wait(lambda: client.ended(stream_id) or stream_id in client.resets)
            assert client.closed is None
            assert client.resets == ({} if case.reset is None else {stream_id: case.reset})
            assert client.status(stream_id) == (case.status or 0)
            again = client.request(fields(PROBE))
            client.wait(lambda: client.ended(again))
            assert client.body(again) == b"ok", "other streams of the connection go on"
    for each in site.check_forwarded(since, () if case.forwarded is None else (case.forwarded,)):
        sent = [*each.fields, *each.trailers]
        assert set(case.present) <= set(sent)
        assert {name for name, _ in sent}.isdisjoint(set(case.absent) - _OWN)
        assert dict(sent)[b"x-forwarded-for"] == b"127.0.0.1"
        assert [value for name, value in sent if name == b"host"] == [b"a"]


class _Wire:
    """What `packets.inject` sends to: the socket of a client."""

    def __init__(self, client: H3Client) -> None:
        self._client = client

    def datagram_received(self, data: bytes, address: object) -> None:
        self._client.datagram(data)


class _Outside:
    """The running edge, as far as the conformance cases ask their `World` for anything."""

    def __init__(self, site: LiveSite) -> None:
        self._site = site

    def client(self, h3: bool = True) -> H3Client:
        client = H3Client(self._site.edge.ports["secure"], HOSTS[0], connect=False, h3=h3)
        client.network.host = _Wire(client)  # type: ignore[attr-defined]
        client.connect()
        client.wait(lambda: client.established)
        return client


_AFTER_HANDSHAKE = [case for case in transport_cases.CASES if "_frames" in case.provoke.__qualname__]
"""The others lie in the handshake itself, by a client that is made in memory."""


@pytest.mark.parametrize("case", _AFTER_HANDSHAKE, ids=lambda case: case.name)
@pytest.mark.row(76, 85, over="h3", live=True)
def test_transport_cases_of_h3spec(site: LiveSite, case: transport_cases.Case) -> None:
    _ran.add((case.name, "h3spec"))
    since = len(site.judge.arrived)
    client = cast(H3Client, case.provoke(cast(World, _Outside(site))))
    with client:
        client.wait(lambda: client.closed is not None)
        assert client.closed is not None and client.closed.error_code == case.code, client.closed
        assert client.closed.frame_type is not None, "closed by the application"
    site.check_forwarded(since, ())


@pytest.mark.parametrize("case", http_cases.CASES, ids=lambda case: case.name)
@pytest.mark.row(78, 79, 80, 84, over="h3", live=True)
def test_http_cases_of_h3spec(site: LiveSite, case: http_cases.Case) -> None:
    _ran.add((case.name, "h3spec"))
    since = len(site.judge.arrived)
    made, stream_id = case.provoke(cast(World, _Outside(site)))
    with cast(H3Client, made) as client:
        if stream_id is None:
            client.wait(lambda: client.closed is not None)
            assert client.closed is not None and client.closed.error_code == case.code, client.closed
        else:
            client.wait(lambda: stream_id in client.resets)
            assert (client.closed, client.resets) == (None, {stream_id: case.code})
            again = client.request(fields(PROBE))
            client.wait(lambda: client.ended(again))
            assert client.body(again) == b"ok", "other streams of the connection go on"
    site.check_forwarded(since, ())


@pytest.mark.row(88, over="h3")
def test_datagrams_of_no_connection(site: LiveSite) -> None:
    """An unknown version is told those we speak, a small one nothing, a stray packet one shorter reset."""
    unknown = b"\xc0\x1a\x2a\x3a\x4a\x08abcdefgh\x08ijklmnop" + bytes(1200)
    stray = b"\x41deadbeef" + bytes(60)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(_ANSWER_S)
        client.connect(("127.0.0.1", site.edge.ports["secure"]))
        client.send(unknown[:1199])
        client.send(unknown)
        assert client.recv(1 << 16)[1:] == b"\0\0\0\0\x08ijklmnop\x08abcdefgh\0\0\0\x01"
        client.send(stray)
        reset = client.recv(1 << 16)
        assert len(reset) < len(stray) and reset[0] & 0xC0 == 0x40
    site.check_forwarded(len(site.judge.arrived), ())


@pytest.mark.row(89, over="h3")
def test_a_client_goes_on_from_another_port(site: LiveSite) -> None:
    with site.connect("h3") as client:
        assert isinstance(client, H3Client)
        for _ in range(3):
            asked = client.request(fields(PROBE))
            client.wait(lambda s=asked: client.ended(s))  # type: ignore[misc]
            assert client.body(asked) == b"ok"
            client.network.socket.close()
            client.network.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            client.network.socket.connect(("127.0.0.1", site.edge.ports["secure"]))
    site.check_forwarded(len(site.judge.arrived), ())


def test_new_clients_are_served_after_all_of_it(site: LiveSite) -> None:
    site.probe(anew=True)
    site.check_sum()
    site.edge.check_sound()


def test_every_row_ran_over_every_protocol() -> None:
    rows = {"h1": len(cases_h1.CASES), "h2": len(cases_h2.CASES), "h3": len(cases_h3.CASES)}
    assert rows == {"h1": 187, "h2": 197, "h3": 165}
    assert (len(_AFTER_HANDSHAKE), len(http_cases.CASES)) == (18, 16)
    assert len(_ran) == 2 * rows["h1"] + 2 * rows["h2"] + rows["h3"] + 18 + 16

"""Every hostile H1 row over real sockets, plain and TLS, through a running edge to a strict upstream."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

import h11
import pytest

from tests.hostile.cases_h1 import CASES, Case, chunked
from tests.hostile.fake_h1 import responses
from tests.hostile.judge import Judge
from tests.hostile.strict import Arrived
from tests.integration.authority import HOSTS, Authority
from tests.integration.raw_client import RawClient, request
from tests.integration.running_edge import EdgeProcess, configuration, rule, running_edge, secured
from tests.integration.scripted_upstream import Upstream, scripted

Answers = list[tuple[int, list[tuple[bytes, bytes]], bytes]]

BODY_IDLE_S = 1.0
_CUT_S = 30.0
"""Long after edge has had enough of a client that does not read why it was refused."""
_FRAMING = {b"host", b"content-length", b"transfer-encoding"}
CUTS = {
    "method": b"GET",
    "head": request(b"/half")[:-2],
    "chunk": chunked(b"5\r\nhel"),
    "between chunks": chunked(b"5\r\nhello\r\n"),
}
SCHEMES = ("plain", "tls")
_OUR_OWN = (b"/probe", b"/again")
_ran: set[tuple[str, str]] = set()


@dataclass
class Site:
    edge: EdgeProcess
    authority: Authority
    judge: Judge
    upstream: Upstream
    worker: int

    def connect(self, scheme: str) -> RawClient:
        if scheme == "plain":
            return RawClient(self.edge.web)
        return RawClient(self.edge.ports["secure"], (self.authority.client(), HOSTS[0]))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    judge = Judge()
    folder = tmp_path_factory.mktemp("live")
    authority = Authority(folder)
    with scripted(judge.script) as upstream:
        limits = {"headTimeout": "2s", "bodyIdleTimeout": f"{int(BODY_IDLE_S)}s"}
        config = configuration({"up": [upstream.port]}, [rule("up")], limits=limits)
        secured(config, authority.listener())
        with running_edge(folder / "edge", config, folder / "state") as edge:
            yield Site(edge, authority, judge, upstream, edge.worker_pid)


def _whole(data: bytes, case: Case) -> Answers | None:
    """The answers in `data`, None while one is incomplete."""
    try:
        return responses(data, case.methods)
    except (AssertionError, h11.RemoteProtocolError):
        return None


def _converse(site: Site, scheme: str, case: Case) -> Answers:
    """Send the row, read its answers, see whether the connection is closed or still good."""
    with site.connect(scheme) as client:
        try:
            client.send(case.data)
        except (BrokenPipeError, ConnectionResetError):
            assert case.closed
        data, answers = b"", None
        while answers is None or len(answers) < len(case.answers):
            more = client.socket.recv(1 << 16)
            if not more:
                assert case.silence or answers is not None, data
                return answers or []
            data += more
            answers = _whole(data, case)
        if not case.closed:
            assert client.exchange(request(b"/again")).body == b"ok"
        elif scheme == "plain":
            assert client.rest() == b"", "closed after the last answer"
    return answers


def _check_upstream(case: Case, arrived: list[Arrived]) -> None:
    complete = [each for each in arrived if each.complete]
    assert tuple(each.target for each in complete) == case.forwarded
    if complete:
        last = complete[-1]
        names = {name for name, _ in (*last.fields, *last.trailers)} - _FRAMING
        # Some are edge's own; what the client claimed must not be in them.
        ours = {b"x-forwarded-for", b"x-forwarded-proto", b"x-request-id", b"traceparent"}
        assert dict(last.fields)[b"x-forwarded-for"] == b"127.0.0.1"
        assert [name for name, _ in last.fields].count(b"x-forwarded-for") == 1
        assert [value for name, value in last.fields if name == b"host"] == [case.authority]
        assert last.body == case.body
        assert names.isdisjoint(set(case.absent) - ours)
        assert not {name for name, _ in last.trailers} & set(case.absent)
        assert set(case.present) <= set(last.fields)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_gets_the_one_right_answer_and_harms_nobody(site: Site, case: Case, scheme: str) -> None:
    _ran.add((case.id, scheme))
    before = len(site.judge.arrived)
    answers = _converse(site, scheme, case)
    if not (case.silence and len(answers) < len(case.answers)):
        assert len(answers) == len(case.answers)
    for (status, _, _), allowed in zip(answers, case.answers, strict=False):
        assert status in allowed
    if case.closed and answers:
        assert (b"connection", b"close") in answers[-1][1]
    with site.connect(scheme) as probe:
        assert probe.exchange(request(b"/probe")).body == b"ok"
    arrived = [each for each in site.judge.arrived[before:] if each.target not in _OUR_OWN]
    _check_upstream(case, arrived)
    assert site.upstream.faults == [], site.judge.log()
    os.kill(site.worker, 0)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_refused_client_that_goes_on_sending_is_cut(site: Site, scheme: str) -> None:
    began = time.monotonic()
    with site.connect(scheme) as client:
        assert client.exchange(request(b"/", b"bad name: 1")).status == 400
        with pytest.raises(OSError):
            while time.monotonic() - began < _CUT_S:
                client.send(bytes(1 << 16))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("place", CUTS)
def test_a_client_that_stops_in_the_middle_is_let_go(site: Site, scheme: str, place: str) -> None:
    before = len(site.judge.arrived)
    with site.connect(scheme) as client:
        client.send(CUTS[place])
        data = client.rest()
    assert data == b"" or data.startswith(b"HTTP/1.1 408 ")
    assert not [each for each in site.judge.arrived[before:] if each.complete]


def test_edge_is_sound_after_all_of_it(site: Site) -> None:
    site.edge.check_sound()
    assert site.edge.worker_pid == site.worker
    # Nothing came upstream after its row had been looked at.
    due = sum(len(case.forwarded) for case in CASES for scheme in SCHEMES if (case.id, scheme) in _ran)
    complete = [each.target for each in site.judge.arrived if each.complete]
    assert len([target for target in complete if target not in _OUR_OWN]) == due
    assert site.judge.bytes > 0


def test_every_row_ran_both_ways() -> None:
    assert len(CASES) == 187
    assert len(_ran) == 2 * len(CASES)

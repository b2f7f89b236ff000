"""What a reload changes in a running edge, and what it leaves alone."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.integration.authority import HOSTS, Authority
from tests.integration.edge_process import Upstream
from tests.integration.h3_client import H3Client
from tests.integration.protocol_site import Site, every_protocol, fields, reply_of
from tests.integration.raw_client import RawClient, request
from tests.integration.reloading import Reloading, stamping
from tests.integration.revision_load import OriginThread
from tests.integration.running_edge import Configuration, configuration, rule, running_edge, within
from tests.tools.ports import free_port

WAIT_S = 60.0


@pytest.fixture(scope="module")
def origin() -> Iterator[OriginThread]:
    with OriginThread() as made:
        yield made


@pytest.fixture
def fresh_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Its files may be rewritten."""
    return Authority(tmp_path_factory.mktemp("fresh-authority"))


def plain(number: int, origin: int, **more: Any) -> Configuration:
    """Revision `number` on one plain listener."""
    return configuration({"up": [origin]}, [rule("up", filters=stamping(number))], **more)


def listener(name: str, address: str = "127.0.0.1:0") -> dict[str, Any]:
    return {"name": name, "address": address}


def answered_by(port: int) -> bytes:
    """The revision that answers a request on a new connection."""
    with RawClient(port) as client:
        (number,) = client.exchange(request()).values(b"x-answered")
        return number


def until_answered_by(port: int, number: bytes) -> None:
    for _ in within(WAIT_S, f"revision {number!r} answers"):
        if answered_by(port) == number:
            return


# ---- --watch


def test_watched_files_are_seen_however_they_change(
    origin: OriginThread, tmp_path: Path, edge_state: Path
) -> None:
    with running_edge(tmp_path / "edge", plain(1, origin.port), edge_state, "--watch") as edge:
        file = edge.folder / "edge.yaml"
        file.write_text(json.dumps(plain(2, origin.port)))
        until_answered_by(edge.web, b"2")
        fresh = file.with_suffix(".new")
        fresh.write_text(json.dumps(plain(3, origin.port)))
        fresh.replace(file)
        until_answered_by(edge.web, b"3")


def test_a_watched_file_behind_a_link_that_is_swapped_is_seen(
    origin: OriginThread, tmp_path: Path, edge_state: Path
) -> None:
    """As Kubernetes replaces a ConfigMap."""
    folder = tmp_path / "edge"
    folder.mkdir()
    for number in (1, 2):
        (folder / f"data{number}").mkdir()
        (folder / f"data{number}" / "edge.yaml").write_text(json.dumps(plain(number, origin.port)))
    (folder / "..data").symlink_to("data1")
    (folder / "linked.yaml").symlink_to("..data/edge.yaml")
    with running_edge(folder, plain(0, origin.port), edge_state, "--watch", file="linked.yaml") as edge:
        assert answered_by(edge.web) == b"1"
        (folder / "..new").symlink_to("data2")
        (folder / "..new").replace(folder / "..data")
        until_answered_by(edge.web, b"2")


def test_a_watched_certificate_is_served_without_a_new_revision(
    fresh_authority: Authority, origin: OriginThread, tmp_path: Path, edge_state: Path
) -> None:
    config = every_protocol(plain(1, origin.port), fresh_authority)
    with running_edge(tmp_path / "edge", config, edge_state, "--watch") as edge:
        site = Site(edge, fresh_authority)
        before = serial(site)
        fresh_authority.renew()
        for _ in within(WAIT_S, "the new certificate is served"):
            if serial(site) != before:
                break
        assert edge.state()["revision"] == 1


# ---- certificates


def serial(site: Site) -> int:
    """Of the certificate a TCP client gets."""
    with site.h1("h1s") as client:
        assert isinstance(client.socket, ssl.SSLSocket)
        found = client.socket.getpeercert(binary_form=True)
        assert found is not None
        return x509.load_der_x509_certificate(found).serial_number


def quic_serial(client: H3Client) -> int:
    """Of the certificate this client got."""
    certificate: x509.Certificate = client.quic.tls._peer_certificate
    return certificate.serial_number


def test_new_certificates_are_served_over_tcp_and_quic_and_connections_stand(
    fresh_authority: Authority, origin: OriginThread, tmp_path: Path, edge_state: Path
) -> None:
    config = every_protocol(plain(1, origin.port), fresh_authority)
    with running_edge(tmp_path / "edge", config, edge_state, "--workers", "2") as edge:
        reloading, site = Reloading(edge), Site(edge, fresh_authority)
        with site.h1("h1s") as tcp, site.connect("h2") as h2, site.connect("h3") as h3:
            before = serial(site)
            assert isinstance(h3, H3Client) and quic_serial(h3) == before
            fresh_authority.renew()
            reloading.reload()
            assert reloading.attempts["certificates"] == 1
            after = serial(site)
            assert after != before
            with site.connect("h3") as another:
                assert isinstance(another, H3Client) and quic_serial(another) == after
            assert tcp.exchange(request()).status == 200
            assert reply_of(h2, h2.request(fields())).status == 200
            assert reply_of(h3, h3.request(fields())).status == 200
        assert edge.state()["revision"] == 1


def test_a_worker_that_comes_back_has_the_new_certificates(
    fresh_authority: Authority, origin: OriginThread, tmp_path: Path, edge_state: Path
) -> None:
    config = every_protocol(plain(1, origin.port), fresh_authority)
    with running_edge(tmp_path / "edge", config, edge_state, "--workers", "1", restarts=1) as edge:
        reloading, site = Reloading(edge), Site(edge, fresh_authority)
        before = serial(site)
        fresh_authority.renew()
        reloading.reload()
        pid = edge.worker_pid
        os.kill(pid, signal.SIGKILL)
        for _ in within(WAIT_S, "another worker serves"):
            if edge.worker_pid not in (0, pid) and edge.is_ready():
                break
        assert serial(site) != before


@pytest.mark.parametrize("fault", ["half", "foreign", "missing"])
def test_certificates_that_are_no_good_are_refused_and_the_old_ones_stay(
    fault: str, fresh_authority: Authority, origin: OriginThread, tmp_path: Path, edge_state: Path
) -> None:
    """Case F15: handshakes go on with what was there."""
    config = every_protocol(plain(1, origin.port), fresh_authority)
    with running_edge(tmp_path / "edge", config, edge_state) as edge:
        reloading, site = Reloading(edge), Site(edge, fresh_authority)
        before = serial(site)
        chain, key = fresh_authority.files(HOSTS[0])
        if fault == "half":
            chain.write_bytes(chain.read_bytes()[:400])
        elif fault == "foreign":
            key.write_bytes(fresh_authority.files(HOSTS[1])[1].read_bytes())
        else:
            chain.unlink()
        reloading.reload()
        assert reloading.attempts["invalid"] == 1
        assert serial(site) == before
        assert edge.metric("edge_tls_certificate_failures_total") == 1
        error = json.loads(edge.get("/config"))["reload"]["lastError"]
        assert "listeners[1].tls.certificates[0]" in error["reasons"][0]
        assert "edge.yaml:" in error["reasons"][0]


def test_a_certificate_that_has_ended_does_not_replace_one_that_holds(
    fresh_authority: Authority, origin: OriginThread, tmp_path: Path, edge_state: Path
) -> None:
    config = every_protocol(plain(1, origin.port), fresh_authority)
    with running_edge(tmp_path / "edge", config, edge_state) as edge:
        reloading, site = Reloading(edge), Site(edge, fresh_authority)
        before = serial(site)
        fresh_authority.renew(not_after=datetime.now(UTC) - timedelta(days=1))
        reloading.reload()
        assert reloading.attempts["refused"] == 1
        assert serial(site) == before
        assert f"certificate for {HOSTS[0]} ended on" in edge.errors
        assert edge.metric("edge_tls_certificate_failures_total") == 1


# ---- listeners


def test_listeners_come_move_and_go(origin: OriginThread, tmp_path: Path, edge_state: Path) -> None:
    first = plain(1, origin.port)
    with running_edge(tmp_path / "edge", first, edge_state, "--workers", "2") as edge:
        reloading = Reloading(edge)
        with RawClient(edge.web) as standing:
            assert standing.exchange(request()).status == 200
            more = plain(2, origin.port)
            more["listeners"].append(listener("more", f"127.0.0.1:{free_port()}"))
            more["routes"][0]["parentRefs"].append({"name": "more"})
            reloading.apply(more)
            shown = reloading.listeners
            assert shown["web"] == edge.web
            assert answered_by(shown["more"]) == b"2"
            moved = json.loads(json.dumps(more))
            moved["listeners"][1]["address"] = f"127.0.0.1:{free_port()}"
            reloading.apply(moved)
            assert reloading.listeners["more"] != shown["more"]
            assert answered_by(reloading.listeners["more"]) == b"2"
            until_refused(shown["more"])
            gone = reloading.listeners["more"]
            reloading.apply(plain(3, origin.port))
            until_refused(gone)
            assert standing.exchange(request()).values(b"x-answered") == [b"3"]
        assert reloading.attempts["applied"] == 3


def until_refused(port: int) -> None:
    for _ in within(WAIT_S, f"port {port} takes nobody"):
        try:
            socket.create_connection(("127.0.0.1", port), 30).close()
        except ConnectionRefusedError:
            return


Ask = Callable[[], list[bytes]]


def until_offered(offer: bytes | None, *clients: Ask) -> None:
    """Until each of `clients`, whose answer is its alt-svc fields, is told `offer`; None = nothing."""
    expected = [offer] if offer is not None else []
    for _ in within(WAIT_S, f"alt-svc is {offer!r}"):
        if all(ask() == expected for ask in clients):
            return


def test_what_a_listener_speaks_changes_without_another_socket(
    authority: Authority, origin: OriginThread, tmp_path: Path, edge_state: Path
) -> None:
    """Clients are told of HTTP/3, on connections that stand too, while it is spoken and no longer."""
    config = every_protocol(plain(1, origin.port), authority)
    secure = config["listeners"][1]
    secure["protocols"] = ["h1"]
    with running_edge(tmp_path / "edge", config, edge_state, "--workers", "2") as edge:
        reloading, site = Reloading(edge), Site(edge, authority)
        with site.h1("h1s") as h1:

            def over_h1() -> list[bytes]:
                return h1.exchange(request()).values(b"alt-svc")

            assert over_h1() == []
            secure["protocols"] = ["h1", "h2", "h3"]
            reloading.apply(config)
            for protocol in ("h2", "h3"):
                assert site.ask(protocol, "/").status == 200
            with site.connect("h3") as leaving, site.connect("h2") as staying:

                def over_h2() -> list[bytes]:
                    return reply_of(staying, staying.request(fields())).values(b"alt-svc")

                until_offered(b'h3=":%d"; ma=3600' % edge.ports["secure"], over_h1, over_h2)
                assert reply_of(leaving, leaving.request(fields())).status == 200
                secure["advertisedPort"] = 4433
                reloading.apply(config)
                until_offered(b'h3=":4433"; ma=3600', over_h1, over_h2)
                secure["protocols"] = ["h1", "h2"]
                reloading.apply(config)
                leaving.wait(lambda: leaving.closed is not None)
                until_offered(None, over_h1, over_h2)
            assert edge.metric("edge_server_h3_down") == 0


def test_what_is_no_more_goes_from_metrics(tmp_path: Path, origin: OriginThread, edge_state: Path) -> None:
    def config(*names: str) -> Configuration:
        made = configuration({f"to-{name}": [origin.port] for name in names}, [])
        made["routes"] = [
            {
                "name": f"route-{name}",
                "parentRefs": [{"name": "web"}],
                "rules": [rule(f"to-{name}", f"/{name}")],
            }
            for name in names
        ]
        return made

    def shown(*names: str) -> bool:
        page = edge.get("/metrics")
        return all(b'"%s"' % name.encode() in page for name in names)

    folder = tmp_path / "edge"
    with running_edge(folder, config("stays", "goes"), edge_state, "--workers", "2") as edge:
        reloading = Reloading(edge)
        for path in (b"/stays", b"/goes"):
            with RawClient(edge.web) as client:
                assert client.exchange(request(path)).status == 200
        for _ in within(WAIT_S, "both are counted"):
            if shown("route-stays", "to-stays", "route-goes", "to-goes"):
                break
        reloading.apply(config("stays"))
        for _ in within(WAIT_S, "one is counted"):
            if not shown("route-goes") and not shown("to-goes"):
                break
        assert shown("route-stays", "to-stays")


def test_an_address_that_is_taken_refuses_the_reload(
    origin: OriginThread, tmp_path: Path, edge_state: Path
) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        running_edge(tmp_path / "edge", plain(1, origin.port), edge_state) as edge,
    ):
        reloading = Reloading(edge)
        config = plain(2, origin.port)
        config["listeners"].append(listener("more", f"127.0.0.1:{taken.getsockname()[1]}"))
        reloading.push(json.dumps(config))
        assert reloading.attempts["refused"] == 1
        assert "listener more: cannot bind" in edge.errors
        assert answered_by(edge.web) == b"1"


def test_a_listener_with_another_name_takes_over_its_address(
    origin: OriginThread, tmp_path: Path, edge_state: Path
) -> None:
    port = free_port()
    config = plain(1, origin.port)
    config["listeners"][0]["address"] = f"127.0.0.1:{port}"
    with running_edge(tmp_path / "edge", config, edge_state) as edge:
        reloading = Reloading(edge)
        renamed = plain(2, origin.port)
        renamed["listeners"] = [listener("front", f"127.0.0.1:{port}")]
        renamed["routes"][0]["parentRefs"] = [{"name": "front"}]
        reloading.apply(renamed)
        assert reloading.listeners == {"front": port}
        until_answered_by(port, b"2")


# ---- exchanges under way


def test_an_exchange_under_way_ends_on_its_own_revision(tmp_path: Path, edge_state: Path) -> None:
    with Upstream() as upstream:
        first = plain(1, upstream.port)
        with running_edge(tmp_path / "edge", first, edge_state) as edge, RawClient(edge.web) as client:
            reloading = Reloading(edge)
            upstream.hold.clear()
            client.send(request())
            assert upstream.asked.wait(WAIT_S)
            reloading.apply(plain(2, upstream.port))
            upstream.hold.set()
            assert client.response().values(b"x-answered") == [b"1"]
            assert client.exchange(request()).values(b"x-answered") == [b"2"]


def test_a_listener_that_goes_answers_what_it_has_taken(tmp_path: Path, edge_state: Path) -> None:
    with Upstream() as upstream:
        config = plain(1, upstream.port)
        config["listeners"].append(listener("more"))
        config["routes"][0]["parentRefs"].append({"name": "more"})
        with (
            running_edge(tmp_path / "edge", config, edge_state) as edge,
            RawClient(edge.ports["more"]) as client,
        ):
            reloading = Reloading(edge)
            upstream.hold.clear()
            client.send(request())
            assert upstream.asked.wait(WAIT_S)
            reloading.apply(plain(2, upstream.port))
            until_refused(edge.ports["more"])
            upstream.hold.set()
            answer = client.response()
            assert answer.status == 200 and answer.values(b"x-answered") == [b"1"]
            assert client.rest() == b""


def test_the_same_file_again_is_no_new_revision(
    origin: OriginThread, tmp_path: Path, edge_state: Path
) -> None:
    with running_edge(tmp_path / "edge", plain(1, origin.port), edge_state) as edge:
        reloading = Reloading(edge)
        reloading.reload()
        assert reloading.attempts["unchanged"] == 1
        assert edge.state()["revision"] == 1


def test_many_signals_at_once_are_few_reloads(origin: OriginThread, tmp_path: Path, edge_state: Path) -> None:
    with running_edge(tmp_path / "edge", plain(1, origin.port), edge_state) as edge:
        reloading = Reloading(edge)
        (edge.folder / "edge.yaml").write_text(json.dumps(plain(2, origin.port)))
        for _ in range(50):
            edge.process.send_signal(signal.SIGHUP)
            time.sleep(0)
        until_answered_by(edge.web, b"2")
        for _ in within(WAIT_S, "what was asked for meanwhile is done"):
            if edge.errors.count("edge: reload: SIGHUP") == reloading.attempts.total():
                break
        assert reloading.attempts.total() < 25
        assert reloading.attempts["applied"] == 1


def test_admin_moves(origin: OriginThread, tmp_path: Path, edge_state: Path) -> None:
    with running_edge(tmp_path / "edge", plain(1, origin.port), edge_state) as edge:
        port = free_port()
        (edge.folder / "edge.yaml").write_text(
            json.dumps(plain(1, origin.port, admin={"address": f"127.0.0.1:{port}"}))
        )
        edge.process.send_signal(signal.SIGHUP)
        old, edge.ports["admin"] = edge.ports["admin"], port
        for _ in within(WAIT_S, "admin answers there"):
            try:
                socket.create_connection(("127.0.0.1", port), 30).close()
                break
            except ConnectionRefusedError:
                continue
        assert edge.is_ready()
        until_refused(old)

"""What a reload has to tell workers, and which sockets it needs."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import msgspec
import pytest

from edge import model
from edge.control.config.quantity import HostPort
from edge.control.draft import Draft, Export, Shown
from edge.control.reload_changes import Change, change, expired, exports_alike, renewed
from edge.control.reload_history import Attempt, History, Result
from edge.control.reload_sockets import rebind
from edge.control.sockets import Bound, CannotBind, bind_all, bind_udp
from edge.telemetry.environment import ExportSettings

HERE = "127.0.0.1"


def certificate(pem: bytes = b"one") -> model.Certificate:
    return model.Certificate(hostnames=["shop.example"], chain_pem=pem, key_pem=pem)


def listener(name: str = "web", port: int = 0, **more: object) -> model.Listener:
    return model.Listener(name=name, host=HERE, port=port, **more)  # type: ignore[arg-type]


def draft(*listeners: model.Listener, revision: int = 1, ends: float = 2000.0, **more: object) -> Draft:
    made = model.Model(revision=revision, listeners=list(listeners), routes=[], clusters=[], **more)  # type: ignore[arg-type]
    shown = Shown(
        file="edge.yaml", modules={}, config=b"{}", certificate_ends=[("web", "shop.example", ends)]
    )
    return Draft(model=made, admin=HostPort(HERE, 0), shown=shown)


def test_the_number_of_a_revision_is_no_change() -> None:
    assert change(draft(listener(), revision=7), draft(listener(), revision=1)) is Change.NOTHING


def test_other_chains_and_keys_are_a_change_of_certificates() -> None:
    before = draft(listener(certificates=[certificate(b"one")]))
    after = draft(listener(certificates=[certificate(b"two")]))
    assert change(before, after) is Change.CERTIFICATES
    assert [each.name for each in renewed(before, after)] == ["web"]
    assert renewed(before, before) == []


@pytest.mark.parametrize(
    "other",
    [
        listener(certificates=[certificate(b"two"), certificate(b"three")]),
        listener(certificates=[]),
        listener(certificates=[msgspec.structs.replace(certificate(), hostnames=["docs.example"])]),
        listener(certificates=[certificate(b"two")], protocols=["h1", "h2"]),
        listener("front", certificates=[certificate()]),
    ],
)
def test_everything_else_about_a_listener_is_a_revision(other: model.Listener) -> None:
    assert change(draft(listener(certificates=[certificate()])), draft(other)) is Change.REVISION


def test_a_certificate_that_has_ended_replaces_none_that_holds() -> None:
    holds, over = draft(ends=2000.0), draft(ends=500.0)
    assert expired(holds, over, now=1000.0) == [
        (
            "listener web: the new certificate for shop.example ended on 1970-01-01; "
            "the one that is served still holds and is kept"
        )
    ]
    assert expired(over, over, now=1000.0) == []
    assert expired(over, holds, now=1000.0) == []


def test_exports_differ_by_place_and_name_not_by_the_id_of_the_instance() -> None:
    def exporting(endpoint: str, framing: bytes, name: str = "edge") -> Draft:
        settings = ExportSettings(url=endpoint)
        made = draft(telemetry=model.Telemetry(service_name=name))
        return msgspec.structs.replace(made, export=Export(settings=settings, framing=(framing, b"")))

    assert exports_alike(exporting("http://a", b"1"), exporting("http://a", b"2"))
    assert not exports_alike(exporting("http://a", b"1"), exporting("http://b", b"1"))
    assert not exports_alike(exporting("http://a", b"1"), exporting("http://a", b"1", "shop"))
    assert not exports_alike(exporting("http://a", b"1"), draft())
    assert exports_alike(draft(), draft())


# ---- sockets


@pytest.fixture
def opened() -> Iterator[list[Bound]]:
    made: list[Bound] = []
    yield made
    for bound in made:
        bound.close()


def standing(opened: list[Bound], *listeners: model.Listener) -> tuple[list[Bound], list[Bound]]:
    tcp = bind_all((each.name, HostPort(each.host, each.port)) for each in listeners)
    h3 = {each.name for each in listeners if "h3" in each.protocols}
    udp = bind_udp(bound for bound in tcp if bound.name in h3)
    opened += [*tcp, *udp]
    return tcp, udp


def test_what_stands_is_kept_and_what_comes_is_bound(opened: list[Bound]) -> None:
    before = [listener("web", protocols=["h1", "h3"])]
    tcp, udp = standing(opened, *before)
    made = rebind(before, [*before, listener("more")], tcp, udp, 1)
    opened += made.fresh
    assert made.tcp[0] is tcp[0] and made.udp == udp
    assert [bound.name for bound in made.fresh] == ["more"]
    assert made.gone == []


def test_what_goes_is_closed_when_the_revision_is_served(opened: list[Bound]) -> None:
    before = [listener("web", protocols=["h1", "h3"]), listener("more")]
    tcp, udp = standing(opened, *before)
    made = rebind(before, [listener("web")], tcp, udp, 1)
    assert {bound.name for bound in made.gone} == {"web/udp", "more"}
    assert all(bound.socket.fileno() >= 0 for bound in made.gone)
    made.settle()
    assert all(bound.socket.fileno() == -1 for bound in made.gone)


def test_another_address_is_another_socket(opened: list[Bound]) -> None:
    before = [listener("web")]
    tcp, udp = standing(opened, *before)
    after = [model.Listener(name="web", host="127.0.0.2", port=0)]
    made = rebind(before, after, tcp, udp, 1)
    opened += made.fresh
    assert made.tcp[0] is not tcp[0]
    assert made.gone == tcp


def test_another_name_gets_sockets_beside_those_of_the_old_one(opened: list[Bound]) -> None:
    tcp, udp = standing(opened, listener("web"))
    port = tcp[0].address.port
    before = [listener("web", port)]
    made = rebind(before, [listener("front", port)], tcp, udp, 1)
    opened += made.fresh
    assert made.tcp[0].address == tcp[0].address and made.tcp[0] is not tcp[0]
    assert made.gone == tcp


def test_another_name_cannot_take_over_quic(opened: list[Bound]) -> None:
    tcp, udp = standing(opened, listener("web", protocols=["h1", "h3"]))
    port = tcp[0].address.port
    before = [listener("web", port, protocols=["h1", "h3"])]
    with pytest.raises(CannotBind, match="take h3 from web in one reload and give it to front in the next"):
        rebind(before, [listener("front", port, protocols=["h1", "h3"])], tcp, udp, 1)


def test_an_address_that_is_taken_leaves_nothing_bound(opened: list[Bound]) -> None:
    before = [listener("web")]
    tcp, udp = standing(opened, *before)
    with socket.create_server((HERE, 0)) as taken:
        port = taken.getsockname()[1]
        after = [*before, listener("one"), listener("two", port)]
        with pytest.raises(CannotBind, match=rf"listener two: cannot bind {HERE}:{port}"):
            rebind(before, after, tcp, udp, 1)
    assert tcp[0].socket.fileno() >= 0


# ---- history


def test_history_tells_the_last_error_until_a_reload_goes_well() -> None:
    history = History()
    assert history.shown() == {"lastError": None, "history": []}
    history.add(Attempt(1000.0, "SIGHUP", Result.INVALID, 1, 0.5, ["edge.yaml:1:1: error"], True))
    error = history.shown()["lastError"]
    assert error["reasons"] == ["edge.yaml:1:1: error"]
    assert error["at"] == "1970-01-01T00:16:40.000+00:00"
    assert history.certificate_failures == 1
    history.add(Attempt(2000.0, "a file changed", Result.APPLIED, 2, 0.5))
    assert history.shown()["lastError"] is None
    assert [each["result"] for each in history.shown()["history"]] == ["applied", "invalid"]
    assert history.last_success == 2000.5
    samples = {name + dict(labels).get("result", ""): values for name, labels, values in history.samples()}
    assert samples["edge.config.reloadsapplied"] == [1.0]
    assert samples["edge.config.reloadsrefused"] == [0.0]
    assert samples["edge.tls.certificate.failures"] == [1.0]


def test_history_is_bounded() -> None:
    history = History()
    for number in range(1000):
        history.add(Attempt(float(number), "SIGHUP", Result.UNCHANGED, 1))
    assert len(history.shown()["history"]) == 50
    assert history.counts[Result.UNCHANGED] == 1000

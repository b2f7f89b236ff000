"""Counting in a worker, summing in the supervisor, and the page Prometheus reads."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from edge.telemetry.catalogue import BUCKETS_S, CATALOGUE, Kind
from edge.telemetry.exposition import SERIES_LIMIT as TAKEN_LIMIT
from edge.telemetry.exposition import Merged, prometheus_name
from edge.telemetry.guest_metrics import GuestMetrics
from edge.telemetry.metrics import (
    GUEST_SERIES_LIMIT,
    PART_GONE,
    PART_SERIES,
    SERIES_LIMIT,
    ClientMetrics,
    Counter,
    FilterMetrics,
    Histogram,
    Registry,
    ServerMetrics,
)
from edge.wire import UP_LIMIT_BYTES, Counters

Page = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def page(merged: Merged, own: Registry | None = None) -> Page:
    text = merged.render(own.samples() if own else ()).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def message(worker: int, registry: Registry) -> Counters:
    return Counters(worker, registry.samples())


@given(st.lists(st.floats(0, 20), max_size=50))
def test_a_histogram_counts_every_value_in_its_bucket(values: list[float]) -> None:
    histogram = Histogram()
    for value in values:
        histogram.observe(value)
    total, *counts = histogram.read()
    assert total == pytest.approx(sum(values)) and sum(counts) == len(values)
    for index, bound in enumerate(BUCKETS_S):
        assert sum(counts[: index + 1]) == sum(value <= bound for value in values)


def test_the_same_name_and_labels_give_the_same_object() -> None:
    registry = Registry()
    labels = (("edge.filter.name", "f"),)
    assert registry.counter("edge.filter.calls", labels) is registry.counter("edge.filter.calls", labels)
    assert registry.counter("edge.filter.calls") is not registry.counter("edge.filter.calls", labels)


def test_only_names_of_the_catalogue_are_metrics() -> None:
    with pytest.raises(KeyError):
        Registry().counter("edge.surprise")
    with pytest.raises(KeyError):
        Registry().counter("http.server.request.duration")


def test_series_are_bounded_and_the_surplus_is_counted() -> None:
    registry = Registry()
    for number in range(SERIES_LIMIT + 5):
        registry.counter("edge.filter.calls", (("edge.filter.name", str(number)),)).value += 1
    assert len(registry.samples()) == SERIES_LIMIT and registry.refused == 5


def test_a_filter_may_define_a_hundred_series_of_its_own() -> None:
    registry = Registry()
    made = [registry.guest("f", f"metric {number}", Kind.COUNTER) for number in range(GUEST_SERIES_LIMIT + 1)]
    assert made[-1] is None and None not in made[:-1] and registry.refused == 1
    assert registry.guest("f", "metric 0", Kind.COUNTER) is made[0]
    assert registry.guest("g", "metric 0", Kind.GAUGE) is not None


def test_workers_are_summed_and_a_dead_worker_keeps_its_counts() -> None:
    merged = Merged()
    for worker, calls in ((0, 3), (1, 4)):
        registry = Registry()
        metrics = FilterMetrics(registry, "f")
        metrics.calls.value, metrics.memory.value = calls, 100
        merged.update(message(worker, registry))
    labels = (("edge_filter_name", "f"),)
    assert page(merged)["edge_filter_calls_total", labels] == 7
    assert page(merged)["edge_filter_memory_bytes", labels] == 200
    merged.retire(1)
    assert page(merged)["edge_filter_calls_total", labels] == 7
    assert page(merged)["edge_filter_memory_bytes", labels] == 100
    again = Registry()
    FilterMetrics(again, "f").calls.value = 2
    merged.update(message(1, again))
    assert page(merged)["edge_filter_calls_total", labels] == 9


def test_a_request_is_a_duration_and_bytes() -> None:
    registry, merged = Registry(), Merged()
    metrics = ServerMetrics(registry, "api")
    for status, duration_s in ((200, 0.003), (200, 0.02), (503, 99)):
        metrics.durations[status].observe(duration_s)
    metrics.response_bytes.value += 46
    ClientMetrics(registry, "shop").durations[0].observe(0.5)
    ClientMetrics(registry, "shop").rejected("connections")
    merged.update(message(0, registry))
    shown = page(merged)
    ok = (("edge_route_name", "api"), ("http_response_status_code", "200"))
    assert shown["http_server_request_duration_seconds_count", ok] == 2
    assert shown["http_server_request_duration_seconds_sum", ok] == pytest.approx(0.023)
    assert shown["http_server_request_duration_seconds_bucket", (*ok[:1], *ok[1:], ("le", "0.005"))] == 1
    assert shown["http_server_request_duration_seconds_bucket", (*ok, ("le", "+Inf"))] == 2
    bad = (("edge_route_name", "api"), ("http_response_status_code", "503"))
    assert shown["http_server_request_duration_seconds_bucket", (*bad, ("le", "10.0"))] == 0
    assert shown["http_server_request_duration_seconds_bucket", (*bad, ("le", "+Inf"))] == 1
    assert shown["edge_server_response_bytes_total", (("edge_route_name", "api"),)] == 46
    assert (
        shown["edge_cluster_rejected_total", (("edge_cluster_name", "shop"), ("reason", "connections"))] == 1
    )


def test_guests_cannot_forge_lines_of_the_page() -> None:
    registry, merged = Registry(), Merged()
    hostile = 'x"} 1\nforged_total 7\\'
    metric = registry.guest("f", hostile, Kind.COUNTER)
    assert isinstance(metric, Counter)
    metric.value = 2
    labels = (("edge.filter.name", "f"), ("error.type", "edge.trap.unreachable"))
    registry.counter("edge.filter.errors", labels).value += 1
    merged.update(message(0, registry))
    shown = page(merged)
    labels = (("edge_filter_name", "f"), ("edge_guest_metric", hostile))
    assert shown["edge_filter_guest_counter_total", labels] == 2
    assert (
        shown[
            "edge_filter_errors_total", (("edge_filter_name", "f"), ("error_type", "edge.trap.unreachable"))
        ]
        == 1
    )
    assert not any(name.startswith("forged") for name, _ in shown)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), st.floats())
def test_any_label_and_any_number_are_read_back(label: str, value: float) -> None:
    registry, merged = Registry(), Merged()
    FilterMetrics(registry, label).memory.value = value
    merged.update(message(0, registry))
    shown = page(merged)["edge_filter_memory_bytes", (("edge_filter_name", label),)]
    assert shown == value or (math.isnan(shown) and math.isnan(value))


def test_samples_nobody_knows_are_skipped_and_counted() -> None:
    merged = Merged()
    merged.update(Counters(0, [("edge.surprise", [], [1.0]), ("edge.filter.calls", [], [1.0, 2.0])]))
    assert merged.malformed == 2 and not page(merged)


def test_many_series_go_up_in_turn_in_parts_that_fit_a_message() -> None:
    registry, merged = Registry(), Merged()
    for number in range(5 * PART_SERIES // 2):
        labels = (("edge.filter.name", "f" * 63), ("edge.guest.metric", f"{number:04}" + "\U0001f600" * 124))
        registry.histogram("edge.filter.guest.histogram", labels).observe(number / 3)
    for number in range(2 * PART_GONE):
        labels = (("edge.filter.name", "g" * 63), ("edge.guest.metric", f"{number:04}" + "\U0001f600" * 124))
        registry.histogram("edge.filter.guest.histogram", labels)
    for _ in registry.forget("edge.filter.name", {"g" * 63}):
        pass
    sizes = []
    for _ in range(4):
        sent = Counters(0, *registry.part())
        assert len(msgspec.msgpack.encode(sent)) < UP_LIMIT_BYTES
        merged.update(sent)
        sizes.append(len(sent.samples))
    assert sizes == [PART_SERIES, PART_SERIES, PART_SERIES // 2, PART_SERIES]
    assert len(merged.table()) == 5 * PART_SERIES // 2


def test_few_series_go_up_each_time() -> None:
    registry = Registry()
    registry.counter("edge.worker.unhandled").value = 1
    assert [registry.part() for _ in range(3)] == [([("edge.worker.unhandled", [], [1.0])], [])] * 3


ROUTE = "edge.route.name"
BYTES = "edge.server.response.bytes"


def routes(*names: str) -> Registry:
    registry = Registry()
    for name in names:
        registry.counter(BYTES, ((ROUTE, name),)).value = 5
    return registry


def forgotten(registry: Registry, *names: str) -> None:
    for _ in registry.forget(ROUTE, set(names)):
        pass


def test_series_of_what_is_no_more_go_here_and_there() -> None:
    one, other, merged = routes("stays", "goes"), routes("stays", "goes"), Merged()
    for number, registry in enumerate((one, other)):
        merged.update(Counters(number, *registry.part()))
    merged.retire(1)
    merged.update(Counters(1, *other.part()))
    assert page(merged)["edge_server_response_bytes_total", (("edge_route_name", "goes"),)] == 15
    forgotten(one, "goes")
    merged.update(Counters(0, *one.part()))
    assert page(merged)["edge_server_response_bytes_total", (("edge_route_name", "goes"),)] == 10
    forgotten(other, "goes")
    merged.update(Counters(1, *other.part()))
    assert page(merged) == {("edge_server_response_bytes_total", (("edge_route_name", "stays"),)): 15}
    assert one.part()[1] == [], "told once"


def test_a_series_that_comes_back_begins_anew_and_is_not_told_to_be_gone() -> None:
    registry, merged = routes("back"), Merged()
    before = registry.counter(BYTES, ((ROUTE, "back"),))
    merged.update(Counters(0, *registry.part()))
    forgotten(registry, "back")
    again = registry.counter(BYTES, ((ROUTE, "back"),))
    assert again is not before
    again.value = 1
    samples, gone = registry.part()
    assert (samples, gone) == ([(BYTES, [(ROUTE, "back")], [1.0])], [])


def test_what_was_not_heard_is_told_again() -> None:
    registry = routes("goes", "back")
    forgotten(registry, "goes", "back")
    samples, gone = registry.part()
    assert not samples and len(gone) == 2
    registry.counter(BYTES, ((ROUTE, "back"),))
    registry.tell_again(gone)
    assert registry.part()[1] == [(BYTES, [(ROUTE, "goes")])]


def test_what_is_gone_is_told_in_parts() -> None:
    registry = routes(*(str(number) for number in range(PART_GONE + 7)))
    forgotten(registry, *(str(number) for number in range(PART_GONE + 7)))
    assert [len(registry.part()[1]) for _ in range(3)] == [PART_GONE, 7, 0]


def test_a_filter_that_is_gone_may_come_back_with_all_its_series() -> None:
    registry = Registry()
    for number in range(GUEST_SERIES_LIMIT):
        assert registry.guest("f", f"metric {number}", Kind.COUNTER) is not None
    for _ in registry.forget("edge.filter.name", {"f"}):
        pass
    assert registry.guest("f", "another", Kind.COUNTER) is not None
    assert len(registry.samples()) == 1


def test_a_worker_that_invents_series_without_end_is_not_heard() -> None:
    merged = Merged()
    for number in range(0, 2 * TAKEN_LIMIT, PART_SERIES):
        samples = [("edge.filter.calls", [("n", str(number + each))], [1.0]) for each in range(PART_SERIES)]
        merged.update(Counters(0, samples))
    assert len(merged.table()) == TAKEN_LIMIT
    merged.update(Counters(0, [("edge.filter.calls", [("n", "0")], [7.0])]))
    assert merged.table()["edge.filter.calls", (("n", "0"),)] == [7.0]


def test_the_supervisor_adds_its_own_and_gauges_are_read_late() -> None:
    own, merged = Registry(), Merged()
    gauge = own.gauge("edge.config.last_success")
    own.before_read(lambda: setattr(gauge, "value", 12.0))
    assert page(merged, own) == {("edge_config_last_success_seconds", ()): 12.0}


@pytest.mark.parametrize("name", list(CATALOGUE))
def test_every_name_makes_a_proper_prometheus_name(name: str) -> None:
    entry = CATALOGUE[name]
    made = prometheus_name(name, entry.unit)
    assert made.replace("_", "").isalnum() and not made.endswith("_total") and "__" not in made
    assert "total" not in name and entry.help and entry.unit


def test_guests_reach_their_series_by_number() -> None:
    registry = Registry()
    guests = GuestMetrics(registry)
    hits = guests.define("f", 0, "hits")
    assert guests.define("f", 0, "hits") == hits and guests.define("g", 0, "hits") != hits
    load, sizes = guests.define("f", 1, "load"), guests.define("f", 2, "sizes")
    guests.add(hits, 2)
    guests.add(hits, 3)
    guests.set(load, 7)
    guests.add(load, -9)
    guests.observe(sizes, 40)
    assert (guests.value(hits), guests.value(load), guests.value(sizes)) == (5, -2, 0)
    merged = Merged()
    merged.update(message(0, registry))
    labels = (("edge_filter_name", "f"), ("edge_guest_metric", "sizes"))
    shown = page(merged)
    assert shown["edge_filter_guest_histogram_bucket", (*labels, ("le", "25.0"))] == 0
    assert shown["edge_filter_guest_histogram_bucket", (*labels, ("le", "50.0"))] == 1


def test_numbers_and_kinds_a_guest_made_up_do_nothing() -> None:
    guests = GuestMetrics(Registry())
    assert guests.define("f", 3, "x") == guests.define("f", -1, "x") == -1
    for number in (-1, 0, 99):
        guests.add(number, 1)
        guests.set(number, 1)
        guests.observe(number, 1)
        assert guests.value(number) == 0
    assert [guests.define("f", 0, str(n)) for n in range(GUEST_SERIES_LIMIT + 1)][-1] == -1


def test_a_filter_that_comes_back_counts_anew_where_it_is_seen() -> None:
    registry = Registry()
    guests = GuestMetrics(registry)
    before = guests.define("f", 0, "hits")
    guests.add(before, 5)
    for _ in registry.forget("edge.filter.name", {"f"}):
        pass
    guests.forget({"f"})
    guests.add(before, 5)
    assert guests.value(before) == 0
    again = guests.define("f", 0, "hits")
    guests.add(again, 2)
    assert [values for name, _, values in registry.samples() if name == "edge.filter.guest.counter"] == [[2]]


def test_filters_that_are_gone_leave_no_names() -> None:
    registry = Registry()
    guests = GuestMetrics(registry)
    for number in range(50):
        name = f"filter {number}"
        assert guests.define(name, 1, "load") == number
        for _ in registry.forget("edge.filter.name", {name}):
            pass
        guests.forget({name})
    assert not guests._numbers
    assert not registry.samples()


def test_a_series_that_was_forgotten_in_between_is_found_again() -> None:
    """A new revision has defined it while the old one was still being taken apart."""
    registry = Registry()
    guests = GuestMetrics(registry)
    number = guests.define("f", 0, "hits")
    for _ in registry.forget("edge.filter.name", {"f"}):
        pass
    assert guests.define("f", 0, "hits") == number
    guests.add(number, 1)
    assert [values for _, _, values in registry.samples()] == [[1]]


@given(st.lists(st.integers(0, 20_000_000_000) | st.sampled_from([5_000_000, 5_000_001, 10_000_000_000])))
def test_what_counts_later_counts_as_at_once(values: list[int]) -> None:
    at_once, later = Histogram(), Histogram()
    for value in values:
        at_once.observe(value / 1e9)
        later.later.append(value)
    (total, *counts), (expected, *others) = later.read(), at_once.read()
    assert counts == others
    assert total == pytest.approx(expected)
    assert not later.later
    assert later.read()[1:] == others

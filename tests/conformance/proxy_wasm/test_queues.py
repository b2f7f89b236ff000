"""Shared queues: who hears of them, in which turn, and what becomes of them when somebody traps."""

from __future__ import annotations

import gc

from edge.abi.proxy_wasm import ProxyWasmFilter
from tests.conformance.proxy_wasm.rig import FakePort, FakeServices, Output, request_head
from tests.conformance.proxy_wasm.script import Script, cell
from tests.conformance.proxy_wasm.scripted import opened, scripted

OK, NOT_FOUND, EMPTY, INTERNAL = 0, 1, 7, 10
TOKEN = 1


def register(*names: bytes) -> Script:
    """To be called in on_configure; says nothing."""
    script = Script()
    for name in names:
        script.call("register_shared_queue", name, cell(0))
    return script.quiet()


def take_one() -> Script:
    return Script().get("dequeue_shared_queue", TOKEN)


def listener(services: FakeServices, **callbacks: Script) -> ProxyWasmFilter:
    """A filter that registered the queue `q`."""
    return scripted(services, configure=register(b"q"), **callbacks)


def woken(services: FakeServices) -> list[tuple[int, int, bytes | None]]:
    """Token, status and item of each on_queue_ready until nothing waits for a turn."""
    heard = []
    while services.soon:
        services.turn()
        output = Output(services)
        while not output.at_end():
            heard.append((output.word(), output.word(), output.bytes()))
    return heard


def test_tokens_are_given_by_name_and_found_by_name() -> None:
    services = FakeServices()
    script = Script().call("register_shared_queue", b"p", cell(0)).peek(cell(0), 4)
    script.call("resolve_shared_queue", b"", b"q", cell(1)).peek(cell(1), 4)
    script.call("resolve_shared_queue", b"", b"p", cell(1)).peek(cell(1), 4)
    script.call("resolve_shared_queue", b"another", b"q", cell(1))
    stream = opened(listener(services, request_headers=script), FakePort(request_head()))
    stream.request_head(True)
    output = Output(services)
    assert [(output.word(), output.bytes()) for _ in range(3)] == [
        (OK, b"\2\0\0\0"),
        (OK, b"\1\0\0\0"),
        (OK, b"\2\0\0\0"),
    ]
    assert output.word() == NOT_FOUND


def test_an_exchange_puts_in_and_the_root_hears_of_it_in_a_later_turn() -> None:
    services = FakeServices()
    put = Script().call("enqueue_shared_queue", TOKEN, b"item")
    bound = listener(services, request_headers=put, queue_ready=take_one())
    opened(bound, FakePort(request_head())).request_head(True)
    output = Output(services)
    assert output.word() == OK and output.at_end()
    assert woken(services) == [(TOKEN, OK, b"item")]


def test_it_is_called_once_an_item_and_turn_until_nothing_waits() -> None:
    services = FakeServices()
    put = Script()
    for number in range(3):
        put.call("enqueue_shared_queue", TOKEN, b"item %d" % number)
    bound = listener(services, request_headers=put.quiet(), queue_ready=take_one())
    opened(bound, FakePort(request_head())).request_head(True)
    turns = []
    while services.soon:
        services.turn()
        turns.append(len(Output(services)._data))
    assert len(turns) == 3 and turns[0] == turns[1] == turns[2] > 0


def test_one_that_takes_nothing_is_not_called_again_until_more_is_put_in() -> None:
    services = FakeServices()
    put = Script().call("enqueue_shared_queue", TOKEN, b"x").quiet()
    bound = listener(services, request_headers=put, queue_ready=Script())
    for _ in range(2):
        opened(bound, FakePort(request_head())).request_head(True)
        turns = 0
        while services.soon:
            services.turn()
            turns += 1
        assert turns == 1 and Output(services).word() == TOKEN
    assert services.queues.take(TOKEN) == services.queues.take(TOKEN) == b"x"


def test_what_is_empty_and_what_is_not_there_are_told_apart() -> None:
    services = FakeServices()
    script = Script().call("dequeue_shared_queue", TOKEN, cell(0), cell(1))
    script.call("dequeue_shared_queue", 2, cell(0), cell(1)).call("dequeue_shared_queue", 0, cell(0), cell(1))
    script.call("enqueue_shared_queue", 2, b"x").call("enqueue_shared_queue", TOKEN, b"y")
    script.get("dequeue_shared_queue", TOKEN)
    stream = opened(listener(services, request_headers=script), FakePort(request_head()))
    stream.request_head(True)
    output = Output(services)
    assert output.words(5) == [EMPTY, NOT_FOUND, NOT_FOUND, NOT_FOUND, OK]
    assert (output.word(), output.bytes()) == (OK, b"y")


def test_a_queue_that_is_full_is_one_that_is_not_found_and_nobody_traps() -> None:
    services = FakeServices()
    bound = listener(services, request_headers=Script().call("enqueue_shared_queue", TOKEN, b"x" * 5000))
    answers = []
    for _ in range(260):
        opened(bound, FakePort(request_head())).request_head(True)
        answers.append(Output(services).word())
    assert answers[:200] == [OK] * 200 and answers[-1] == NOT_FOUND
    assert bound.life.traps == 0


def test_of_two_filters_the_one_that_registered_last_hears() -> None:
    services = FakeServices()
    put = Script().call("enqueue_shared_queue", TOKEN, b"x").quiet()
    first = listener(services, request_headers=put, queue_ready=Script().trap())
    last = listener(services, queue_ready=take_one())
    opened(first, FakePort(request_head())).request_head(True)
    assert woken(services) == [(TOKEN, OK, b"x")]
    assert first.life.traps == last.life.traps == 0


def test_a_trap_in_it_takes_the_instance_and_the_next_one_hears_of_what_is_left() -> None:
    services = FakeServices()
    put = Script().call("enqueue_shared_queue", TOKEN, b"x").quiet()
    bound = listener(
        services, request_headers=put, queue_ready=Script().get("dequeue_shared_queue", 9).trap()
    )
    services.warm.run()
    opened(bound, FakePort(request_head())).request_head(True)
    services.turn()
    assert bound.life.traps == 1 and services.queues.take(TOKEN) == b"x"
    assert bound.life.current is not None and bound.life.current.attached


def test_one_that_is_gone_leaves_the_items_to_the_next() -> None:
    services = FakeServices()
    put = Script().call("enqueue_shared_queue", TOKEN, b"x").quiet()
    bound = listener(services, request_headers=put)
    stream = opened(bound, FakePort(request_head()))
    stream.request_head(True)
    stream.done()
    bound.retire()
    del bound, stream
    services.soon.clear()
    services.shared._scheduled = False
    gc.collect()
    listener(services, queue_ready=take_one())
    assert woken(services) == [(TOKEN, OK, b"x")]


def test_what_is_put_in_while_it_starts_is_heard_when_it_serves() -> None:
    services = FakeServices()
    configure = Script().call("register_shared_queue", b"q", cell(0))
    configure.call("enqueue_shared_queue", TOKEN, b"early").quiet()
    scripted(services, configure=configure, queue_ready=take_one())
    assert woken(services) == [(TOKEN, OK, b"early")]

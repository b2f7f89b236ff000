"""A plain Python Proxy-Wasm host: the same table as the inner host's, written for reading.

It shares no code with edge.abi; what both answer for the same guest and the same calls must be
equal. Slow on purpose: public API of wasmtime, everything immediate, no windows, no ops.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from edge.chain.filter import Action, Direction
from edge.errors import BadRequest, FilterError
from edge.head import Fields, ResponseHead
from tests.conformance.proxy_wasm.rig import FakePort, FakeServices
from tests.contract.proxy_wasm.guest_memory import Fault, Guest
from tests.contract.proxy_wasm.host_functions import (
    BAD_MEMORY,
    INTERNAL,
    NOT_FOUND,
    OK,
    ROOT,
    Context,
    HostFunctions,
    Refused,
)
from tests.contract.proxy_wasm.working_copy import WorkingCopy


class Oracle(HostFunctions):
    """One started instance."""

    def __init__(
        self,
        wasm: bytes,
        services: FakeServices,
        config: bytes,
        backends: frozenset[str] = frozenset(),
        callouts: frozenset[str] = frozenset(),
    ) -> None:
        self.services = services
        self.config = config
        self.backends = backends
        self.clusters = callouts
        self.root = Context(ROOT, None)
        self.contexts: dict[int, Context] = {ROOT: self.root}
        self.current = self.root
        self.maps: dict[int, WorkingCopy | None] = {}
        self.call: tuple[ResponseHead | None, bytes, Fields] | None = None
        self.last_call = 0
        self.series: dict[tuple[int, bytes], int] = {}
        self.sinks: list[int] = []
        self.next_id = 2
        self.late = 0
        self.guest = Guest(wasm, self._functions())
        self._enter(self.root, "proxy_on_context_create", ROOT, 0)
        self._enter(self.root, "proxy_on_vm_start", ROOT, 0)
        self.configured = self._enter(self.root, "proxy_on_configure", ROOT, len(config))

    def _functions(self) -> dict[str, Callable[..., int | None]]:
        own = {name[2:]: getattr(self, name) for name in dir(self) if name.startswith("h_")}
        table: dict[str, Callable[..., int | None]] = {
            f"proxy_{name}": partial(self._guarded, function) for name, function in own.items()
        }
        refusals = {"grpc_call": INTERNAL, "grpc_stream": INTERNAL, "grpc_send": NOT_FOUND}
        refusals |= dict.fromkeys(("grpc_cancel", "grpc_close", "call_foreign_function"), NOT_FOUND)
        refusals |= {
            f"{verb}_shared_queue": NOT_FOUND for verb in ("resolve", "enqueue", "dequeue", "register")
        }
        table |= {f"proxy_{name}": partial(_answer, status) for name, status in refusals.items()}
        wasi = ("args_get", "args_sizes_get", "environ_get", "environ_sizes_get", "fd_write", "fd_fdstat_get")
        wasi += ("clock_time_get", "random_get", "poll_oneoff", "fd_prestat_get", "path_open", "proc_exit")
        return table | {name: partial(_answer, 0) for name in wasi}

    @staticmethod
    def _guarded(function: Callable[..., int | None], *arguments: int) -> int:
        try:
            return function(*arguments) or OK
        except Fault:
            return BAD_MEMORY
        except Refused as refused:
            return refused.status

    # Driving, as edge's StreamContext is driven

    def _enter(self, context: Context, callback: str, *arguments: int) -> int:
        self.current, self.maps = context, {}
        answer = self.guest.call(callback, *arguments)
        self._write_back()
        return answer

    def _report_late(self) -> None:
        if self.late:
            text = f"{self.late} edits ignored: that head or trailer had already gone on"
            self.services.lines.append((3, text))
            self.late = 0

    def open(self, port: FakePort) -> Context:
        context = Context(self.next_id, port)
        self.next_id += 1
        self.contexts[context.number] = context
        return context

    def drive(
        self, context: Context, callback: str, direction: int, *arguments: int, end: bool = False
    ) -> Action:
        if context.failure is not None:
            return Action.FAIL
        context.made = [] if end else None
        context.phase = direction
        if not context.created:
            context.created = True
            self._enter(context, "proxy_on_context_create", context.number, ROOT)
        answer = self._enter(context, callback, context.number, *arguments)
        context.phase = -1
        self._report_late()
        self._act_elsewhere(context)
        return self._verdict(context, direction, answer)

    def _act_elsewhere(self, entered: Context) -> None:
        for context in self.contexts.values():
            if context is entered or context.port is None:
                continue
            reply, context.reply = context.reply, None
            continued, context.continued = context.continued, []
            if context.failure is not None:
                context.port.fail(context.failure)
            elif context.closing:
                context.port.reset()
            elif reply is not None:
                context.port.reply(reply)
            else:
                for direction in sorted(set(continued)):
                    context.port.resume(direction)

    def _verdict(self, context: Context, direction: int, answer: int) -> Action:
        port = context.port
        assert port is not None
        if context.failure is not None:
            return Action.FAIL
        if context.closing:
            port.reset()
            return Action.RESET
        reply, context.reply = context.reply, None
        if reply is not None:
            return Action.REPLY if port.reply(reply) else Action.CONTINUE
        continued, context.continued = context.continued, []
        paused = answer != 0 and not context.replied
        for each in sorted(set(continued)):
            if paused or each != direction:
                port.resume(each)
        return Action.PAUSE if paused else Action.CONTINUE

    def trailers(self, context: Context, direction: Direction, count: int) -> Action:
        name = "proxy_on_response_trailers" if direction else "proxy_on_request_trailers"
        action = self.drive(context, name, direction, count)
        if action is Action.CONTINUE:
            context.gone |= 1 << direction
        return action

    def done(self, context: Context) -> None:
        if context.created:
            for callback in ("proxy_on_done", "proxy_on_log", "proxy_on_delete"):
                self._enter(context, callback, context.number)
        self._report_late()
        self._act_elsewhere(context)
        del self.contexts[context.number]

    def tick(self) -> None:
        self._enter(self.root, "proxy_on_tick", ROOT)
        self._report_late()
        self._act_elsewhere(self.root)

    def called_back(
        self, context: Context, token: int, head: ResponseHead | None, body: bytes, trailers: Fields
    ) -> None:
        self.call = (head, body, trailers)
        count = head.encoded()[1] if head is not None else 0
        self._enter(self.root, "proxy_on_http_call_response", ROOT, token, count, len(body), len(trailers))
        self.call = None
        self._report_late()
        self._act_elsewhere(self.root)
        if context.port is not None and context.number in self.contexts:
            context.port.waiting(-1)

    def _write_back(self) -> None:
        context = self.current
        for kind, copy in self.maps.items():
            if copy is None or not copy.dirty:
                continue
            try:
                copy.write_back()
            except BadRequest as error:
                context.failure = FilterError(error.detail)
            if copy.message is None and context.port is not None and copy.fields is context.made:
                set_trailers = (context.port.set_request_trailers, context.port.set_response_trailers)[
                    kind // 2
                ]
                set_trailers(copy.fields)
        self.maps = {}


def _answer(status: int, *_arguments: int) -> int:
    return status

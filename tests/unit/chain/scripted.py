"""A filter that follows a script, a host that notes what it is told: the chain without a guest."""

from __future__ import annotations

from collections.abc import Callable

from edge.chain.filter import Action, BoundFilter, Direction, LocalReply, Phase, Port
from edge.chain.run import ChainRun
from edge.errors import EdgeError, FilterError
from edge.head import Fields, RequestHead, ResponseHead

ALL_PHASES = Phase(63)
REQUEST = Direction.REQUEST
RESPONSE = Direction.RESPONSE
Step = Callable[["ScriptedFilter"], Action] | Action


class ScriptedFilter:
    """Answers callback `x` by popping the script's list for `x`; CONTINUE once it is empty."""

    def __init__(self, bound: Scripted, port: Port) -> None:
        self.bound = bound
        self.port = port
        self.failure: FilterError | None = None
        self.seen: list[str] = []
        self.finished = 0
        self.size = 0
        self.end = False
        self.script: dict[str, list[Step]] = {name: list(steps) for name, steps in bound.script.items()}

    def _answer(self, callback: str, note: str) -> Action:
        assert not self.finished, "callback after done"
        self.seen.append(note)
        self.bound.log.append(f"{self.bound.name} {note}")
        steps = self.script.get(callback)
        step = steps.pop(0) if steps else Action.CONTINUE
        return step if isinstance(step, Action) else step(self)

    def request_head(self, end: bool) -> Action:
        return self._answer("request_head", "request_head end" if end else "request_head")

    def request_data(self, size: int, end: bool) -> Action:
        self.size, self.end = size, end
        return self._answer("request_data", f"request_data {size}{' end' if end else ''}")

    def request_trailers(self) -> Action:
        return self._answer("request_trailers", "request_trailers")

    def response_head(self, end: bool) -> Action:
        return self._answer("response_head", "response_head end" if end else "response_head")

    def response_data(self, size: int, end: bool) -> Action:
        self.size, self.end = size, end
        return self._answer("response_data", f"response_data {size}{' end' if end else ''}")

    def response_trailers(self) -> Action:
        return self._answer("response_trailers", "response_trailers")

    def done(self) -> None:
        assert not self.finished, "done twice"
        self.finished += 1
        self.bound.log.append(f"{self.bound.name} done")


class Scripted:
    """A bound filter; `open_error` makes `open` fail. `filter` is the one of the last exchange."""

    filter: ScriptedFilter

    def __init__(
        self,
        name: str = "f",
        phases: Phase = ALL_PHASES,
        *,
        fail_open: bool = False,
        pause_s: float = 5.0,
        body_bytes: int = 1 << 20,
        open_error: FilterError | None = None,
        log: list[str] | None = None,
        **script: list[Step],
    ) -> None:
        self.name = name
        self.phases = phases
        self.fail_open = fail_open
        self.pause_s = pause_s
        self.body_bytes = body_bytes
        self.digest = "0" * 64
        self.abi = "scripted"
        self.open_error = open_error
        self.log: list[str] = [] if log is None else log
        self.script = script

    def open(self, port: Port) -> ScriptedFilter | FilterError:
        if self.open_error is not None:
            return self.open_error
        self.filter = ScriptedFilter(self, port)
        return self.filter


class NotingHost:
    """Notes every call in `calls`; collects what left the chain; a clock that tests move."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.over = False
        self.soon: list[Callable[[], None]] = []
        self.time = 1000.0
        self.deadline: float | None = None
        self.request: RequestHead | None = None
        self.request_body = b""
        self.request_trailers: Fields | None = None
        self.request_ended = False
        self.response: ResponseHead | None = None
        self.response_body = b""
        self.response_trailers: Fields | None = None
        self.response_ended = False
        self.won: LocalReply | None = None
        self.error: EdgeError | None = None
        self.paused = {"request": False, "response": False}
        self.properties: dict[bytes, bytes] = {}
        self.backend = ""
        self.on: dict[str, Callable[[], None]] = {}

    def _note(self, call: str) -> None:
        assert not self.over, f"{call} after the end"
        self.calls.append(call)
        hook = self.on.pop(call.split(" ", maxsplit=1)[0], None)
        if hook is not None:
            hook()

    def forward_request_head(self, head: RequestHead, end: bool) -> None:
        assert self.request is None, "two request heads"
        self.request, self.request_ended = head, end
        self._note("request_head end" if end else "request_head")

    def forward_request_data(self, data: bytes, end: bool) -> None:
        assert self.request is not None and not self.request_ended
        assert data or end
        self.request_body += data
        self.request_ended = end
        self._note(f"request_data {len(data)}{' end' if end else ''}")

    def forward_request_trailers(self, fields: Fields) -> None:
        assert self.request is not None and not self.request_ended
        self.request_trailers, self.request_ended = fields, True
        self._note("request_trailers")

    def forward_response_head(self, head: ResponseHead, end: bool) -> None:
        assert self.response is None, "two response heads"
        self.response, self.response_ended = head, end
        self._note(f"response_head {head.status}{' end' if end else ''}")

    def forward_response_data(self, data: bytes, end: bool) -> None:
        assert self.response is not None and not self.response_ended
        assert data or end
        self.response_body += data
        self.response_ended = end
        self._note(f"response_data {len(data)}{' end' if end else ''}")

    def forward_response_trailers(self, fields: Fields) -> None:
        assert self.response is not None and not self.response_ended
        self.response_trailers, self.response_ended = fields, True
        self._note("response_trailers")

    def reply_won(self, reply: LocalReply) -> None:
        assert self.won is None, "two replies"
        assert self.response is None, "a reply after a response head"
        self.won = reply
        self._note(f"reply_won {reply.status}")

    def reset_exchange(self, error: EdgeError) -> None:
        self.error = error
        self._note(f"reset {error.flag}")
        self.over = True

    def pause_request_source(self) -> None:
        self._switch("request", True)

    def resume_request_source(self) -> None:
        self._switch("request", False)

    def pause_response_source(self) -> None:
        self._switch("response", True)

    def resume_response_source(self) -> None:
        self._switch("response", False)

    def _switch(self, side: str, pause: bool) -> None:
        assert self.paused[side] is not pause, "source switched twice"
        self.paused[side] = pause
        self._note(f"{'pause' if pause else 'resume'}_{side}_source")

    def call_soon(self, callback: Callable[[], None]) -> None:
        assert not self.over
        self.soon.append(callback)

    def turn(self) -> None:
        """The end of the loop's turn."""
        while self.soon:
            self.soon.pop(0)()

    def set_pause_deadline(self, deadline_in_s: float | None) -> None:
        assert not self.over
        self.deadline = None if deadline_in_s is None else self.time + deadline_in_s

    def now(self) -> float:
        return self.time

    def property(self, path: bytes) -> bytes | None:
        return self.properties.get(path)

    def set_backend(self, cluster: str) -> bool:
        assert not self.over
        self.backend = cluster
        return True

    def request_needs_body(self) -> None:
        self._note("request_needs_body")


class Stage:
    """A run on a host with scripted filters that share one log, and short words for the heads."""

    def __init__(self, *bound: Scripted, sampled: bool = False) -> None:
        self.log: list[str] = []
        for one in bound:
            one.log = self.log
        self.bound = bound
        self.host = NotingHost()
        self.ns = 0
        chain: tuple[BoundFilter, ...] = bound
        self.run = ChainRun(chain, self.host, sampled, self._clock_ns)

    def _clock_ns(self) -> int:
        self.ns += 1
        return self.ns

    def ask(self, end: bool = True, length: int | None = None, method: bytes = b"GET") -> None:
        """The request head arrives."""
        self.run.request_head(RequestHead(method, b"http", b"a", b"/", [], length), end)

    def answer(self, end: bool = True, length: int | None = None, status: int = 200) -> None:
        """Upstream's response head arrives."""
        self.run.response_head(ResponseHead(status, [], length), end)

    def pass_time(self, seconds: float) -> None:
        """Move the clock; an expired deadline fires."""
        self.host.time += seconds
        if self.host.deadline is not None and self.host.deadline <= self.host.time:
            self.host.deadline = None
            self.run.pause_expired()

    def finish(self) -> list[str]:
        """The host ends the exchange; what the filters saw."""
        self.run.done()
        self.host.over = True
        self.host.turn()
        return self.log

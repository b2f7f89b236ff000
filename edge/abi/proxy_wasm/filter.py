"""A Proxy-Wasm filter of a prepared chain. Implements `edge.chain.filter.BoundFilter`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from edge import model
from edge.abi.life import Life
from edge.abi.proxy_wasm.exchange import StreamContext
from edge.abi.proxy_wasm.host import ProxyWasmModule
from edge.abi.services import HostServices
from edge.chain.filter import Phase, Port
from edge.errors import FilterError, FilterUnavailable

if TYPE_CHECKING:
    from edge.abi.proxy_wasm.cell import Cell
    from edge.abi.proxy_wasm.group import Group

_PHASES = {
    "proxy_on_request_headers": Phase.REQUEST_HEAD,
    "proxy_on_request_body": Phase.REQUEST_DATA,
    "proxy_on_request_trailers": Phase.REQUEST_TRAILERS,
    "proxy_on_response_headers": Phase.RESPONSE_HEAD,
    "proxy_on_response_body": Phase.RESPONSE_DATA,
    "proxy_on_response_trailers": Phase.RESPONSE_TRAILERS,
}
_REQUEST_ENDS = frozenset(("proxy_on_context_create", "proxy_on_done", "proxy_on_log"))
_ENDS = frozenset(("proxy_on_done", "proxy_on_log", "proxy_on_delete"))


def phases_of(exports: frozenset[str]) -> Phase:
    """The phases a guest has callbacks for. One that only logs is created by the request's head."""
    phases = Phase(0)
    for name, phase in _PHASES.items():
        if name in exports:
            phases |= phase
    if not phases and exports & _REQUEST_ENDS:
        phases = Phase.REQUEST_HEAD
    return phases


def _transcoded(data: bytes) -> bytes:
    """Values that are not UTF-8 are taken for Latin-1, so that no guest traps on them."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return b"\0".join(map(_transcoded_part, data.split(b"\0")))
    return data


def _transcoded_part(part: bytes) -> bytes:
    try:
        part.decode()
    except UnicodeDecodeError:
        return part.decode("latin-1").encode()
    return part


class ProxyWasmFilter:
    """Everything a revision decides about one filter.

    `allowance` packs the budget of host calls (low 32 bits) and bytes copied (high 32 bits).
    """

    def __init__(
        self, made: model.Filter, module: ProxyWasmModule, services: HostServices, slot: int
    ) -> None:
        limits = made.limits
        self.name = made.name
        self.slot = slot
        """Which guest of its group's cells it is."""
        self.module = module
        self.services = services
        self.limits = limits
        self.config = made.config
        self.vm_config = made.vm_config
        self.vm_id = made.vm_id
        self.environment = made.env
        self.backends = frozenset(made.allow.backends)
        self.callout_clusters = frozenset(made.allow.callouts)
        self.callouts_limit = limits.callouts
        self.phases = phases_of(module.exports)
        self.ends = not _ENDS.isdisjoint(module.exports)
        """Whether the guest wants to hear of the end of an exchange."""
        self.fail_open = made.fail_open
        self.ticks = services.first or not made.singleton
        self.pause_s = limits.pause_s
        self.body_bytes = limits.body_bytes
        self.digest = made.module
        self.abi = made.abi
        self.allowance = min(limits.bytes_copied, 0xFFFFFFFF) << 32 | min(limits.host_calls, 0xFFFFFFFF)
        self.traps = 0
        self.lines_dropped = 0
        self.metrics_dropped = 0
        self.own_properties = {
            b"plugin_name": made.name.encode(),
            b"plugin_root_id": made.root_id.encode(),
            b"plugin_vm_id": made.vm_id.encode(),
        }
        self._non_utf8 = made.non_utf8

    # Its group

    def join(self, group: Group) -> None:
        """Once, before anything else."""
        self.group: Group | None = group
        self.life: Life[Cell] = group.life

    def prepare(self, done: Callable[[Exception | None], None]) -> None:
        """Start the first instance on `warm`; `done` gets why it could not be started, or None."""
        assert self.group is not None
        self.group.prepare(done)

    def retire(self) -> None:
        """No new exchange will come; instances end with their last one. Holds for the whole group."""
        if self.group is not None:
            self.group.retire()

    def part(self) -> None:
        """The group is retired. Without this only the collector would free the two."""
        self.group = None

    # Exchanges

    def open(self, port: Port) -> StreamContext | FilterError:
        cell = self.life.current
        if cell is None or not cell.attached:
            if self.group is None:
                return FilterUnavailable("the filter is retired", self.name)
            found = self.group.acquire(port.request, self.slot)
            if isinstance(found, FilterUnavailable):
                return found
            cell = found
        stream = StreamContext(cell.instances[self.slot], port)
        if cell.start_ns:
            # Started inside this exchange: that counts against its budget.
            stream.noted().cpu_ns, cell.start_ns = cell.start_ns, 0
        return stream

    # What guests see

    def shown(self, data: bytes) -> bytes | None:
        """A map that is not all ASCII, as `nonUtf8` says; None = reject the message."""
        if self._non_utf8 == "raw":
            return data
        shown = _transcoded(data)
        return None if self._non_utf8 == "reject" and shown is not data else shown

    def present(self, data: bytes) -> bytes:
        """The same for maps that are read on the side, where nothing can be rejected any more."""
        if data.isascii() or self._non_utf8 == "raw":
            return data
        return _transcoded(data)

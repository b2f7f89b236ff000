"""A Proxy-Wasm filter of a prepared chain. Implements `edge.chain.filter.BoundFilter`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from weakref import WeakSet

from edge import model
from edge.abi.life import Life
from edge.abi.proxy_wasm.exchange import StreamContext
from edge.abi.proxy_wasm.host import ProxyWasmModule
from edge.abi.proxy_wasm.instance import Instance
from edge.abi.services import HostServices
from edge.chain.filter import Phase, Port
from edge.errors import FilterError, FilterUnavailable

T = TypeVar("T")

_PHASES = {
    "proxy_on_request_headers": Phase.REQUEST_HEAD,
    "proxy_on_request_body": Phase.REQUEST_DATA,
    "proxy_on_request_trailers": Phase.REQUEST_TRAILERS,
    "proxy_on_response_headers": Phase.RESPONSE_HEAD,
    "proxy_on_response_body": Phase.RESPONSE_DATA,
    "proxy_on_response_trailers": Phase.RESPONSE_TRAILERS,
}
_REQUEST_ENDS = frozenset(("proxy_on_context_create", "proxy_on_done", "proxy_on_log"))


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
    """Everything a revision decides about one filter, and its instances.

    `allowance` packs the budget of host calls (low 32 bits) and bytes copied (high 32 bits).
    """

    def __init__(self, made: model.Filter, module: ProxyWasmModule, services: HostServices) -> None:
        limits = made.limits
        self.name = made.name
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
        self.fail_open = made.fail_open
        self.pause_s = limits.pause_s
        self.body_bytes = limits.body_bytes
        self.digest = made.module
        self.abi = made.abi
        self.allowance = min(limits.bytes_copied, 0xFFFFFFFF) << 32 | min(limits.host_calls, 0xFFFFFFFF)
        self.lines_dropped = 0
        self.metrics_dropped = 0
        self.own_properties = {
            b"plugin_name": made.name.encode(),
            b"plugin_root_id": made.root_id.encode(),
            b"plugin_vm_id": made.vm_id.encode(),
        }
        self._non_utf8 = made.non_utf8
        self._instances: WeakSet[Instance] = WeakSet()
        self._shared = made.isolation == "Shared"
        self._retired = False
        self.life: Life[Instance] = Life(
            made.name, self._make, _Attaching(self, services), services, self._shared
        )

    # Instances

    def prepare(self, done: Callable[[Exception | None], None]) -> None:
        """Start the first instance on `warm`; `done` gets why it could not be started, or None."""
        self.life.prepare(done)

    def _make(self, inline: bool) -> Instance:
        instance = Instance(self, inline)
        self._instances.add(instance)
        return instance

    def delivered(self, result: object) -> None:
        """The life has taken what `warm` made; a trial of Request isolation is over with that."""
        if isinstance(result, Instance) and not self._shared:
            result.discard()
        self.attach_current()

    def attach_current(self) -> None:
        """Whatever the life put in charge begins to serve."""
        current = self.life.current
        if current is not None and not current.attached and not self._retired:
            current.attach()

    def instance_trapped(self, instance: Instance) -> None:
        """Called once by an instance that just died."""
        self.life.trapped(instance)
        self.attach_current()

    def retire(self) -> None:
        """No new exchange will come; instances end with their last one."""
        self._retired = True
        self.life.retire()
        for instance in list(self._instances):
            instance.retire()

    # Exchanges

    def open(self, port: Port) -> StreamContext | FilterError:
        instance = self.life.current
        if instance is None or not instance.attached:
            found = self.life.acquire()
            if isinstance(found, FilterUnavailable):
                return found
            instance = found
            if not instance.attached:
                instance.attach()
        stream = StreamContext(instance, port)
        if instance.start_ns:
            # Started inside this exchange: that counts against its budget.
            stream.noted().cpu_ns, instance.start_ns = instance.start_ns, 0
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


class _Attaching:
    """The warm thread as the life sees it: what it put in charge is attached on the loop."""

    def __init__(self, owner: ProxyWasmFilter, services: HostServices) -> None:
        self._owner = owner
        self._warm = services.warm

    def submit(self, job: Callable[[], T], done: Callable[[T | Exception], None]) -> None:
        def delivered(result: T | Exception) -> None:
            done(result)
            self._owner.delivered(result)

        self._warm.submit(job, delivered)


def bind_filter(made: model.Filter, module: ProxyWasmModule, services: HostServices) -> ProxyWasmFilter:
    """A filter of a chain over its module; call `prepare` before the revision serves."""
    return ProxyWasmFilter(made, module, services)

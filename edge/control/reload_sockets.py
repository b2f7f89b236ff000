"""The sockets of the next revision: those that stand, those that are bound anew, those that go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from edge import model
from edge.control.config.quantity import HostPort
from edge.control.sockets import Bound, CannotBind, bind_all, bind_udp

UDP = "/udp"


@dataclass(slots=True)
class Rebound:
    """In order of the listeners. `fresh` were bound for this revision, `gone` are not in it."""

    tcp: list[Bound] = field(default_factory=list)
    udp: list[Bound] = field(default_factory=list)
    fresh: list[Bound] = field(default_factory=list)
    gone: list[Bound] = field(default_factory=list)

    def undo(self) -> None:
        """The revision will not be served."""
        for bound in self.fresh:
            bound.close()

    def settle(self) -> None:
        """The revision is served: workers have descriptors of their own of what goes."""
        for bound in self.gone:
            bound.close()


def rebind(
    before: Sequence[model.Listener],
    after: Sequence[model.Listener],
    tcp: Sequence[Bound],
    udp: Sequence[Bound],
    workers: int,
) -> Rebound:
    """Addresses as in the files: port 0 keeps the port it once got. Raises CannotBind, and has bound nothing.

    A name whose address is another one moves. Another name on an address that is ours gets sockets
    of its own beside the old ones, which take no more clients from then on.
    """
    asked = {listener.name: HostPort(listener.host, listener.port) for listener in before}
    stands = {bound.name: bound for bound in (*tcp, *udp)}
    ours = {bound.address.port for bound in tcp}
    made = Rebound()
    try:
        for listener in after:
            address = HostPort(listener.host, listener.port)
            bound = stands.get(listener.name) if asked.get(listener.name) == address else None
            if bound is None:
                alone = address.port not in ours
                (bound,) = bind_all([(listener.name, address)], workers=workers, alone=alone)
                made.fresh.append(bound)
                ours.add(bound.address.port)
            made.tcp.append(bound)
            if "h3" in listener.protocols:
                made.udp.append(_udp(bound, stands, made))
    except CannotBind:
        made.undo()
        raise
    kept = {id(bound) for bound in (*made.tcp, *made.udp)}
    made.gone = [bound for bound in stands.values() if id(bound) not in kept]
    return made


def _udp(tcp: Bound, stands: dict[str, Bound], made: Rebound) -> Bound:
    known = stands.get(tcp.name + UDP)
    if known is not None and known.address == tcp.address:
        return known
    for other in stands.values():
        # Two groups of sockets on one address would share the clients of both.
        if other.name.endswith(UDP) and other.address == tcp.address:
            name = other.name.removesuffix(UDP)
            raise CannotBind(
                f"listener {tcp.name}: UDP {tcp.address} belongs to listener {name}, and connections of "
                f"HTTP/3 cannot change hands; take h3 from {name} in one reload and give it to "
                f"{tcp.name} in the next"
            )
    (bound,) = bind_udp([tcp])
    made.fresh.append(bound)
    return bound

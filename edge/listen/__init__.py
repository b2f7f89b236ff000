"""Sockets, accept, TLS and SNI, through hypercorn's frame. The data plane's only importer of hypercorn."""

from edge.listen.context import set_ticket_keys
from edge.listen.listener import Listener, context_for
from edge.listen.proxy_door import door_of
from edge.listen.seam import install
from edge.listen.switch import AlpnSwitch, PrefaceSwitch

__all__ = ["AlpnSwitch", "Listener", "PrefaceSwitch", "context_for", "door_of", "install", "set_ticket_keys"]

"""Proxy-Wasm 0.1.0, 0.2.0 and 0.2.1 for HTTP, on an inner host that lives in WASM beside its guests."""

from edge.abi.proxy_wasm.filter import ProxyWasmFilter
from edge.abi.proxy_wasm.group import Group, bind_filter, bind_group, grouped
from edge.abi.proxy_wasm.host import InnerHost, ProxyWasmModule, load_inner, load_module

__all__ = [
    "Group",
    "InnerHost",
    "ProxyWasmFilter",
    "ProxyWasmModule",
    "bind_filter",
    "bind_group",
    "grouped",
    "load_inner",
    "load_module",
]

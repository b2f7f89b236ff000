"""Proxy-Wasm 0.1.0, 0.2.0 and 0.2.1 for HTTP, on an inner host that lives in WASM beside each guest."""

from edge.abi.proxy_wasm.filter import ProxyWasmFilter, bind_filter
from edge.abi.proxy_wasm.host import InnerHost, ProxyWasmModule, load_inner, load_module

__all__ = ["InnerHost", "ProxyWasmFilter", "ProxyWasmModule", "bind_filter", "load_inner", "load_module"]

"""The inner host: a Proxy-Wasm host in C that lives in WASM, and how it is built."""

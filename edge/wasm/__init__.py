"""The sandbox: engine, modules, stores, raw calls, budgets. The only importer of wasmtime.

No object of wasmtime leaves this package, and nothing here knows an ABI.
"""

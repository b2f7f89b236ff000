"""`edge filter call`: one request through one filter, on the real host, in this process."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge import model
from edge.abi.proxy_wasm import ProxyWasmFilter, bind_filter, load_inner, load_module
from edge.chain.run import ChainRun
from edge.cli.exits import EXIT_FAILED, EXIT_OK, EXIT_REFUSED, EXIT_USAGE
from edge.cli.filter.lone import LoneExchange, LoneServices
from edge.cli.filter.message import (
    DEFAULT_REQUEST,
    DEFAULT_RESPONSE,
    BadMessage,
    Request,
    Response,
    read_request,
    read_response,
)
from edge.cli.filter.outcome import outcome, text
from edge.cli.filter.source import NoModule, module_bytes
from edge.cli.state import state_directory
from edge.control.modules.library import ModuleLibrary, ModuleRefused, Provided
from edge.control.modules.store import FileModuleStore
from edge.control.waiting import waiting


@dataclass(frozen=True, slots=True)
class Call:
    """What the command line says."""

    reference: str
    request: Path | None = None
    response: Path | None = None
    config: str = ""
    backends: list[str] = field(default_factory=list)
    callouts: list[str] = field(default_factory=list)
    output: str = "text"
    state_dir: Path | None = None


def call_filter(call: Call) -> int:
    """The exit code: 0 when the filter ran, 1 when it failed, 5 when it is refused."""
    try:
        content = module_bytes(call.reference)
        request = read_request(call.request.read_bytes() if call.request else DEFAULT_REQUEST)
        raw = call.response.read_bytes() if call.response else DEFAULT_RESPONSE
        response = read_response(raw, request.head.method)
        config = Path(call.config[1:]).read_bytes() if call.config.startswith("@") else call.config.encode()
    except (NoModule, BadMessage) as error:
        print(f"edge: {error}", file=sys.stderr)
        return EXIT_USAGE
    except OSError as error:
        print(
            f"edge: cannot read {error.filename}: {(error.strerror or str(error)).lower()}", file=sys.stderr
        )
        return EXIT_USAGE
    try:
        services = LoneServices()
        bound = asyncio.run(_bound(call, content, config, services))
    except ModuleRefused as refused:
        for line in refused.errors:
            print(f"edge: {call.reference}: {line}", file=sys.stderr)
        return EXIT_REFUSED
    failure = _start(bound, services)
    told: dict[str, Any] = {"error": failure} if failure else _run(bound, services, request, response)
    result = {"schemaVersion": 1, "module": call.reference, "digest": bound.digest, **told}
    result["logs"] = [{"level": level, "text": line} for level, line in services.lines]
    print(json.dumps(result, ensure_ascii=False, indent=1) if call.output == "json" else text(result))
    if failure:
        print(f"edge: {failure}", file=sys.stderr)
    return EXIT_FAILED if result.get("error") else EXIT_OK


async def _bound(call: Call, content: bytes, config: bytes, services: LoneServices) -> ProxyWasmFilter:
    library = ModuleLibrary(FileModuleStore(state_directory(call.state_dir)))
    with waiting("compiling", call.output):
        provided = await library.provide(content)
        inner = await library.inner_host()
    try:
        module = load_module(_described(provided), [provided.guest_fd, provided.bridge_fd], load_inner(inner))
    finally:
        provided.close()
        os.close(inner)
    made = model.Filter(
        name="filter",
        module=provided.digest,
        abi=provided.abi,
        config=config,
        isolation="Shared",
        allow=model.Allow(backends=call.backends, callouts=call.callouts),
    )
    return bind_filter(made, module, services)


def _described(provided: Provided) -> model.Module:
    return model.Module(
        digest=provided.digest,
        abi=provided.abi,
        guest_fd=0,
        bridge_fd=1,
        guest_imports=provided.guest_imports,
        bridge_imports=provided.bridge_imports,
        exports=provided.exports,
    )


def _start(bound: ProxyWasmFilter, services: LoneServices) -> str:
    """Start and configure; why not, or an empty text."""
    failures: list[Exception | None] = []
    bound.prepare(failures.append)
    services.settle()
    failure = failures[0] if failures else RuntimeError("the instance did not start")
    return f"the filter did not start: {failure}" if failure is not None else ""


def _run(
    bound: ProxyWasmFilter, services: LoneServices, request: Request, response: Response
) -> dict[str, Any]:
    head = request.head
    before = head.encoded()[0]
    host = LoneExchange(services, _properties(head))
    run = ChainRun((bound,), host, True, time.perf_counter_ns)
    began = time.perf_counter_ns()
    run.request_head(head, not request.body)
    if request.body:
        run.request_data(request.body, True)
    services.settle()
    answered = host.request_ended and host.response is None and host.error is None
    response_before = response.head.encoded()[0]
    if answered:
        run.response_head(response.head, not response.body)
        if response.body:
            run.response_data(response.body, True)
        services.settle()
    run.done()
    services.settle()
    took_ns = time.perf_counter_ns() - began
    paused = not host.response_ended and host.error is None
    return outcome(
        host, run, services, (before, request.body), (response_before, response.body), paused, took_ns
    )


def _properties(head: Any) -> dict[bytes, bytes]:
    """The usual ones of a request on a test bench."""
    return {
        b"request\0path": head.path,
        b"request\0method": head.method,
        b"request\0host": head.authority,
        b"request\0scheme": head.scheme,
        b"request\0protocol": b"HTTP/1.1",
        b"source\0address": b"127.0.0.1:50000",
        b"destination\0address": b"127.0.0.1:8080",
    }

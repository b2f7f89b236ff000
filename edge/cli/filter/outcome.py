"""What a filter did to one exchange, as data and as a text with - and + lines."""

from __future__ import annotations

from difflib import ndiff
from typing import Any

from edge.chain.filter import Direction
from edge.chain.run import ChainRun
from edge.cli.filter.lone import LoneExchange, LoneServices

Message = tuple[bytes, bytes]
"""Encoded head (as guests see it) and body."""


def outcome(
    host: LoneExchange,
    run: ChainRun,
    services: LoneServices,
    request: Message,
    response: Message,
    paused: bool,
    took_ns: int,
) -> dict[str, Any]:
    """Stable keys; texts are Latin-1 with what is unprintable escaped."""
    failure = run.failure or host.error
    after = host.request.encoded()[0] if host.request else None
    answer = host.response.encoded()[0] if host.response else None
    reply = host.reply
    from_upstream = reply is None
    return {
        "error": f"{failure.flag}: {failure.detail}" if failure else "",
        "decision": _decision(host, paused, bool(failure)),
        "backend": host.backend,
        "request": _changes(request[0], after),
        "requestBody": _body(request[1], host.request_body),
        "response": _changes(response[0] if from_upstream else b"", answer),
        "responseBody": _body(response[1] if from_upstream else b"", host.response_body),
        "callouts": services.unsent.made,
        "metrics": {name: services.series.values[i] for i, (_, _, name) in enumerate(services.series.names)},
        "directions": [
            {
                "direction": "request" if record.direction is Direction.REQUEST else "response",
                "decision": record.decision,
                "calls": record.calls,
                "hostCalls": record.host_calls,
                "guestMicros": record.guest_ns / 1000,
                "hostMicros": record.host_ns / 1000,
                "memoryBytes": record.memory_bytes,
                "edits": record.edits,
                "error": record.error,
            }
            for record in run.records
        ],
        "tookMicros": took_ns / 1000,
    }


def _decision(host: LoneExchange, paused: bool, failed: bool) -> str:
    if failed:
        return "failed"
    if host.reply is not None:
        return f"answered {host.reply.status} itself; nothing goes upstream"
    if paused:
        return "paused: it waits for something that does not come in this command"
    return "continue"


def _lines(encoded: bytes) -> list[str]:
    if not encoded:
        return []
    parts = encoded.split(b"\0")
    texts = [part.decode("latin-1").encode("unicode_escape").decode("ascii") for part in parts]
    return [f"{name}: {value}" for name, value in zip(texts[::2], texts[1::2], strict=True)]


def _changes(before: bytes, after: bytes | None) -> list[str]:
    """Each line of the head, marked `-`, `+` or blank; empty when the head never left."""
    if after is None:
        return []
    return [line.rstrip() for line in ndiff(_lines(before), _lines(after)) if line[0] != "?"]


def _body(before: bytes, after: bytes) -> dict[str, Any]:
    return {"bytesIn": len(before), "bytesOut": len(after), "changed": before != after}


def text(result: dict[str, Any]) -> str:
    """For people."""
    lines = [f"module    {result['module']} sha256:{result['digest'][:16]}…"]
    if "decision" in result:
        lines.append(f"decision  {result['decision']}")
        if result["backend"]:
            lines.append(f"backend   {result['backend']}")
        lines += _message("request", result) + _message("response", result)
        for each in result["directions"]:
            lines.append(
                f"{each['direction']:9} {each['calls']} calls, {each['hostCalls']} host calls, "
                f"{each['guestMicros']:.1f} µs in WASM, {each['hostMicros']:.1f} µs outside, "
                f"memory {each['memoryBytes']:,} bytes"
            )
        lines += [f"callout   {each} (not sent: this command talks to nobody)" for each in result["callouts"]]
        lines += [f"metric    {name} = {value}" for name, value in result["metrics"].items()]
        lines.append(f"took      {result['tookMicros']:.1f} µs in all, first call included")
    lines += [f"log       {each['level']}: {each['text']}" for each in result["logs"]]
    if result["error"]:
        lines.append(f"error     {result['error']}")
    return "\n".join(lines)


def _message(direction: str, result: dict[str, Any]) -> list[str]:
    if not result[direction]:
        return [f"{direction:9} did not leave the filter"]
    body = result[f"{direction}Body"]
    said = f"body {body['bytesIn']} bytes in, {body['bytesOut']} out{', changed' if body['changed'] else ''}"
    return [f"{direction:9} {said}", *(f"    {line}" for line in result[direction])]

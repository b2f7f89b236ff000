"""`edge filter inspect`: what a module is, and whether edge can run it."""

from __future__ import annotations

import json
import sys
from typing import Any

from edge.cli.exits import EXIT_FAILED, EXIT_OK, EXIT_REFUSED
from edge.cli.filter.source import NoModule, module_bytes
from edge.control.modules.inspect import Report, report
from edge.wasm.binary import FuncSig

SCHEMA_VERSION = 1
CALLBACKS = "proxy_on_"


def inspect_file(reference: str, output: str) -> int:
    """The exit code: 0 when edge can run the module, 5 when not."""
    try:
        found = report(module_bytes(reference))
    except NoModule as error:
        print(f"edge: {error}", file=sys.stderr)
        return EXIT_FAILED
    data = described(reference, found)
    if output == "json":
        print(json.dumps(data, ensure_ascii=False, indent=1))
    else:
        print(text(data))
    for line in found.errors:
        print(f"edge: {reference}: {line}", file=sys.stderr)
    return EXIT_REFUSED if found.errors else EXIT_OK


def described(reference: str, found: Report) -> dict[str, Any]:
    """The report as plain data with stable keys."""
    inspection = found.inspection
    served = {(module, name) for module, name, _ in found.links}
    imports = [
        {
            "module": each.module,
            "name": each.name,
            "type": f"({each.params}) -> ({each.results})",
            "known": (each.module, each.name) in served,
        }
        for each in (inspection.imports if inspection else [])
    ]
    exports = [
        {"name": name, "type": f"({what.params}) -> ({what.results})" if isinstance(what, FuncSig) else what}
        for name, what in (inspection.exports.items() if inspection else ())
    ]
    return {
        "schemaVersion": SCHEMA_VERSION,
        "module": reference,
        "digest": found.digest,
        "size": found.size,
        "abi": found.abi,
        "runs": not found.errors,
        "errors": found.errors,
        "warnings": found.warnings,
        "imports": imports,
        "exports": exports,
    }


def text(data: dict[str, Any]) -> str:
    """For people: what it is first, then what it needs and offers."""
    unknown = [each for each in data["imports"] if not each["known"]]
    callbacks = [each["name"] for each in data["exports"] if each["name"].startswith(CALLBACKS)]
    others = [each["name"] for each in data["exports"] if not each["name"].startswith(CALLBACKS)]
    lines = [
        f"module    {data['module']}",
        f"digest    sha256:{data['digest']}",
        f"size      {data['size']:,} bytes",
        f"abi       {data['abi'] or 'not recognised'}",
        f"runs      {'yes' if data['runs'] else 'no'}",
        "instance  one a worker (isolation: Shared), or one a request (isolation: Request)",
    ]
    lines += [f"error     {error}" for error in data["errors"]]
    lines += [f"warning   {warning}" for warning in data["warnings"]]
    lines.append(f"imports   {len(data['imports'])}, not known: {len(unknown)}")
    lines += [
        f"  {'  ' if each['known'] else '! '}{each['module']}.{each['name']} {each['type']}"
        for each in data["imports"]
    ]
    lines.append(f"callbacks {len(callbacks)}")
    lines += [f"    {name}" for name in callbacks]
    lines.append(f"exports   {len(others)} others")
    lines += [f"    {name}" for name in others]
    return "\n".join(lines)

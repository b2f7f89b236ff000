"""`edge doctor`: what of this machine helps or hinders edge, one line each, with what to do."""

from __future__ import annotations

import json
import os
import platform
import resource
import socket
import stat
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, distribution, requires
from pathlib import Path

from edge.cli.exits import EXIT_FAILED, EXIT_OK
from edge.cli.state import CannotKeepState, state_directory
from edge.control.waiting import waiting

SCHEMA_VERSION = 1
DESCRIPTORS_WANTED = 65_536
BUFFER_WANTED_BYTES = 2 << 20
"""UDP: a burst of QUIC packets waits in the socket while Python does something else."""
CLOCK_EARLIEST = 1_750_000_000
"""A clock before this stands still or starts at zero: no certificate would be valid."""
FINDINGS = 12
"""At least, without a configuration."""
OLD_CERTIFICATE_S = 14 * 86400


@dataclass(frozen=True, slots=True)
class Finding:
    """`state`: ok, warn (edge runs, something is worse than it could be), or fail."""

    state: str
    name: str
    says: str
    do: str = ""


def examine(file: str | None, state_dir: Path | None, output: str) -> int:
    """The exit code: 1 when something fails."""
    findings: list[Finding] = []
    with waiting("examining", output) as step:
        for finding in _findings(file, state_dir):
            findings.append(finding)
            step(len(findings), max(FINDINGS, len(findings)), f"after {finding.name}")
    if output == "json":
        data = {"schemaVersion": SCHEMA_VERSION, "findings": [asdict(each) for each in findings]}
        print(json.dumps(data, ensure_ascii=False, indent=1))
    else:
        for each in findings:
            print(f"{each.state:<5}{each.name:<14}{each.says}")
            if each.do:
                print(f"{'':<19}{each.do}")
    return EXIT_FAILED if any(each.state == "fail" for each in findings) else EXIT_OK


def _findings(file: str | None, state_dir: Path | None) -> Iterator[Finding]:
    yield from _python()
    yield from _packages()
    yield _tried("engine", "wasmtime runs a module and ends it", _engine)
    yield _tried("http/2", "ngh2 answers as expected", _http2)
    yield _tried("http/3", "aioquic answers as expected", _http3)
    yield _tried("openssl", "groups, suites and tickets can be set", _openssl)
    yield _descriptors()
    yield _udp_buffer()
    yield _tried("reuseport", "several workers can share a port, QUIC included", _reuseport)
    yield _tried("memfd", "compiled code can be sealed", _sealing)
    yield _clock()
    yield _state(state_dir)
    if file is not None:
        yield from _configuration(file)


def _python() -> Iterator[Finding]:
    version = platform.python_version()
    if sys.platform != "linux":
        yield Finding("fail", "system", f"{sys.platform}", "edge runs on Linux")
    yield Finding("ok", "python", f"{version} on {platform.machine()}, kernel {platform.release()}")


def _packages() -> Iterator[Finding]:
    """Whether what is installed is what edge was tested with."""
    try:
        wanted = [line for line in requires("edge") or () if "extra ==" not in line]
    except PackageNotFoundError:
        yield Finding("warn", "packages", "edge is not installed as a package", "install it with pip")
        return
    wrong = 0
    for line in wanted:
        name, _, version = line.partition("==")
        try:
            found = distribution(name).version
        except PackageNotFoundError:
            found = "none"
        if found != version:
            wrong += 1
            yield Finding("fail", "packages", f"{name} {found}, expected {version}", f"pip install '{line}'")
    if not wrong:
        yield Finding("ok", "packages", f"all {len(wanted)} are of the versions edge was tested with")


def _tried(name: str, says: str, attempt: Callable[[], None]) -> Finding:
    try:
        attempt()
    except Exception as error:  # whatever it is, it is the finding
        return Finding("fail", name, f"{type(error).__name__}: {error}")
    return Finding("ok", name, says)


def _engine() -> None:
    from edge.wasm import selftest

    selftest.check()


def _http2() -> None:
    from edge.codec.h2 import selftest

    selftest.check()


def _http3() -> None:
    from edge.codec.h3 import selftest

    selftest.check()


def _openssl() -> None:
    from edge.listen import openssl

    openssl.check()


def _descriptors() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    says = f"{soft:,} open files for each process"
    if soft >= DESCRIPTORS_WANTED:
        return Finding("ok", "descriptors", says)
    allowed = "" if hard >= DESCRIPTORS_WANTED else f" as root (the hard limit is {hard:,})"
    wanted = f"ulimit -n {DESCRIPTORS_WANTED}{allowed}, or LimitNOFILE={DESCRIPTORS_WANTED} in the unit"
    return Finding("warn", "descriptors", says, wanted)


def _udp_buffer() -> Finding:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_WANTED_BYTES)
        # The kernel doubles what it grants, for its own bookkeeping.
        granted = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
    says = f"{granted >> 10} KiB may wait in a UDP socket"
    if granted >= BUFFER_WANTED_BYTES:
        return Finding("ok", "udp", says)
    return Finding("warn", "udp", says, f"sysctl -w net.core.rmem_max={BUFFER_WANTED_BYTES}")


def _reuseport() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second,
    ):
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        first.bind(("127.0.0.1", 0))
        second.bind(first.getsockname())


def _sealing() -> None:
    import fcntl

    descriptor = os.memfd_create("edge-doctor", os.MFD_ALLOW_SEALING)
    try:
        os.write(descriptor, b"code")
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK)
    finally:
        os.close(descriptor)


def _clock() -> Finding:
    now = time.time()
    shown = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now))
    if now < CLOCK_EARLIEST:
        return Finding("fail", "clock", f"{shown} UTC", "set the clock; no certificate is valid by it")
    return Finding("ok", "clock", f"{shown} UTC")


def _state(state_dir: Path | None) -> Finding:
    try:
        folder = state_directory(state_dir)
    except CannotKeepState as error:
        return Finding("fail", "state", str(error))
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & 0o077:
        return Finding("warn", "state", f"{folder} has mode {mode:04o}", f"chmod 700 {folder}")
    return Finding("ok", "state", f"{folder}")


def _configuration(file: str) -> Iterator[Finding]:
    from edge.control.config.load import Loaded, load

    loaded = load(file)
    if not isinstance(loaded, Loaded):
        errors = sum(problem.severity == "error" for problem in loaded)
        says = f"{file} has {_counted(errors, 'error')}"
        yield Finding("fail", "configuration", says, f"edge validate {file}")
        return
    yield Finding("ok", "configuration", f"{file} is valid")
    for listener in loaded.root.listeners:
        yield _address(listener.name, str(listener.address.host), listener.address.port)
    for pair in loaded.certificates.values():
        yield _certificate(pair.names[0] if pair.names else "?", pair.ends)


def _address(name: str, host: str, port: int) -> Finding:
    if not port:
        return Finding("ok", "address", f"{name}: any free port of {host}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            says = f"{name}: {host}:{port}: {reason}"
            return Finding("warn", "address", says, "another edge may serve there")
    return Finding("ok", "address", f"{name}: {host}:{port} is free")


def _certificate(name: str, ends: float) -> Finding:
    left_s = ends - time.time()
    days = _counted(int(abs(left_s) // 86400), "day")
    if left_s < 0:
        return Finding("fail", "certificate", f"{name} ended {days} ago", "renew it")
    says = f"{name} ends in {days}"
    if left_s < OLD_CERTIFICATE_S:
        return Finding("warn", "certificate", says, "renew it")
    return Finding("ok", "certificate", says)


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"

"""What a configuration file becomes before sockets are bound, and how its making may end.

It is made in a child process (`edge.control.drafting`) and crosses a socket as msgpack: parsers,
schema and compiler never live in the supervisor.
"""

from __future__ import annotations

import msgspec

from edge.control.config.files import Files
from edge.control.config.problem import Problem
from edge.control.config.quantity import HostPort
from edge.control.discovery.spec import Dns, Watch
from edge.model import Model
from edge.telemetry.environment import ExportSettings


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """The server's own certificate of a chain. Times are Unix times; `sha256` is of its DER, in hex."""

    listener: str
    hostnames: list[str]
    """The names it is served for."""
    names: list[str]
    """The DNS names it is for."""
    subject: str
    issuer: str
    serial: str
    sha256: str
    begins: float
    ends: float


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What admin tells about the file. `config` is JSON, already without secrets."""

    file: str
    modules: dict[str, str]
    """sha256 by name."""
    config: bytes
    certificate_ends: list[tuple[str, str, float]] = []
    """(listener, first name of the certificate, Unix time)."""
    certificates: list[Card] = []


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """Where spans are posted, and the encoded resource and scope around them."""

    settings: ExportSettings
    framing: tuple[bytes, bytes]


class Draft(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """A checked configuration with its modules compiled.

    Ports of `model.listeners` and of `admin` are as in the file: 0 = the system chooses. The
    descriptors that `model` counts on come beside it. `notices` are lines for the log.
    """

    model: Model
    admin: HostPort
    shown: Shown
    export: Export | None = None
    warnings: list[Problem] = []
    notices: list[str] = []
    files: Files = {}
    watches: list[Watch] = []
    dns: Dns = Dns()
    """What the supervisor finds out about endpoints while `model` is served, and by whom."""


class Invalid(msgspec.Struct, tag=True, frozen=True):
    """The file is wrong; warnings are among the problems too."""

    problems: list[Problem]
    files: Files = {}


class Uncompiled(msgspec.Struct, tag=True, frozen=True):
    """The file is right, but a module cannot be run here. One line each, naming the module."""

    errors: list[str]
    warnings: list[Problem] = []
    files: Files = {}


class Failed(msgspec.Struct, tag=True, frozen=True):
    """Neither the file nor its modules are to blame; one line says what is."""

    reason: str


Outcome = Draft | Invalid | Uncompiled | Failed

"""Certificates and keys the file names: read once, checked against each other."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path as FilePath

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from edge.control.config.check import find
from edge.control.config.document import Document
from edge.control.config.files import signature_of
from edge.control.config.problem import Path, Problem
from edge.control.config.secret_places import ANY

FILE_LIMIT = 1 << 20
PLACES = (("listeners", ANY, "tls", "certificates", ANY), ("clusters", ANY, "tls"))
"""Where `certFile` and `keyFile` stand: what edge shows to clients, and to endpoints."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A chain, its key, and the DNS names of its first certificate, which ends at `ends` (Unix time)."""

    chain_pem: bytes
    key_pem: bytes
    names: tuple[str, ...]
    ends: float


def read_certificates(document: Document, folder: FilePath) -> tuple[dict[Path, Pair], list[Problem]]:
    """Pairs by the path of their entry, and what is wrong with the others (and warnings)."""
    pairs: dict[Path, Pair] = {}
    problems: list[Problem] = []
    for path, entry in (each for place in PLACES for each in find(document.data, place)):
        if not isinstance(entry, dict):
            continue
        parts = []
        for name in ("certFile", "keyFile"):
            file = entry.get(name)
            if isinstance(file, str):
                content = read_file(document, (*path, name), folder, file, problems)
                parts.append(content)
        if len(parts) == 2 and parts[0] is not None and parts[1] is not None:
            pair = _checked(document, path, parts[0], parts[1], problems)
            if pair is not None:
                pairs[path] = pair
                _warn(document, path, entry, pair, problems)
    return pairs, problems


def read_file(
    document: Document,
    path: Path,
    folder: FilePath,
    name: str,
    problems: list[Problem],
    limit: int = FILE_LIMIT,
) -> bytes | None:
    """The file `name` relative to `folder`; None and a problem when it cannot be had."""
    file = folder / name
    document.files[str(file)] = None
    try:
        with file.open("rb") as stream:
            document.files[str(file)] = signature_of(os.fstat(stream.fileno()))
            content = stream.read(limit + 1)
    except OSError as error:
        message = f"cannot read '{name}': {(error.strerror or str(error)).lower()}"
        hint = "" if FilePath(name).is_absolute() else "paths are relative to the folder of this file"
        problems.append(document.problem(path, "file", message, hint))
        return None
    if len(content) > limit:
        problems.append(document.problem(path, "file", f"'{name}' is larger than {limit} bytes"))
        return None
    return content


def _checked(
    document: Document, path: Path, chain: bytes, key: bytes, problems: list[Problem]
) -> Pair | None:
    leaf = secret = None
    try:
        leaf = x509.load_pem_x509_certificates(chain)[0]
    except (ValueError, IndexError):
        hint = "it must hold -----BEGIN CERTIFICATE-----, the server's own first"
        message = "holds no PEM certificate"
        problems.append(document.problem((*path, "certFile"), "certificate", message, hint))
    try:
        secret = load_pem_private_key(key, password=None)
    except TypeError:
        hint = "edge cannot ask for a password: decrypt it with `openssl pkey`"
        message = "the key is encrypted"
        problems.append(document.problem((*path, "keyFile"), "certificate", message, hint))
    except ValueError:
        hint = "it must hold -----BEGIN PRIVATE KEY-----"
        message = "holds no PEM private key"
        problems.append(document.problem((*path, "keyFile"), "certificate", message, hint))
    if leaf is None or secret is None:
        return None
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if leaf.public_key().public_bytes(*form) != secret.public_key().public_bytes(*form):
        hint = f"the certificate is for {', '.join(_names(leaf)) or leaf.subject.rfc4514_string()}"
        message = "this key does not belong to the certificate"
        problems.append(document.problem((*path, "keyFile"), "certificate", message, hint))
        return None
    if leaf.not_valid_after_utc < datetime.now(UTC):
        message = f"the certificate ended on {leaf.not_valid_after_utc:%Y-%m-%d}"
        problems.append(document.problem((*path, "certFile"), "certificate", message, severity="warning"))
    return Pair(chain, key, _names(leaf), leaf.not_valid_after_utc.timestamp())


def _names(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(name.lower() for name in names.get_values_for_type(x509.DNSName))


def _warn(
    document: Document, path: Path, entry: dict[str, object], pair: Pair, problems: list[Problem]
) -> None:
    hostnames = entry.get("hostnames")
    for index, hostname in enumerate(hostnames if isinstance(hostnames, list) else []):
        if isinstance(hostname, str) and not any(covers(name, hostname) for name in pair.names):
            message = f"the certificate does not cover '{hostname}'"
            hint = f"it covers {', '.join(pair.names) or 'no DNS name'}"
            where = (*path, "hostnames", index)
            problems.append(document.problem(where, "certificate", message, hint, severity="warning"))


def covers(name: str, hostname: str) -> bool:
    """Whether a certificate's `name` is good for `hostname`. Spec: RFC 9525 §6.3."""
    if name == hostname:
        return True
    return name.startswith("*.") and "." in hostname and hostname.split(".", 1)[1] == name[2:]

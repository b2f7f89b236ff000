"""A certificate authority of the tests, with certificates for two hosts."""

from __future__ import annotations

import ssl
from datetime import datetime
from pathlib import Path
from typing import Any

import trustme

HOSTS = ("shop.example", "docs.example")


class Authority:
    """`file` holds its certificate for curl."""

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        self._folder = folder
        self.file = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.file))

    def listener(self, name: str = "secure") -> dict[str, Any]:
        """A TLS listener with a certificate for each of HOSTS; the first is the default."""
        return {
            "name": name,
            "address": "127.0.0.1:0",
            "protocols": ["h1"],
            "tls": {"certificates": [self._certificate(host) for host in HOSTS]},
        }

    def _certificate(self, host: str) -> dict[str, Any]:
        files = [self._folder / f"{host}.pem", self._folder / f"{host}.key"]
        if not files[0].exists():
            leaf = self._authority.issue_cert(host)
            leaf.private_key_pem.write_to_path(str(files[1]))
            for number, blob in enumerate(leaf.cert_chain_pems):
                blob.write_to_path(str(files[0]), append=bool(number))
        return {"certFile": str(files[0]), "keyFile": str(files[1]), "hostnames": [host]}

    def files(self, host: str) -> tuple[Path, Path]:
        """Chain and key."""
        return self._folder / f"{host}.pem", self._folder / f"{host}.key"

    def renew(self, not_after: datetime | None = None) -> None:
        """New certificates and keys in the files that there are, each file replaced at once."""
        for host in HOSTS:
            files = self.files(host)
            leaf = self._authority.issue_cert(host, not_after=not_after)
            contents = [b"".join(blob.bytes() for blob in leaf.cert_chain_pems), leaf.private_key_pem.bytes()]
            for file, content in zip(files, contents, strict=True):
                fresh = file.with_suffix(file.suffix + ".new")
                fresh.write_bytes(content)
                fresh.replace(file)

    def client(self, *protocols: str) -> ssl.SSLContext:
        """A context that trusts this authority only."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._authority.configure_trust(context)
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context

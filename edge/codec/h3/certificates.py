"""Certificates for QUIC handshakes, chosen by the name the client asks for."""

from __future__ import annotations

from typing import Any, Final

from aioquic.tls import CipherSuite, Group, load_pem_private_key, load_pem_x509_certificates

from edge import model

_GROUPS: Final = {
    "X25519": Group.X25519,
    "X448": Group.X448,
    "P-256": Group.SECP256R1,
    "P-384": Group.SECP384R1,
    "P-521": Group.SECP521R1,
}


class Chosen:
    """A leaf, the rest of its chain and its key, as aioquic wants them."""

    __slots__ = ("chain", "key", "leaf")

    def __init__(self, certificate: model.Certificate) -> None:
        """Raises ValueError when the PEM cannot be read or chain and key do not belong together."""
        loaded = load_pem_x509_certificates(certificate.chain_pem)
        if not loaded:
            raise ValueError("no certificate in the chain")
        self.leaf: Any = loaded[0]
        self.chain: list[Any] = loaded[1:]
        self.key: Any = load_pem_private_key(certificate.key_pem)
        if self.leaf.public_key() != self.key.public_key():
            raise ValueError("the key does not belong to the certificate")


class Certificates:
    """The first certificate is the default, the others are chosen by SNI (exact, or `*.suffix`).

    `suites` and `groups` are what the handshake offers beside them, for aioquic.
    """

    def __init__(
        self, certificates: list[model.Certificate], profile: model.TlsProfile | None = None
    ) -> None:
        """Raises ValueError as `Chosen`, or when there is none."""
        if not certificates:
            raise ValueError("QUIC needs a certificate")
        profile = profile or model.TlsProfile()
        self.suites = [CipherSuite[name.removeprefix("TLS_")] for name in profile.suites_13]
        self.groups = [_GROUPS[name] for name in profile.groups]
        self._exact: dict[str, Chosen] = {}
        self._wildcard: dict[str, Chosen] = {}
        made = [Chosen(certificate) for certificate in certificates]
        self.default = made[0]
        for certificate, chosen in zip(certificates, made, strict=True):
            for hostname in certificate.hostnames:
                name = hostname.lower()
                if name.startswith("*."):
                    self._wildcard.setdefault(name[1:], chosen)
                else:
                    self._exact.setdefault(name, chosen)

    def choose(self, name: str) -> Chosen:
        """The certificate for a client that asks for `name` (lower case, empty = none)."""
        found = self._exact.get(name)
        if found is None and "." in name:
            found = self._wildcard.get(name[name.find(".") :])
        return found or self.default

"""`tls` of a listener: certificates, what is negotiated, and who must show a certificate."""

# ruff: noqa: RUF012  (pydantic copies the defaults of its fields)

from __future__ import annotations

from typing import Annotated, ClassVar, Final

from pydantic import BeforeValidator, Field, model_validator

from edge.control.config.problem import did_you_mean
from edge.control.config.schema.base import Hostname, Section, choice, fault
from edge.model import TlsProfile

_DEFAULT: Final = TlsProfile()
SUITES: Final = tuple(_DEFAULT.suites)
SUITES_13: Final = tuple(_DEFAULT.suites_13)
GROUPS: Final = ("X25519", "X448", "P-256", "P-384", "P-521")

_IANA: Final = {
    f"TLS_{key}_WITH_{cipher}_{digest}": f"{key.replace('_', '-')}-{ours}"
    for key in ("ECDHE_ECDSA", "ECDHE_RSA")
    for cipher, digest, ours in (
        ("AES_128_GCM", "SHA256", "AES128-GCM-SHA256"),
        ("AES_256_GCM", "SHA384", "AES256-GCM-SHA384"),
        ("CHACHA20_POLY1305", "SHA256", "CHACHA20-POLY1305"),
    )
}
"""Names of the registry for suites of TLS 1.2; those of TLS 1.3 are the same everywhere."""
_CURVES: Final = {
    "x25519": "X25519", "x448": "X448", "secp256r1": "P-256", "prime256v1": "P-256", "secp384r1": "P-384",
    "secp521r1": "P-521",
}  # fmt: skip


def _version(value: object) -> object:
    return str(value) if isinstance(value, float) else value


def _known(kind: str, names: tuple[str, ...], others: dict[str, str]) -> BeforeValidator:
    """One of `names`; `others` are other names for them."""

    def check(value: object) -> object:
        if isinstance(value, str):
            name = others.get(value, others.get(value.lower(), value))
            if name in names:
                return name
        meant = did_you_mean(value, (*names, *others))
        raise fault("wrong-value", f"'{value}' is no {kind} edge offers{meant}", f"known: {', '.join(names)}")

    return BeforeValidator(check)


def _once(values: list[str]) -> None:
    repeated = next((value for index, value in enumerate(values) if value in values[:index]), None)
    if repeated is not None:
        raise fault("duplicate", f"'{repeated}' stands there twice")


Version = Annotated[str, choice("1.2", "1.3"), BeforeValidator(_version)]
Suite = Annotated[str, _known("cipher suite", (*SUITES, *SUITES_13), _IANA)]
Group = Annotated[str, _known("group", GROUPS, _CURVES)]


class ClientAuth(Section):
    """Client certificates, signed by an authority of `caFile`.

    `Required`: no handshake without one. `Optional`: who shows one must show a good one. `None`: none is
    asked for, where the listener asks for them otherwise. Upstreams are told who the client is in
    `x-forwarded-client-cert`, which no client can set; a request for a host with other rules gets 421.
    """

    mode: Annotated[str, choice("Optional", "Required", "None")]
    ca_file: str | None = None

    @model_validator(mode="after")
    def _has_authority(self) -> ClientAuth:
        if self.mode != "None" and self.ca_file is None:
            raise fault("missing", "caFile is missing", "name the PEM file of who signs client certificates")
        if self.mode == "None" and self.ca_file is not None:
            raise fault("wrong-value", "mode None asks for no certificate", "leave caFile out")
        return self


class Certificate(Section):
    """PEM files, relative to the configuration. The first certificate is the default.

    `clientAuth`: instead of the listener's, for the hosts of this certificate.
    """

    later: ClassVar = {"acme": "give certFile and keyFile; ACME is not supported yet"}
    cert_file: str
    key_file: str
    hostnames: list[Hostname] = []
    client_auth: ClientAuth | None = None


class Tls(Section):
    """Without a word about it: Mozilla's intermediate profile, TLS 1.2 and 1.3.

    `cipherSuites` and `groups` stand in order of preference. Of a version of which no suite is named the
    suites stay as they are. HTTP/3 takes what is said of TLS 1.3.
    """

    certificates: Annotated[list[Certificate], Field(min_length=1)]
    min_version: Version = "1.2"
    max_version: Version = "1.3"
    cipher_suites: Annotated[list[Suite], Field(min_length=1)] | None = None
    groups: Annotated[list[Group], Field(min_length=1)] | None = None
    client_auth: ClientAuth | None = None

    @model_validator(mode="after")
    def _fits(self) -> Tls:
        if self.min_version > self.max_version:
            raise fault(
                "wrong-value", f"minVersion {self.min_version} is above maxVersion {self.max_version}"
            )
        suites = self.cipher_suites or []
        _once(suites)
        _once(self.groups or [])
        for version, offered in (("1.2", SUITES), ("1.3", SUITES_13)):
            served = self.min_version <= version <= self.max_version
            named = [suite for suite in suites if suite in offered]
            if named and not served:
                raise fault("wrong-value", f"{named[0]} is of TLS {version}, which is not served here")
        return self

    @property
    def asks_clients(self) -> bool:
        """Whether some host of the listener asks for client certificates."""
        asked = [self.client_auth, *(each.client_auth for each in self.certificates)]
        return any(each is not None and each.mode != "None" for each in asked)

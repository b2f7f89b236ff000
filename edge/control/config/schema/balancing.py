"""`clusters[].loadBalancer`: how a cluster chooses its endpoints. Words: Envoy Gateway LoadBalancer."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field, model_validator

from edge.control.config.schema.base import Duration, HeaderName, Section, between, choice, fault

TABLE_MAX: Final = 262_139
_FIELD_OF_TYPE: Final = {"Header": "header", "Cookie": "cookie", "QueryParam": "queryParam"}
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")


def _prime(value: int) -> int:
    if value < 2 or any(value % factor == 0 for factor in range(2, int(value**0.5) + 1)):
        raise fault("wrong-value", f"{value} is no prime number", "take 1021, 5003, 16381 or 65537")
    return value


def _cookie_name(value: str) -> str:
    if _NAME.fullmatch(value) is None:
        raise fault("wrong-value", f"'{value}' is no cookie name")
    return value


class HashHeader(Section):
    name: HeaderName


class HashQuery(Section):
    name: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^&=#\s]+$")]


class CookieAttributes(Section):
    """Added to the cookie that edge sets. `Secure` is added by itself where the client speaks TLS."""

    path: Annotated[str, Field(pattern=r"^/[!-:<-~]*$", max_length=256)] = "/"
    domain: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,253}$")] | None = None
    same_site: Annotated[str, choice("Strict", "Lax", "None")] = "Lax"
    http_only: bool = True


class HashCookie(Section):
    """Requests without the cookie go anywhere, unless `ttl` says that edge sets it: 0s = for a session."""

    name: Annotated[str, AfterValidator(_cookie_name)]
    ttl: Duration | None = None
    attributes: CookieAttributes = CookieAttributes()


class ConsistentHash(Section):
    """`type` names what of a request is hashed, and the one field beside it. Maglev, `tableSize` a prime.

    The table is filled anew when endpoints come or go, which costs a worker some 10 ms for 16381 places
    and 40 ms for 65537. 100 places for each endpoint are enough.
    """

    type: Annotated[str, choice("SourceIP", "Header", "Cookie", "QueryParam")]
    header: HashHeader | None = None
    cookie: HashCookie | None = None
    query_param: HashQuery | None = None
    table_size: Annotated[int, between(2, TABLE_MAX), AfterValidator(_prime)] = 16381

    @model_validator(mode="after")
    def _field_of_type(self) -> ConsistentHash:
        given = {"header": self.header, "cookie": self.cookie, "queryParam": self.query_param}
        wanted = _FIELD_OF_TYPE.get(self.type)
        if wanted is not None and given.pop(wanted) is None:
            raise fault("missing-field", f"type {self.type} needs {wanted}")
        for name, value in given.items():
            if value is not None:
                raise fault("wrong-value", f"type {self.type} does not take {name}")
        return self


class LoadBalancer(Section):
    """RoundRobin and Random keep to weights; LeastRequest takes the less busy of two drawn by weight."""

    type: Annotated[str, choice("RoundRobin", "LeastRequest", "Random", "ConsistentHash")] = "RoundRobin"
    consistent_hash: ConsistentHash | None = None

    @model_validator(mode="after")
    def _hash_of_type(self) -> LoadBalancer:
        if self.type == "ConsistentHash" and self.consistent_hash is None:
            raise fault("missing-field", "type ConsistentHash needs consistentHash")
        if self.type != "ConsistentHash" and self.consistent_hash is not None:
            raise fault("wrong-value", f"type {self.type} does not take consistentHash")
        return self

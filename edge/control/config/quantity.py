"""Durations, sizes and addresses as the file writes them.

Spec: Gateway API GEP-2257 for durations; sizes as Kubernetes writes them (32Mi, 64Ki, 1000).
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import NamedTuple

_DURATION = re.compile(r"([0-9]{1,5}(h|m|s|ms)){1,4}\Z")
_PART = re.compile(r"([0-9]+)(ms|h|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_SIZE = re.compile(r"([0-9]{1,15})(Ki|Mi|Gi|k|M|G)?\Z")
_FACTORS = {"": 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "k": 1000, "M": 10**6, "G": 10**9}
_LABEL = r"[a-z0-9_]([-a-z0-9_]{0,61}[a-z0-9_])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*\Z")
PORT_MAX = 65535


class HostPort(NamedTuple):
    """`host` without brackets, an IP address or a lower-case name."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def duration_s(text: object) -> float:
    """Seconds. Raises ValueError with what is wrong and what is right."""
    if isinstance(text, str) and _DURATION.match(text):
        return sum(int(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    raise ValueError(f"{_shown(text)} is no duration; write it like 500ms, 10s, 1m30s or 1h")


def size_bytes(text: object) -> int:
    """Bytes. Raises ValueError with what is wrong and what is right."""
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        return text
    if isinstance(text, str) and (match := _SIZE.match(text)):
        return int(match[1]) * _FACTORS[match[2] or ""]
    raise ValueError(f"{_shown(text)} is no size; write it like 64Ki, 32Mi or 1000")


def host_port(text: object) -> HostPort:
    """`127.0.0.1:80`, `[::1]:80`, `name:80`. Raises ValueError."""
    example = "127.0.0.1:8080, [::1]:8080 or shop.internal:80"
    wrong = f"{_shown(text)} is no address; write host:port, like {example}"
    if not isinstance(text, str):
        raise ValueError(wrong)
    host, colon, digits = text.rpartition(":")
    if not colon or not digits.isascii() or not digits.isdigit() or int(digits) > PORT_MAX:
        raise ValueError(wrong)
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if ":" not in host or not is_ip(host):
            raise ValueError(wrong)
    elif not (is_ip(host) if host.replace(".", "").isdigit() else _HOST_NAME.match(host.lower())):
        raise ValueError(wrong)
    return HostPort(host.lower(), int(digits))


def is_ip(host: str) -> bool:
    """Whether `host` is an IPv4 or IPv6 address."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_host_name(host: str) -> bool:
    """Whether `host` is a DNS name in lower case."""
    return bool(_HOST_NAME.match(host))


def _shown(text: object) -> str:
    return f"'{text}'" if isinstance(text, str) else str(text)

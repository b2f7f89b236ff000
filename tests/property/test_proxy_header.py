"""Random and mutated PROXY headers: read whole, refused, or waited for; the same however they come."""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge.listen.proxy_header import SIGNATURE, V1_BYTES, V2_BYTES, MalformedHeader, ProxyHeader, parse

EXAMPLES = 1000
V4 = st.ip_addresses(v=4)
V6 = st.ip_addresses(v=6)
PORT = st.integers(0, 65535)
TLVS = st.lists(
    st.tuples(st.integers(4, 255), st.binary(max_size=40)).map(
        lambda each: bytes([each[0]]) + len(each[1]).to_bytes(2, "big") + each[1]
    ),
    max_size=4,
).map(b"".join)


def _v1(source: object, destination: object, ports: tuple[int, int]) -> bytes:
    family = b"TCP6" if ":" in str(source) else b"TCP4"
    words = (b"PROXY", family, str(source).encode(), str(destination).encode(), b"%d %d\r\n" % ports)
    return b" ".join(words)


def _v2(source: object, destination: object, ports: tuple[int, int], tlvs: bytes) -> bytes:
    family = b"\x21" if ":" in str(source) else b"\x11"
    block = source.packed + destination.packed + b"".join(p.to_bytes(2, "big") for p in ports) + tlvs  # type: ignore[attr-defined]
    return SIGNATURE + b"\x21" + family + len(block).to_bytes(2, "big") + block


PAIRS = st.tuples(V4, V4) | st.tuples(V6, V6)
GOOD = st.builds(lambda pair, a, b: _v1(*pair, (a, b)), PAIRS, PORT, PORT) | st.builds(
    lambda pair, a, b, tlvs: _v2(*pair, (a, b), tlvs), PAIRS, PORT, PORT, TLVS
)


def _outcome(data: bytes) -> tuple[object, ...] | None:
    try:
        made = parse(data)
    except MalformedHeader as error:
        return (type(error),)
    return None if made is None else (made.size, made.source, made.destination)


def _sound(data: bytes, made: ProxyHeader) -> None:
    assert 0 < made.size <= min(len(data), V2_BYTES)
    assert data.startswith(SIGNATURE) or made.size <= V1_BYTES
    for address in (made.source, made.destination):
        if address is not None:
            assert str(ip_address(address[0])) == address[0]
            assert 0 <= address[1] <= 65535


@settings(max_examples=EXAMPLES, deadline=None)
@given(PAIRS, PORT, PORT, TLVS, st.booleans(), st.binary(max_size=20))
def test_what_a_proxy_says_is_what_is_read(pair, first, second, tlvs, binary, rest) -> None:  # type: ignore[no-untyped-def]
    header = _v2(*pair, (first, second), tlvs) if binary else _v1(*pair, (first, second))
    made = parse(header + rest)
    assert made is not None
    assert made.size == len(header)
    assert made.source == (str(pair[0]), first)
    assert made.destination == (str(pair[1]), second)


@settings(max_examples=EXAMPLES, deadline=None)
@given(GOOD, st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=4), st.integers(0, 300))
@example(SIGNATURE + b"\x21\x11\xff\xff", [], 300)
def test_a_mutated_header_never_does_anything_else(
    header: bytes, changes: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(header)
    for place, value in changes:
        data[place % len(data)] = value
    mutated = bytes(data[: max(1, cut)])
    outcome = _outcome(mutated)
    if outcome is not None and len(outcome) > 1:
        made = parse(mutated)
        assert made is not None
        _sound(mutated, made)
    # Octet by octet the same comes out: a beginning is waited for, or already refused as the whole is.
    for end in range(1, len(mutated)):
        early = _outcome(mutated[:end])
        if early is not None:
            assert outcome is not None
            assert early == outcome
            break


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11"]),
    st.binary(max_size=200),
)
def test_noise_is_refused_or_waited_for(start: bytes, noise: bytes) -> None:
    data = start + noise
    outcome = _outcome(data)
    if outcome is None:
        assert len(data) < V2_BYTES if data.startswith(SIGNATURE[:1]) else len(data) < V1_BYTES

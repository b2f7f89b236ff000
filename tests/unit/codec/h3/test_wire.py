"""Integers, frames and field sections as bytes."""

from __future__ import annotations

import pytest
from aioquic._buffer import Buffer
from pylsqpack import Decoder

from edge.codec.h3 import selftest
from edge.codec.h3.qpack import decode, encode_response, encode_trailers, lines_exceed, literal
from edge.codec.h3.wire import Code, ConnectionFault, data_frame, read_frame_head, read_varint, varint
from edge.head import ResponseHead


@pytest.mark.parametrize("value", [0, 63, 64, 16383, 16384, (1 << 30) - 1, 1 << 30, (1 << 62) - 1])
def test_integers_are_what_aioquic_reads(value: int) -> None:
    encoded = varint(value)
    assert Buffer(data=encoded).pull_uint_var() == value
    assert read_varint(b"x" + encoded + b"y", 1) == (value, 1 + len(encoded))
    for size in range(len(encoded)):
        assert read_varint(encoded[:size], 0) is None


@pytest.mark.parametrize("kind", [0, 1, 0x3F, 0x40, 0x21 * 31, 1 << 40])
@pytest.mark.parametrize("size", [0, 63, 64, 300, 0x3FFF, 0x4000, 1 << 40])
def test_the_head_of_a_frame_is_read_when_all_of_it_is_there(kind: int, size: int) -> None:
    head = varint(kind) + varint(size)
    for more in (b"", b"x", b"xyz"):
        assert read_frame_head(b"before" + head + more, 6) == (kind, size, 6 + len(head))
    for cut in range(len(head)):
        assert read_frame_head(b"before" + head[:cut], 6) is None


def test_a_data_frame() -> None:
    assert data_frame(b"hello") == b"\x00\x05hello"


def test_a_response_head_reads_back_as_it_was() -> None:
    fields = [(b"content-type", b"text/plain"), (b"x-a", b"b"), (b"set-cookie", b"s=1"), (b"x-a", b"")]
    section = encode_response(ResponseHead(201, [*fields, (b"transfer-encoding", b"x")], 7), False, False)
    expected = [(b":status", b"201"), *fields, (b"content-length", b"7")]
    assert decode(Decoder(0, 0), 0, section) == expected


def test_values_too_long_for_the_encoder_are_sent_plain() -> None:
    fields = [(b"x-long", b"v" * 70_000)]
    assert encode_trailers(fields)[2:] == literal(*fields[0])


def test_lines_are_counted_without_decoding() -> None:
    fields = [(b"x-%d" % n, b"v" * n) for n in range(200)] + [(b":path", b"/")] * 20
    section = encode_trailers(fields)
    assert not lines_exceed(section, 220)
    assert lines_exceed(section, 219)
    assert lines_exceed(section[:2] + b"\xd1" * 50, 49)


@pytest.mark.parametrize(
    "section", [b"", b"\0", b"\0\0\xff\xff\xff", b"\0\0\x7f\xff\xff\xff\xff\xff", b"\x02\0\x80"]
)
def test_broken_sections_are_left_to_the_decoder(section: bytes) -> None:
    assert not lines_exceed(section, 5)


def test_what_cannot_be_decoded_ends_the_connection() -> None:
    with pytest.raises(ConnectionFault) as caught:
        decode(Decoder(0, 0), 0, b"\x02\0\x80")
    assert caught.value.code is Code.QPACK_DECOMPRESSION_FAILED


def test_the_aioquic_installed_is_the_one_known() -> None:
    selftest.check()


def test_another_aioquic_is_named_with_the_one_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "version", lambda name: "1.8.0")
    with pytest.raises(selftest.AioquicError, match=r"1\.8\.0 .* 1\.7\.2"):
        selftest.check()
    monkeypatch.undo()
    monkeypatch.setattr(selftest, "_RECOVERY", ("_pacer", "_gone"))
    with pytest.raises(selftest.AioquicError, match=r"lacks QuicPacketRecovery\._gone"):
        selftest.check()

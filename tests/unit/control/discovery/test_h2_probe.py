"""The messages of grpc.health.v1."""

from __future__ import annotations

import pytest

from edge.control.discovery.h2_probe import decoded_status, encoded_request


def test_the_server_as_a_whole_is_asked_for_with_an_empty_message() -> None:
    assert encoded_request("") == b"\0\0\0\0\0"


def test_a_service_is_field_one() -> None:
    assert encoded_request("shop") == b"\0\0\0\0\x06\x0a\x04shop"


def test_a_long_name_has_a_length_of_two_bytes() -> None:
    assert encoded_request("s" * 200)[5:8] == b"\x0a\xc8\x01"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"\0\0\0\0\x02\x08\x01", 1),
        (b"\0\0\0\0\x02\x08\x02", 2),
        (b"\0\0\0\0\x00", 0),
        (b"", 0),
        (b"\0\0\0\0\x02\x10\x01", 0),
        (b"\0\0\0\0\x02\x08\x81", 0),
    ],
)
def test_the_status_of_an_answer(body: bytes, status: int) -> None:
    assert decoded_status(body) == status

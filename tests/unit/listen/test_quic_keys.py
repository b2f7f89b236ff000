"""What QUIC listeners of several workers have in common."""

from __future__ import annotations

import os

from aioquic._buffer import Buffer
from aioquic.quic.packet import QuicHeader, QuicPacketType, QuicProtocolVersion, pull_quic_header

from edge.codec.h3.arriving import CID_BYTES
from edge.codec.h3.transport import Transport
from edge.listen.quic import reset_token_maker
from edge.listen.quic_door import INITIAL_BYTES, RETRY_ABOVE, Door
from tests.unit.codec.h3.world import settings

CLIENT = ("127.0.0.1", 4433)


def initial(destination: bytes, token: bytes = b"") -> QuicHeader:
    return QuicHeader(
        version=QuicProtocolVersion.VERSION_1,
        packet_type=QuicPacketType.INITIAL,
        packet_length=INITIAL_BYTES,
        destination_cid=destination,
        source_cid=b"client-1",
        token=token,
        integrity_tag=b"",
        supported_versions=[],
    )


def retried(door: Door, original: bytes) -> QuicHeader:
    """The first packet a client sends after the Retry it got from `door`."""
    answer = door.first(initial(original), INITIAL_BYTES, CLIENT, RETRY_ABOVE, 1.0)
    assert isinstance(answer, bytes)
    retry = pull_quic_header(Buffer(data=answer), host_cid_length=CID_BYTES)
    return initial(retry.source_cid, retry.token)


def test_a_retry_token_of_a_worker_is_good_with_its_successor() -> None:
    key = os.urandom(32)
    second = retried(Door(settings(), key), b"original")
    made = Door(settings(), key).first(second, INITIAL_BYTES, CLIENT, RETRY_ABOVE, 2.0)
    assert isinstance(made, Transport)


def test_a_retry_token_of_a_stranger_is_worth_nothing() -> None:
    second = retried(Door(settings(), os.urandom(32)), b"original")
    answer = Door(settings(), os.urandom(32)).first(second, INITIAL_BYTES, CLIENT, RETRY_ABOVE, 2.0)
    assert isinstance(answer, bytes), "another Retry"


def test_reset_tokens_depend_on_the_key_and_the_id_only() -> None:
    key = os.urandom(32)
    assert reset_token_maker(key)(b"deadbeef") == reset_token_maker(key)(b"deadbeef")
    assert reset_token_maker(key)(b"deadbeef") != reset_token_maker(key)(b"deadbeee")
    assert reset_token_maker(key)(b"deadbeef") != reset_token_maker(os.urandom(32))(b"deadbeef")

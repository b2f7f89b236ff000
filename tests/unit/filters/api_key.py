"""What api-key must do, for any build of it."""

from __future__ import annotations

from pathlib import Path

from tests.unit.filters.configure import configured, refuses

_KEYS = {"keys": {"k-alice": "alice", "k-bob": "bob"}}


def api_key_names_the_owner_and_drops_the_key(module: Path) -> None:
    exchange = configured(module, _KEYS).exchange([(b"x-api-key", b"k-bob"), (b"accept", b"*/*")])
    assert exchange.reply is None
    assert exchange.request(b"x-consumer") == [b"bob"]
    assert exchange.request(b"x-api-key") == []
    assert exchange.request(b"accept") == [b"*/*"]


def api_key_refuses_a_wrong_or_missing_key(module: Path) -> None:
    host = configured(module, _KEYS)
    offers = [b"", b"k", b"k-bo", b"k-bobb", b"k-bOb", b"\xff\xfe", b"k-bob\0"]
    for fields in [[], *([(b"x-api-key", offer)] for offer in offers)]:
        exchange = host.exchange(fields)
        assert exchange.reply is not None, fields
        assert exchange.reply[0] == 401
        assert b"k-bob" not in exchange.reply[1]


def api_key_never_believes_an_identity_the_client_sent(module: Path) -> None:
    sent = [(b"x-consumer", b"root"), (b"x-api-key", b"k-alice"), (b"x-consumer", b"admin")]
    assert configured(module, _KEYS).exchange(sent).request(b"x-consumer") == [b"alice"]


def api_key_takes_the_configured_header(module: Path) -> None:
    host = configured(module, {"header": "Authorization-Key", **_KEYS})
    assert host.exchange([(b"authorization-key", b"k-bob")]).reply is None
    assert host.exchange([(b"x-api-key", b"k-bob")]).reply is not None


def api_key_refuses_a_wrong_configuration(module: Path) -> None:
    refuses(
        module,
        [
            (b"", "not JSON"),
            (b"[]", "must be an object"),
            (b"{}", "keys"),
            (b'{"keys":{}}', "at least one"),
            (b'{"keys":{"":"x"}}', "empty key"),
            (b'{"keys":{"secret-key":7}}', "identity number 1"),
            (b'{"keys":{"secret-key":"a\\nb"}}', "printable"),
            (b'{"keys":{"a":"b"},"heder":"x"}', "heder"),
            (b'{"keys":{"a":"b"},"header":"a b"}', "header name"),
        ],
    )

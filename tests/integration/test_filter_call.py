"""`edge filter call` on the filters that come with edge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge.cli import main

KEYS = '{"keys": {"k1": "ada"}}'
SPLIT = '{"cookie": "v", "variants": [{"name": "a", "weight": 1, "backend": "A"}]}'


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("state"))


@pytest.fixture
def request_file(tmp_path: Path) -> str:
    path = tmp_path / "req.http"
    path.write_bytes(b"POST /cart HTTP/1.1\nHost: shop.example\nX-Api-Key: k1\nX-Consumer: root\n\nbody")
    return str(path)


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = main(["filter", "call", *arguments, "-o", "json"])
    out = capsys.readouterr().out
    return code, json.loads(out) if out else None


def test_an_answer_of_the_filter_is_shown_and_nothing_goes_upstream(
    state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, result = call(capsys, "builtin:api-key", "--config", KEYS, "--state-dir", state)
    assert code == 0
    assert result["decision"].startswith("answered 401")
    assert result["request"] == []
    assert "+ :status: 401" in result["response"]
    assert result["logs"][0]["level"] == "warn"


def test_edits_of_the_head_are_shown_as_a_diff(
    state: str, request_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, result = call(
        capsys, "builtin:api-key", "--config", KEYS, "--request", request_file, "--state-dir", state
    )
    assert (code, result["decision"], result["error"]) == (0, "continue", "")
    assert {line for line in result["request"] if line[0] != " "} == {
        "- x-api-key: k1",
        "- x-consumer: root",
        "+ x-consumer: ada",
    }
    assert result["requestBody"] == {"bytesIn": 4, "bytesOut": 4, "changed": False}
    assert all(direction["guestMicros"] > 0 for direction in result["directions"])


def test_a_choice_of_backend_is_shown_when_it_is_allowed(
    state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("builtin:ab-split", "--config", SPLIT, "--state-dir", state)
    assert call(capsys, *arguments, "--backend", "A")[1]["backend"] == "A"
    refused = call(capsys, *arguments)[1]
    assert refused["backend"] == ""
    assert "not allowed as backend" in refused["logs"][0]["text"]


def test_the_configuration_may_come_from_a_file(
    state: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"response": {"set": {"x-a": "${status}"}}}')
    code, result = call(capsys, "builtin:header-transform", "--config", f"@{path}", "--state-dir", state)
    assert code == 0
    assert "+ x-a: 200" in result["response"]


def test_a_filter_that_does_not_start_is_1_with_its_own_words(
    state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, result = call(capsys, "builtin:api-key", "--config", "nonsense", "--state-dir", state)
    assert code == 1
    assert "did not start" in result["error"]
    assert "configuration: not JSON" in result["logs"][0]["text"]


def test_a_module_edge_cannot_run_is_5(
    state: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.wasm"
    path.write_bytes(b"\0asm\1\0\0\0")
    assert main(["filter", "call", str(path), "--state-dir", state]) == 5
    assert "no known ABI" in capsys.readouterr().err


def test_a_request_that_is_none_is_wrong_usage(
    state: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "req.http"
    path.write_text("nonsense")
    assert main(["filter", "call", "builtin:api-key", "--request", str(path), "--state-dir", state]) == 2
    assert "the request" in capsys.readouterr().err

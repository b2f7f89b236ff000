"""The start-up test of uvloop's TLS protocol."""

from __future__ import annotations

import pytest

from edge.listen import secured_selftest


def test_the_uvloop_installed_is_the_one_expected() -> None:
    secured_selftest.check()


def test_another_version_is_named_with_the_one_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secured_selftest, "version", lambda _: "9.9.9")
    with pytest.raises(secured_selftest.UvloopError, match=r"uvloop 9\.9\.9 .* 0\.23\.0"):
        secured_selftest.check()


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secured_selftest, "_CALLS", ("connection_made", "vanished"))
    with pytest.raises(secured_selftest.UvloopError, match="vanished"):
        secured_selftest.check()

"""The self-test of the engine: quiet on the right ngh2, and it names the version it wants."""

from __future__ import annotations

import ngh2
import pytest

from edge.codec.h2 import native, selftest


def test_the_installed_engine_passes() -> None:
    selftest.check()
    assert ngh2.__version__ == selftest.EXPECTED_NGH2


def test_another_engine_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(native.NativeEngine, "send_head")
    with pytest.raises(RuntimeError, match=r"needs ngh2 0\.3\.0"):
        selftest.check()

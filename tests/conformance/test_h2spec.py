"""h2spec in strict mode against the codec over TLS, on both engines: all of it ran, all of it passed."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.tools.cache import require
from tests.tools.toolchains import h2spec

CASES = 146
_ROOT = Path(__file__).parents[2]
# h2spec writes names of cases as they are, control characters included, which XML forbids.
_control = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


@contextmanager
def _served(engine: str) -> Iterator[int]:
    """Port of a server of its own; it ends when its standard input does, and must have said nothing."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.conformance.h2_server", engine],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        try:
            yield int(line)
        finally:
            _, errors = server.communicate(timeout=120)
        assert errors == ""


@pytest.mark.parametrize("engine", ["native", "pure"])
def test_h2spec_strict(engine: str, tmp_path: Path) -> None:
    report = tmp_path / "h2spec.xml"
    judge = require(h2spec)
    with _served(engine) as port:
        where = ["-h", "127.0.0.1", "-p", str(port), "-t", "-k"]
        subprocess.run(
            [judge, *where, "-o", "20", "-S", "-j", report],
            stdout=subprocess.DEVNULL,
            timeout=300,
            check=False,
        )
    tree = ElementTree.fromstring(_control.sub("", report.read_text()))
    cases = tree.findall(".//testcase")
    unhappy = [
        f"{case.get('package')}: {case.get('classname')}"
        for case in cases
        if case.find("failure") is not None
        or case.find("error") is not None
        or case.find("skipped") is not None
    ]
    assert unhappy == []
    assert len(cases) == CASES

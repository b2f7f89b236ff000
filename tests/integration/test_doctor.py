"""`edge doctor` on this machine, and on machines on which something is wrong."""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge.cli import doctor
from tests.integration.authority import HOSTS, Authority
from tests.integration.fake_clock import FakeClock
from tests.integration.running_edge import REPOSITORY, Configuration, configuration, rule, secured

DEADLINE_S = 120.0
ALWAYS = [
    *("python", "packages", "engine", "http/2", "http/3", "openssl", "descriptors", "udp", "reuseport"),
    *("memfd", "clock", "state"),
]


def examined(
    *arguments: str, launcher: Sequence[str] = (), before: Callable[[], None] | None = None
) -> tuple[int, str]:
    """Exit code and stdout of `edge doctor` as a process."""
    done = subprocess.run(
        [*launcher, sys.executable, "-m", "edge", "doctor", *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        preexec_fn=before,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def findings(said: str) -> list[dict[str, str]]:
    document = json.loads(said)
    assert document["schemaVersion"] == 1 and list(document) == ["schemaVersion", "findings"]
    assert all(set(each) == {"state", "name", "says", "do"} for each in document["findings"])
    found: list[dict[str, str]] = document["findings"]
    return found


def by_name(said: str) -> dict[str, dict[str, str]]:
    return {each["name"]: each for each in findings(said)}


def written(folder: Path, config: Configuration) -> Path:
    file = folder / "edge.yaml"
    file.write_text(json.dumps(config))
    return file


def config_of(address: str = "127.0.0.1:0", authority: Authority | None = None) -> Configuration:
    made = configuration({"up": [9]}, [rule("up")])
    made["listeners"][0]["address"] = address
    return secured(made, authority.listener()) if authority is not None else made


def test_a_sound_machine_is_exit_code_0_and_every_finding_is_there(
    tmp_path: Path, authority: Authority
) -> None:
    file = written(tmp_path, config_of(authority=authority))
    state = tmp_path / "state"
    code, said = examined("-o", "json", "-c", str(file), "--state-dir", str(state))
    found = findings(said)
    assert code == 0
    configured = ["configuration", "address", "address", "certificate", "certificate"]
    assert [each["name"] for each in found] == ALWAYS + configured
    # What may be worse than it could be on the machine of a test.
    assert {each["name"] for each in found if each["state"] != "ok"} <= {"packages", "descriptors", "udp"}
    assert all(each["do"] for each in found if each["state"] != "ok")
    code, text = examined("-c", str(file), "--state-dir", str(state))
    assert code == 0
    shown = [line.split()[:2] for line in text.splitlines() if not line.startswith(" ")]
    assert shown == [[each["state"], each["name"]] for each in found]


def test_few_descriptors_are_a_warning_with_what_to_do(tmp_path: Path) -> None:
    def few() -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))

    code, said = examined("-o", "json", "--state-dir", str(tmp_path), before=few)
    finding = by_name(said)["descriptors"]
    assert (code, finding["state"], finding["says"]) == (0, "warn", "1,024 open files for each process")
    assert finding["do"].startswith("ulimit -n ")


def test_a_clock_that_starts_at_zero_fails(tmp_path: Path) -> None:
    clock = FakeClock(tmp_path)
    clock.set(-round(datetime.now(UTC).timestamp()) + 86_400 + 3_600)
    code, said = examined("-o", "json", "--state-dir", str(tmp_path), launcher=clock.launcher)
    finding = by_name(said)["clock"]
    assert (code, finding["state"]) == (1, "fail")
    assert finding["says"].startswith("1970-01-02 ") and finding["do"].startswith("set the clock")


def test_a_state_directory_that_others_may_read_or_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o755)
    (tmp_path / "file").write_text("")
    code, said = examined("-o", "json", "--state-dir", str(tmp_path / "open"))
    finding = by_name(said)["state"]
    assert (code, finding["state"], finding["do"]) == (0, "warn", f"chmod 700 {tmp_path / 'open'}")
    code, said = examined("-o", "json", "--state-dir", str(tmp_path / "file"))
    finding = by_name(said)["state"]
    assert (code, finding["state"]) == (1, "fail")
    assert f"the state directory {tmp_path / 'file'} cannot be used: file exists" in finding["says"]


# ---- what is quicker in this process


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has a test of its own above is not tried."""
    for name in ("_engine", "_http2", "_http3", "_openssl"):
        monkeypatch.setattr(doctor, name, lambda: None)


@pytest.fixture
def look(quick: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Exit code, and findings of a name."""

    def look_at(name: str, file: Path | None = None) -> tuple[int, list[dict[str, str]]]:
        capsys.readouterr()
        code = doctor.examine(str(file) if file else None, tmp_path / "state", "json")
        return code, [each for each in findings(capsys.readouterr().out) if each["name"] == name]

    return look_at


@pytest.mark.parametrize("name", ["engine", "http/2", "http/3", "openssl", "reuseport", "memfd"])
def test_what_cannot_be_done_fails_with_the_reason(
    look: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def broken() -> None:
        raise OSError(1, "not permitted here")

    attempt = {"memfd": "_sealing"}.get(name, "_" + name.replace("/", ""))
    monkeypatch.setattr(doctor, attempt, broken)
    code, (finding,) = look(name)
    assert (code, finding["state"]) == (1, "fail")
    assert finding["says"] == "PermissionError: [Errno 1] not permitted here"


def test_packages_of_other_versions_fail_and_edge_from_a_checkout_is_a_warning(
    look: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def distribution(name: str) -> SimpleNamespace:
        if name == "missing":
            raise PackageNotFoundError(name)
        return SimpleNamespace(version="1.0")

    wanted = ["good==1.0", "old==2.0", "missing==3.0", 'dev==4.0; extra == "test"']
    monkeypatch.setattr(doctor, "requires", lambda name: wanted)
    monkeypatch.setattr(doctor, "distribution", distribution)
    code, found = look("packages")
    assert code == 1
    assert [(each["says"], each["do"]) for each in found] == [
        ("old 1.0, expected 2.0", "pip install 'old==2.0'"),
        ("missing none, expected 3.0", "pip install 'missing==3.0'"),
    ]

    def uninstalled(name: str) -> list[str]:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "requires", uninstalled)
    code, (finding,) = look("packages")
    assert (code, finding["state"]) == (0, "warn")


def test_a_system_that_is_no_linux_fails(look: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    code, (finding,) = look("system")
    assert (code, finding["says"], finding["do"]) == (1, "darwin", "edge runs on Linux")


def test_a_small_udp_buffer_is_a_warning(look: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "BUFFER_WANTED_BYTES", 1 << 40 >> 10)
    code, (finding,) = look("udp")
    assert (code, finding["state"]) == (0, "warn")
    assert finding["do"] == f"sysctl -w net.core.rmem_max={1 << 30}"


def test_an_invalid_configuration_and_one_that_is_not_there_fail(
    look: Callable[..., Any], tmp_path: Path
) -> None:
    made = config_of()
    made["routes"][0]["rules"][0]["backendRefs"][0]["name"] = "nobody"
    file = written(tmp_path, made)
    code, (finding,) = look("configuration", file)
    assert (code, finding["says"], finding["do"]) == (1, f"{file} has 1 error", f"edge validate {file}")
    code, (finding,) = look("configuration", tmp_path / "none.yaml")
    assert (code, finding["state"]) == (1, "fail")


def test_an_address_that_is_taken_is_a_warning_for_another_edge_may_serve_there(
    look: Callable[..., Any], tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, (finding,) = look("address", written(tmp_path, config_of(f"127.0.0.1:{port}")))
    assert (code, finding["state"]) == (0, "warn")
    assert finding["says"] == f"web: 127.0.0.1:{port}: address already in use"


@pytest.mark.parametrize(
    ("days", "code", "state", "says"),
    [
        (90, 0, "ok", "ends in 89 days"),
        (5, 0, "warn", "ends in 4 days"),
        (2, 0, "warn", "ends in 1 day"),
        (-3, 1, "fail", "ended 3 days ago"),
    ],
)
def test_a_certificate_that_ends_soon_or_has_ended(
    look: Callable[..., Any], tmp_path: Path, days: int, code: int, state: str, says: str
) -> None:
    folder = tmp_path / "authority"
    folder.mkdir()
    authority = Authority(folder)
    file = written(tmp_path, config_of(authority=authority))
    authority.renew(datetime.now(UTC) + timedelta(days=days))
    found_code, found = look("certificate", file)
    assert found_code == code
    assert [(each["state"], each["says"]) for each in found] == [(state, f"{host} {says}") for host in HOSTS]

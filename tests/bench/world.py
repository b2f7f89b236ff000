"""What stands around the measured program: cores, folder, certificate, upstreams."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from string import Template

import trustme

from tests.bench.group import Group, answers
from tests.tools import free_port, grpcload, nginx

CONFIGS = Path(__file__).parent / "configs"
FILE_SIZES = {"64k": 64 << 10, "1m": 1 << 20, "10m": 10 << 20}


def cores() -> tuple[int, int]:
    """(core of the measured program, core of load and upstreams)."""
    available = sorted(os.sched_getaffinity(0))
    return available[0], available[-1]


def render(template: str, **values: object) -> str:
    """A file of `configs` with its `$names` filled in."""
    return Template((CONFIGS / template).read_text()).substitute({k: str(v) for k, v in values.items()})


class World:
    """Upstreams on the load core, until `end`. Peers fill their templates from `values`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server_core, self.load_core = cores()
        self.values: dict[str, object] = {
            "upstream": free_port(),
            "swallow": free_port(),
            "grpc": free_port(),
            "certificate": folder / "certificate.pem",
            "key": folder / "key.pem",
        }
        self._make_certificate()
        self._groups: list[Group] = []
        self._serves_grpc = False
        self._numbers = 0
        try:
            self._start_nginx()
            self._start_swallow()
        except BaseException:
            self.end()
            raise

    def _make_certificate(self) -> None:
        authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
        leaf = authority.issue_cert("localhost", "127.0.0.1", key_type=trustme.KeyType.ECDSA)
        chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
        (self.folder / "certificate.pem").write_bytes(chain)
        leaf.private_key_pem.write_to_path(str(self.folder / "key.pem"))

    def _start_nginx(self) -> None:
        folder = self.folder / "upstream"
        files = folder / "files"
        files.mkdir(parents=True)
        for name, size in FILE_SIZES.items():
            (files / f"{name}.bin").write_bytes(b"x" * size)
        config = folder / "nginx.conf"
        config.write_text(render("upstream.conf", folder=folder, files=folder, port=self.values["upstream"]))
        command = [nginx(), "-p", folder, "-c", config, "-e", folder / "error.log"]
        group = Group(command, self.load_core, folder / "output")
        self._groups.append(group)
        group.wait_for(lambda: answers(int(str(self.values["upstream"]))))

    def _start_swallow(self) -> None:
        port = int(str(self.values["swallow"]))
        group = Group(
            [sys.executable, "-m", "tests.bench.swallow", port], self.load_core, self.folder / "swallow.log"
        )
        self._groups.append(group)
        group.wait_for(lambda: answers(port))

    def unused(self, name: str) -> Path:
        """A path for a folder that is not there yet."""
        self._numbers += 1
        return self.folder / f"{self._numbers}-{name}"

    def start_grpc(self) -> None:
        """The service of unary calls, for the rows that call it; once."""
        if not self._serves_grpc:
            port = int(str(self.values["grpc"]))
            group = Group([grpcload(), "-serve", port], self.load_core, self.folder / "grpc.log")
            self._groups.append(group)
            group.wait_for(lambda: _listens(port))
            self._serves_grpc = True

    def members(self) -> list[int]:
        """The processes of all upstreams."""
        return [pid for group in self._groups for pid in group.members()]

    def end(self) -> None:
        for group in self._groups:
            group.end()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return False
    return True

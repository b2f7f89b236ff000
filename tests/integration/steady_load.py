"""Clients that ask one thing after the other, over HTTP/1.1, until they are told to stop."""

from __future__ import annotations

import threading
from itertools import count
from types import TracebackType

from tests.integration.raw_client import RawClient, Truncated, request

END_S = 60.0


class SteadyLoad:
    """`gets` and `posts` = answers so far; `failed` = GETs that got no 200 with the body they asked for."""

    def __init__(self, port: int, getters: int = 6, posters: int = 0, pause_s: float = 0.0) -> None:
        self.gets = 0
        self.posts = 0
        self.failed: list[str] = []
        self._port = port
        self._pause_s = pause_s
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._number = count(1)
        self._threads = [threading.Thread(target=self._get) for _ in range(getters)]
        self._threads += [threading.Thread(target=self._post) for _ in range(posters)]

    def __enter__(self) -> SteadyLoad:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(END_S)
            assert not thread.is_alive()

    def _get(self) -> None:
        self._ask_on("get", b"GET", b"")

    def _post(self) -> None:
        self._ask_on("post", b"POST", b"0123456789")

    def _ask_on(self, word: str, method: bytes, body: bytes) -> None:
        client: RawClient | None = None
        fields = [b"content-length: %d" % len(body)] if body else []
        while not self._stop.wait(self._pause_s):
            target = f"/{word}/{next(self._number)}".encode()
            try:
                client = client or RawClient(self._port)
                response = client.exchange(request(target, *fields, method=method, body=body))
                said = "" if response.body == target else f"{target!r}: {response.status}"
                if response.values(b"connection"):
                    client.socket.close()
                    client = None
            except (OSError, Truncated) as error:
                said = f"{target!r}: {error!r}"
                client = None
            with self._lock:
                if body:
                    self.posts += 1
                else:
                    self.gets += 1
                    if said:
                        self.failed.append(said)
        if client is not None:
            client.socket.close()

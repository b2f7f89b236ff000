"""An upstream that judges: it takes only what a strict reader takes, and keeps the bytes that came."""

from __future__ import annotations

from collections import deque
from typing import Final

from tests.hostile.strict import Arrived, StrictReader
from tests.integration.scripted_upstream import Conversation, reply

_KEPT_LOGS: Final = 8


class Judge:
    """Answers a complete request with `ok`. What is malformed, or comes before the answer, is a fault."""

    def __init__(self) -> None:
        self.arrived: list[Arrived] = []
        self.bytes = 0
        self.holds = False
        """While it is set, what is complete is not answered, but for probes."""
        self._readers: deque[StrictReader] = deque(maxlen=_KEPT_LOGS)

    def log(self) -> str:
        """The last bytes of the connections that were made last."""
        return "\n".join(repr(reader.log) for reader in self._readers)

    async def script(self, it: Conversation) -> None:
        reader = StrictReader()
        self._readers.append(reader)
        while data := await it.reader.read(65536):
            self.bytes += len(data)
            begun = len(reader.requests)
            try:
                reader.feed(data)
            finally:
                self.arrived += reader.requests[begun:]
            if reader.requests and reader.requests[-1].complete:
                while self.holds and not reader.requests[-1].target.startswith(b"/probe"):
                    await it.pause()
                await it.send(reply(b"ok"))
                reader.answered()

"""Whether a 101 grants what was asked for. Spec: RFC 9110 §7.8, RFC 6455 §4.1."""

from __future__ import annotations

from edge.codec.websocket import ACCEPT, KEY, accept_of
from edge.errors import BadResponse
from edge.head import RequestHead, ResponseHead


def check_granted(request: RequestHead, response: ResponseHead) -> None:
    """Raises BadResponse when it does not.

    Behind a 101 bytes flow unseen. An upstream that can be made to answer with a status of the client's
    choice has not upgraded anything: it would read the client's next bytes as requests nobody judged.
    """
    asked = request.upgrade
    if asked is None:
        raise BadResponse("101 without an upgrade request")
    if [value.lower() for value in response.get_all(b"upgrade")] != [asked.lower()]:
        raise BadResponse("101 to another protocol than was asked for")
    if asked.lower() == b"websocket":
        key = request.get(KEY)
        if key is None or response.get_all(ACCEPT) != [accept_of(key)]:
            raise BadResponse("101 without the answer to the key of the WebSocket")

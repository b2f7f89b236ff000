"""What is different between the draft that is served and the next one."""

from __future__ import annotations

import time
from enum import Enum

import msgspec

from edge import model
from edge.control.draft import Draft


class Change(Enum):
    """What workers must be told."""

    NOTHING = "nothing"
    CERTIFICATES = "certificates"
    """They can be replaced on listeners that stand: no new revision."""
    REVISION = "revision"


def change(before: Draft, after: Draft) -> Change:
    """Numbers of revisions apart."""
    was, now = before.model, msgspec.structs.replace(after.model, revision=before.model.revision)
    if (before.watches, before.dns) != (after.watches, after.dns):
        return Change.REVISION  # workers are told what was found out when they serve a revision
    if was == now:
        return Change.NOTHING
    return Change.CERTIFICATES if _bare(was) == _bare(now) else Change.REVISION


def _bare(made: model.Model) -> model.Model:
    """Without what `Certificates` can change: chains and keys, but not their number or names."""
    listeners = [
        msgspec.structs.replace(
            listener,
            certificates=[
                msgspec.structs.replace(certificate, chain_pem=b"", key_pem=b"")
                for certificate in listener.certificates
            ],
        )
        for listener in made.listeners
    ]
    return msgspec.structs.replace(made, listeners=listeners)


def renewed(before: Draft, after: Draft) -> list[model.Listener]:
    """Listeners whose certificates differ."""
    was = {listener.name: listener.certificates for listener in before.model.listeners}
    return [each for each in after.model.listeners if was.get(each.name) != each.certificates]


def expired(before: Draft, after: Draft, now: float | None = None) -> list[str]:
    """Certificates that ended already and would replace ones that still hold; one line each."""
    moment = time.time() if now is None else now
    holds = {(listener, name): end for listener, name, end in before.shown.certificate_ends}
    lines = []
    for listener, name, end in after.shown.certificate_ends:
        if end <= moment < holds.get((listener, name), 0.0):
            day = time.strftime("%Y-%m-%d", time.gmtime(end))
            lines.append(
                f"listener {listener}: the new certificate for {name or 'no name'} ended on {day}; "
                "the one that is served still holds and is kept"
            )
    return lines


def exports_alike(before: Draft, after: Draft) -> bool:
    """Whether spans go to the same place under the same name. The instance's id is made anew each time."""
    one, other = before.export, after.export
    if one is None or other is None:
        return one is other
    was, now = before.model.telemetry, after.model.telemetry
    same_name = (was.service_name, was.resource) == (now.service_name, now.resource)
    return same_name and one.settings == other.settings

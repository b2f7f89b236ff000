"""A new configuration under traffic: load → check → build → warm → swap → drain.

The drafting child does the first three, `rebind` and Prepare the fourth, Activate the fifth, workers
the last. Whatever fails leaves what runs untouched. One at a time: what is asked for meanwhile is
one more reload afterwards.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from edge import model, wire
from edge.control.config.quantity import HostPort
from edge.control.draft import Draft, Failed, Invalid, Outcome, Uncompiled
from edge.control.handover import Revision
from edge.control.reload_changes import Change, change, expired, exports_alike, renewed
from edge.control.reload_history import GOOD, Attempt, History, Result
from edge.control.reload_sockets import rebind
from edge.control.reload_watch import Watcher
from edge.control.sockets import Bound, CannotBind

if TYPE_CHECKING:
    from edge.control.config.files import Files
    from edge.control.fleet import Fleet

log = logging.getLogger("edge.supervisor")

Answer = tuple[Outcome, list[int]]


class Drafting(Protocol):
    """Makes a draft of the files as they are now; the descriptors are the caller's."""

    def answer(self) -> Awaitable[Answer]: ...


class Site(Protocol):
    """What is served: the supervisor, as far as a reload changes it."""

    draft: Draft
    descriptors: list[int]
    bound: list[Bound]
    bound_udp: list[Bound]

    @property
    def workers(self) -> int: ...
    async def move_admin(self, address: HostPort) -> None:
        """Raises CannotBind, and changes nothing then."""

    async def discover(self, draft: Draft) -> None:
        """Find out about endpoints before it is served."""

    def settle(self) -> None:
        """Forget what only a draft needed that is not served."""

    async def adopted(self, before: Draft, exports_differ: bool) -> None:
        """`draft` is another one since now."""


class Reloader:
    """`request` from a signal or a changed file. `state` of the attempts is in `history`."""

    def __init__(self, site: Site, fleet: Fleet, make_drafter: Callable[[], Drafting], watch: bool) -> None:
        self.history = History()
        self._site = site
        self._fleet = fleet
        self._make_drafter = make_drafter
        self._watcher = Watcher(lambda: self.request("a file changed")) if watch else None
        self._number = site.draft.model.revision
        self._wanted = ""
        self._task: asyncio.Task[None] | None = None
        self._watch(site.draft.files)

    def request(self, why: str) -> None:
        """Reload soon. While one is under way any number of requests are one more."""
        self._wanted = why
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """No more reloads; one under way is undone."""
        if self._watcher is not None:
            self._watcher.pause()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            while self._wanted:
                why, self._wanted = self._wanted, ""
                await self._attempt(why)
        finally:
            self._task = None

    async def _attempt(self, why: str) -> None:
        at, began = time.time(), time.monotonic()
        log.info("reload: %s", why)
        try:
            result, reasons, about_certificates = await self._reload()
        except Exception as error:
            log.exception("reload: a fault of edge")
            result, reasons, about_certificates = Result.FAILED, [f"{type(error).__name__}: {error}"], False
        took_s = time.monotonic() - began
        revision = self._site.draft.model.revision
        self.history.add(Attempt(at, why, result, revision, took_s, reasons, about_certificates))
        for line in reasons:
            log.error("reload: %s", line)
        if result in GOOD:
            log.info("reload: %s, revision %d, %.2f s", result.value, revision, took_s)
        else:
            log.error("reload: %s; revision %d goes on", result.value, revision)

    async def _reload(self) -> tuple[Result, list[str], bool]:
        if self._watcher is not None:
            self._watcher.pause()
        files: Files = {}
        try:
            outcome, descriptors = await self._make_drafter().answer()
            if not isinstance(outcome, Failed):
                files = outcome.files
        finally:
            self._watch(files)
        try:
            if not isinstance(outcome, Draft):
                return _refused(outcome)
            for problem in outcome.warnings:
                log.warning("reload: %s", problem.text().partition("\n")[0])
            late = expired(self._site.draft, outcome)
            if late:
                return Result.REFUSED, late, True
            result, reasons = await self._apply(outcome, descriptors)
            return result, reasons, False
        finally:
            _close(descriptors)  # those of a draft that is served are the site's by now

    async def _apply(self, draft: Draft, descriptors: list[int]) -> tuple[Result, list[str]]:
        site = self._site
        before = site.draft
        kind = change(before, draft)
        number = before.model.revision
        if kind is Change.REVISION:
            # Never the same twice: a worker may still be busy with one that was given up.
            number = self._number = self._number + 1
        draft = msgspec.structs.replace(draft, model=msgspec.structs.replace(draft.model, revision=number))
        try:
            if kind is Change.REVISION or (before.watches, before.dns) != (draft.watches, draft.dns):
                await site.discover(draft)
            if kind is Change.REVISION:
                errors = await self._swap(draft, descriptors)
            else:
                errors = await self._move_admin(before, draft)
            if not errors:
                site.draft = draft
        finally:
            site.settle()
        if errors:
            return Result.REFUSED, errors
        if kind is Change.CERTIFICATES:
            self._renew(before, draft)
        await site.adopted(before, not exports_alike(before, draft))
        if kind is Change.REVISION:
            return Result.APPLIED, []
        return (Result.CERTIFICATES if kind is Change.CERTIFICATES else Result.UNCHANGED), []

    async def _swap(self, draft: Draft, descriptors: list[int]) -> list[str]:
        """Bind, prepare, activate. Why not, or nothing."""
        site = self._site
        before = site.draft
        try:
            bound = rebind(
                before.model.listeners, draft.model.listeners, site.bound, site.bound_udp, site.workers
            )
        except CannotBind as error:
            return [str(error)]
        done = False
        try:
            revision = Revision(_with_ports(draft, bound.tcp), descriptors, [*bound.tcp, *bound.udp])
            errors = await self._fleet.prepare(revision) or await self._move_admin(before, draft)
            if errors:
                self._fleet.abort()
                return errors
            self._fleet.activate(revision)
            done = True
        finally:
            if not done:
                bound.undo()
        bound.settle()
        site.bound, site.bound_udp = bound.tcp, bound.udp
        _close(site.descriptors)
        site.descriptors[:] = descriptors
        descriptors.clear()
        return []

    async def _move_admin(self, before: Draft, draft: Draft) -> list[str]:
        if draft.admin != before.admin:
            try:
                await self._site.move_admin(draft.admin)
            except CannotBind as error:
                return [str(error)]
        return []

    def _renew(self, before: Draft, draft: Draft) -> None:
        """Certificates on listeners that stand; a worker that comes back gets them with the revision."""
        served = self._fleet.revision
        revision = Revision(_with_ports(draft, self._site.bound), served.descriptors, served.bound)
        messages = [wire.Certificates(each.name, each.certificates) for each in renewed(before, draft)]
        self._fleet.amend(revision, messages)

    def _watch(self, files: Files) -> None:
        if self._watcher is not None:
            self._watcher.watch(files)


def _refused(outcome: Outcome) -> tuple[Result, list[str], bool]:
    if isinstance(outcome, Invalid):
        errors = [problem for problem in outcome.problems if problem.severity == "error"]
        about = any(problem.code == "certificate" or ".certificates[" in problem.path for problem in errors)
        return Result.INVALID, [problem.text().partition("\n")[0] for problem in errors], about
    if isinstance(outcome, Uncompiled):
        return Result.UNCOMPILED, list(outcome.errors), False
    assert not isinstance(outcome, Draft)
    return Result.FAILED, [outcome.reason], False


def _with_ports(draft: Draft, bound: Sequence[Bound]) -> model.Model:
    """The model with the ports that were bound."""
    listeners = [
        msgspec.structs.replace(listener, port=each.address.port)
        for listener, each in zip(draft.model.listeners, bound, strict=True)
    ]
    return msgspec.structs.replace(draft.model, listeners=listeners)


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
    descriptors.clear()

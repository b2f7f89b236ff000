"""Many matches of one path, told apart by a header or query parameter: one look-up, not one try each."""

from __future__ import annotations

from collections import Counter
from typing import Final

from edge.head import RequestHead
from edge.route.candidate import Candidate, Read, Subject

FORK_MIN: Final = 8
"""Matches that are tried one after the other; a fork costs as much as three or four."""


class Fork:
    """Stands in the place of the candidates it was made of; `any` as theirs."""

    __slots__ = ("_by_value", "_read", "_rest", "any")

    def __init__(self, candidates: list[Candidate], subject: Subject, done: frozenset[Subject]) -> None:
        """`candidates` by rank; `done` = subjects that led here, by which they do not differ any more."""
        self.any = False
        by_value: dict[bytes, list[Candidate]] = {}
        rest: list[Candidate] = []
        for candidate in candidates:
            condition = candidate.exact.get(subject)
            if condition is None:
                rest.append(candidate)
            else:
                self._read: Read = condition.read
                by_value.setdefault(condition.value, []).append(candidate)
        done |= {subject}
        self._by_value = {value: forked(own, done) for value, own in by_value.items()}
        self._rest = forked(rest, done)

    def choose(self, head: RequestHead) -> Candidate | None:
        """The best by rank of those that accept `head`."""
        rest = first(self._rest, head)
        value = self._read(head)
        own = first(self._by_value.get(value), head) if value is not None else None
        if own is None or rest is None:
            return own or rest
        return min(own, rest, key=Candidate.rank)


Choices = list[Candidate | Fork]


def forked(candidates: list[Candidate], done: frozenset[Subject] = frozenset()) -> Choices:
    """`candidates`, which stand by rank, as they are or behind a fork where they are many."""
    if len(candidates) > FORK_MIN:
        counted = Counter(
            subject for candidate in candidates for subject in candidate.exact if subject not in done
        )
        for subject, count in counted.most_common(1):
            if count > FORK_MIN:
                return [Fork(candidates, subject, done)]
    return [*candidates]


def first(choices: Choices | None, head: RequestHead) -> Candidate | None:
    """The first that accepts `head`, whose path is right."""
    if choices is not None:
        for choice in choices:
            if choice.any:
                return choice  # type: ignore[return-value]  # forks never say so
            found = choice.choose(head)
            if found is not None:
                return found
    return None

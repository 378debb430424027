"""The meaning of TTL 0: expired in a cache, served stale, or configured. Pure.

A cache that cannot reach its upstream may serve an expired answer with TTL 0 (RFC 8767;
``serve_stale`` of CoreDNS, ``use-stale-cache`` of dnsmasq). A cache that counts the TTL down sends
0 in the last second. And a zone may be configured with TTL 0. A single answer does not show which
of the three it is; earlier answers, and another one a moment later, do.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from enum import Enum

from ..model import Answered, Empty, Failed, Observation
from .caching import TTL_TOLERANCE

__all__ = ["RECHECK_AFTER", "Freshness", "Staleness"]

RECHECK_AFTER = 0.5
"""The longest time, in seconds, until the lookup is repeated after an answer with TTL 0.

A cache that refreshes its entry in the background has done so by then."""

LONGEST_STALE = 86_400.0
"""Seconds after which TTL 0 in every answer means that the zone is configured with it.

CoreDNS serves stale for an hour by default, dnsmasq for a day; RFC 8767, 5 suggests one to three
days."""

MOST_STALE_ANSWERS = 4
"""The largest number of caches that are expected to serve stale answers in turn.

Each repeats the one answer that it holds, and a service address has few replicas behind it."""

PERSISTS_LOOKUPS = MOST_STALE_ANSWERS + 1
"""TTL 0 in this many consecutive lookups persists, because one of the caches was queried twice.

A cache that serves stale while it refreshes sends 0 only once, and a cache that counts down only
within one second."""


class Staleness(Enum):
    """Whether an answer is served stale, and so whether it counts."""

    FRESH = "fresh"
    """Not served stale; it counts."""
    UNVERIFIED = "unverified"
    """Unknown, because every answer so far came with TTL 0; it counts."""
    UNCLEAR = "unclear"
    """TTL 0 for the first time; it does not count, and the next lookups decide."""
    STALE = "stale"
    """Served stale; it does not count."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """What the TTLs so far show about the newest answer.

    Attributes:
        staleness: Whether the newest answer is served stale.
        recheck: Whether to repeat the lookup after `RECHECK_AFTER`.
        positive: Whether an answer showed that the zone's TTL is above 0.
        configured: Whether the zone is configured with TTL 0, because such answers kept changing
            or came for longer than any cache serves stale.
        since: The time of the first consecutive answer with TTL 0; None if the newest answer has
            another TTL.
    """

    staleness: Staleness = Staleness.FRESH
    recheck: bool = False
    positive: bool = False
    configured: bool = False
    since: float | None = None
    _burst: float | None = None
    """The time of the first of the lookups that show whether TTL 0 persists."""
    _lookups: int = 0
    """The number of these lookups so far."""
    _result: Staleness = Staleness.UNCLEAR
    """The result of the newest complete series of these lookups."""
    _answers: frozenset[Hashable] = frozenset()
    """The distinct answers with TTL 0."""

    def after(self, observation: Observation, now: float) -> Freshness:
        """The state after another lookup.

        Args:
            observation: The result of the lookup.
            now: The time at which it ended.
        """
        if isinstance(observation, Failed):
            return replace(self, recheck=False, _burst=None)
        if not _expired(observation):
            if not observation.ttl:  # no SOA or no records, so no information about TTLs
                return replace(self, staleness=Staleness.FRESH, recheck=False)
            return Freshness(positive=True)
        if self.configured:
            return replace(self, staleness=Staleness.FRESH)
        positive = self.positive or _zone_has_ttl(observation)
        if observation.attempt is None and not positive:
            return self  # a static list or an API: no cache can serve it stale
        return self._at_zero(observation, now, positive)

    def age(self, now: float) -> float:
        """Seconds for which every answer has come with TTL 0."""
        return 0.0 if self.since is None else now - self.since

    def _at_zero(self, observation: Answered | Empty, now: float, positive: bool) -> Freshness:
        since = now if self.since is None else self.since
        answers = self._answers | _content(observation)
        if len(answers) > MOST_STALE_ANSWERS or now - since >= LONGEST_STALE:
            return Freshness(configured=True)
        burst = now if self._burst is None else self._burst
        result = self._result
        if result is Staleness.UNVERIFIED and not positive:
            return replace(self, staleness=result, since=since, _answers=answers)
        lookups = 1 if self._burst is None else self._lookups + 1
        persists = lookups >= PERSISTS_LOOKUPS and now - burst >= TTL_TOLERANCE
        if persists:
            result = Staleness.STALE if positive else Staleness.UNVERIFIED
        elif positive and result is Staleness.UNVERIFIED:
            result = Staleness.UNCLEAR
        return Freshness(
            staleness=result,
            recheck=not persists,
            positive=positive,
            since=since,
            _burst=None if persists else burst,
            _lookups=lookups,
            _result=result,
            _answers=answers,
        )


def _expired(answer: Answered | Empty) -> bool:
    """Whether an answer has TTL 0, as one that has expired in a cache."""
    if isinstance(answer, Answered):
        return answer.ttl == 0 and bool(answer.peers)
    return (answer.ttl if answer.soa_ttl is None else answer.soa_ttl) == 0


def _zone_has_ttl(answer: Answered | Empty) -> bool:
    """Whether an answer with TTL 0 shows that its TTL was above 0 when it was fresh."""
    return isinstance(answer, Empty) and bool(answer.soa_minimum)


def _content(answer: Answered | Empty) -> frozenset[Hashable]:
    """The content of a complete answer, to distinguish it from others."""
    if isinstance(answer, Empty):
        return frozenset({frozenset[Hashable]()})
    if answer.incomplete_reason is not None:
        return frozenset()
    return frozenset({frozenset((p.name, p.addresses, p.ports) for p in answer.peers)})

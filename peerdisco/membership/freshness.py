"""What a TTL of 0 means: expired in a cache, served stale, or configured. Pure.

A cache that cannot reach its upstream may serve an answer that has expired, with TTL 0 (RFC 8767;
``serve_stale`` of CoreDNS, ``use-stale-cache`` of dnsmasq). A cache that counts its TTLs down may
send 0 within the last second. And a zone may be configured with TTL 0. A single answer does not
tell which of the three it is; what the same path sent before and sends a moment later does.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from enum import Enum

from ..model import Answered, Empty, Failed, Observation
from .caching import TTL_TOLERANCE

__all__ = ["RECHECK_AFTER", "Freshness", "Staleness"]

RECHECK_AFTER = 0.5
"""Seconds after which an answer with TTL 0 is asked for again, at most.

A cache that refreshes its entry in the background has done so by then."""

LONGEST_STALE = 86_400.0
"""Seconds after which answers with TTL 0 are taken for a zone that is configured with it.

CoreDNS serves stale for an hour by default, dnsmasq for a day; RFC 8767, 5 suggests one to three
days."""

MOST_STALE_ANSWERS = 4
"""At most so many caches are expected to serve stale answers in turn.

Each repeats the one answer that it holds, and a service address has few replicas behind it."""

PERSISTS_LOOKUPS = MOST_STALE_ANSWERS + 1
"""TTL 0 in so many lookups in a row persists: one of the caches was asked twice.

A cache that serves stale while it refreshes sends 0 only once, and one that counts down only
within a second."""


class Staleness(Enum):
    """What an answer may be used for."""

    FRESH = "fresh"
    """It counts."""
    UNVERIFIED = "unverified"
    """It counts, as far as can be known: every answer so far came with TTL 0."""
    UNCLEAR = "unclear"
    """It does not count yet: TTL 0 for the first time; the next lookup decides."""
    STALE = "stale"
    """It does not count: it is served stale."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """What the TTLs so far say about the newest answer.

    Attributes:
        evidence: What the newest answer may be used for.
        recheck: Whether to ask again after `RECHECK_AFTER`.
        positive: Whether an answer showed that the zone's TTL is above 0.
        configured: Whether answers with TTL 0 kept changing, or came for longer than anybody
            serves stale: then the zone is configured with it.
        since: When the answers with TTL 0 began; None if the newest answer is none.
    """

    evidence: Staleness = Staleness.FRESH
    recheck: bool = False
    positive: bool = False
    configured: bool = False
    since: float | None = None
    _burst: float | None = None
    """When the first of the lookups was that shall show whether TTL 0 persists."""
    _lookups: int = 0
    """How many of these lookups there were."""
    _judged: Staleness = Staleness.UNCLEAR
    """What they have shown."""
    _answers: frozenset[Hashable] = frozenset()
    """The different answers with TTL 0."""

    def after(self, observation: Observation, now: float) -> Freshness:
        """The same, after another lookup.

        Args:
            observation: What came of it.
            now: When it came.
        """
        if isinstance(observation, Failed):
            return replace(self, recheck=False, _burst=None)
        if not _expired(observation):
            if not observation.ttl:  # without a SOA, or without records: it says nothing of TTLs
                return replace(self, evidence=Staleness.FRESH, recheck=False)
            return Freshness(positive=True)
        if self.configured:
            return replace(self, evidence=Staleness.FRESH)
        positive = self.positive or _zone_has_ttl(observation)
        if observation.attempt is None and not positive:
            return self  # a list that was given, or an API: there is no cache to serve it stale
        return self._at_zero(observation, now, positive)

    def age(self, now: float) -> float:
        """For how many seconds every answer has come with TTL 0."""
        return 0.0 if self.since is None else now - self.since

    def _at_zero(self, observation: Answered | Empty, now: float, positive: bool) -> Freshness:
        since = now if self.since is None else self.since
        answers = self._answers | _content(observation)
        if len(answers) > MOST_STALE_ANSWERS or now - since >= LONGEST_STALE:
            return Freshness(configured=True)
        burst = now if self._burst is None else self._burst
        judged = self._judged
        if judged is Staleness.UNVERIFIED and not positive:
            return replace(self, evidence=judged, since=since, _answers=answers)
        lookups = 1 if self._burst is None else self._lookups + 1
        persists = lookups >= PERSISTS_LOOKUPS and now - burst >= TTL_TOLERANCE
        if persists:
            judged = Staleness.STALE if positive else Staleness.UNVERIFIED
        elif positive and judged is Staleness.UNVERIFIED:
            judged = Staleness.UNCLEAR
        return Freshness(
            evidence=judged,
            recheck=not persists,
            positive=positive,
            since=since,
            _burst=None if persists else burst,
            _lookups=lookups,
            _judged=judged,
            _answers=answers,
        )


def _expired(answer: Answered | Empty) -> bool:
    """Whether everything in an answer, or in a part of it, has TTL 0."""
    match answer:
        case Answered(peers=peers, ttl=ttl):
            return ttl == 0 and bool(peers)
        case Empty(ttl=ttl, soa_ttl=soa_ttl):
            return (ttl if soa_ttl is None else soa_ttl) == 0


def _zone_has_ttl(answer: Answered | Empty) -> bool:
    """Whether an answer with TTL 0 shows that it had a TTL when it was fresh."""
    return isinstance(answer, Empty) and bool(answer.soa_minimum)


def _content(answer: Answered | Empty) -> frozenset[Hashable]:
    """What a complete answer says, to tell it from others."""
    if isinstance(answer, Empty):
        return frozenset({frozenset[Hashable]()})
    if answer.incomplete_reason is not None:
        return frozenset()
    return frozenset({frozenset((p.name, p.addresses, p.ports) for p in answer.peers)})

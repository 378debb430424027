"""Detects caches from the TTLs of answers, and how long they may hold an outdated answer. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from .rules import ConfirmationRules

__all__ = ["TTL_TOLERANCE", "Caching"]

_RECENT = 16
"""The number of answers that are remembered."""

_UNCACHED_ANSWERS = 4
"""This many consecutive answers that repeat an earlier TTL prove that there is no cache.

Fewer do not: the same number of replicas, each with a cache that our own queries fill, sends the
same TTLs.
"""

TTL_TOLERANCE = 1.0
"""TTLs are whole seconds, so an expiry time is known to about one second."""

_LARGEST_HOLD = 604_800.0
"""A week: the limit to which a resolver should shorten larger TTLs (RFC 8767, 4)."""


class _Answer(NamedTuple):
    """The TTL of one answer, in seconds, and when the answer came."""

    at: float
    ttl: float

    @property
    def expires(self) -> float:
        return self.at + self.ttl


@dataclass(frozen=True, slots=True)
class Caching:
    """What the TTLs of the answers show about caches in between.

    A cache counts the TTL down: all answers from one cache entry expire at the same time.
    A server without a cache sends the same TTL each time.

    Attributes:
        recent: The newest answers, the newest one last.
        peak: The answer with the largest TTL, until that is outdated.
        uncached: Consecutive answers whose TTL did not count down, that is, that did not come from
            a cache.
        counts_down: Whether TTLs count down, which shows a cache.
        repeated: Whether the newest answer comes from the same cache entry as an earlier one.
        refreshed: Whether a cache's TTL rose, which shows that `largest` is the full TTL.
    """

    recent: tuple[_Answer, ...] = ()
    peak: _Answer = _Answer(0.0, 0.0)  # noqa: RUF009 - immutable
    uncached: int = 0
    counts_down: bool = False
    repeated: bool = False
    refreshed: bool = False

    def after(self, ttl: float, now: float) -> Caching:
        """The state after another answer.

        Args:
            ttl: The TTL of the answer in seconds.
            now: The time of the answer.
        """
        newest = _Answer(now, ttl)
        recent = (*self.recent[1 - _RECENT :], newest)
        peak = self._peak(newest, recent)
        repeated = any(_same_entry(answer, newest) for answer in self.recent)
        cached = repeated or ttl < peak.ttl
        constant = ttl == 0 or any(_same_ttl(answer, newest) for answer in self.recent)
        uncached = 0 if cached else self.uncached + constant
        rose = bool(self.recent) and ttl > self.recent[-1].ttl
        return Caching(
            recent=recent,
            peak=peak,
            uncached=uncached,
            counts_down=cached or (self.counts_down and uncached < _UNCACHED_ANSWERS),
            repeated=repeated,
            refreshed=self.refreshed or (self.counts_down and rose),
        )

    def _peak(self, newest: _Answer, recent: tuple[_Answer, ...]) -> _Answer:
        """The answer with the largest TTL; it is outdated after three times that TTL."""
        if newest.ttl >= self.peak.ttl:
            return newest
        outdated = newest.at - self.peak.at > 3 * self.peak.ttl
        return max(recent, key=lambda answer: answer.ttl) if outdated else self.peak

    @property
    def largest(self) -> float:
        """The TTL of `peak` in seconds; 0 before the first answer."""
        return self.peak.ttl

    @property
    def none_seen(self) -> bool:
        """Whether enough answers show that there is no cache."""
        if self.counts_down or not self.recent:
            return False
        return self.largest == 0 or self.uncached >= _UNCACHED_ANSWERS

    def hold(self, rules: ConfirmationRules) -> float:
        """Seconds from now until no cache can still hold an answer that is outdated already."""
        if self.none_seen:
            return rules.least_hold
        full = self.largest
        if self.counts_down and not self.refreshed:
            full = max(full, rules.cache_ttl)
        return min(_LARGEST_HOLD, max(rules.least_hold, full + 2 * rules.interval))

    def expires(self) -> float | None:
        """When the newest answer expires in its cache; None if it is not known to come from one.

        None also for the first answer after a cache was refreshed: the next answer shows whether
        there still is a cache.
        """
        return self.recent[-1].expires if self.repeated else None


def _same_entry(earlier: _Answer, newest: _Answer) -> bool:
    """Whether two answers come from one cache entry: the TTL counts down to the same expiry."""
    return (
        newest.ttl < earlier.ttl
        and newest.at - earlier.at >= TTL_TOLERANCE
        and abs(newest.expires - earlier.expires) <= TTL_TOLERANCE
    )


def _same_ttl(earlier: _Answer, newest: _Answer) -> bool:
    """Whether the TTL is the same although a cache would have counted it down meanwhile."""
    return newest.ttl == earlier.ttl and TTL_TOLERANCE <= newest.at - earlier.at < newest.ttl

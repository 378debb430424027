"""What TTLs tell: whether a cache is on the way, and for how long it may give old answers. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from .rules import ConfirmationRules

__all__ = ["TTL_TOLERANCE", "Caching"]

_RECENT = 16
"""So many answers are remembered, to tell a cache from a server that answers anew."""

_ANEW_LOOKS = 4
"""So many answers in a row, each with the TTL of the one before, show that there is no cache.

Fewer do not: as many replicas with a cache each, filled by our own questions, look the same.
"""

TTL_TOLERANCE = 1.0
"""TTLs are whole seconds, so the moment at which an answer expires is known to about one."""

_LARGEST_HOLD = 604_800.0
"""A week: what a resolver should shorten larger TTLs to (RFC 8767, 4)."""


@dataclass(frozen=True, slots=True)
class Caching:
    """What the TTLs of the answers tell about caches on the way.

    A cache counts its TTLs down: what it says expires at the same moment, whenever it is asked.
    A server that makes each answer anew gives the same TTL each time.

    Attributes:
        recent: When the newest answers came, and their TTLs; the newest last.
        peak: The largest TTL of late, and when it was seen.
        anew: How many answers in a row were made anew, as far as can be told.
        counts_down: Whether there is a cache, as far as can be told.
        confirmed: Whether the newest answer is one that was seen before, out of a cache.
        refreshed: Whether a cache's TTL was seen to rise, so that the largest is its full one.
    """

    recent: tuple[tuple[float, float], ...] = ()
    peak: tuple[float, float] = (0.0, 0.0)
    anew: int = 0
    counts_down: bool = False
    confirmed: bool = False
    refreshed: bool = False

    def saw(self, ttl: float, now: float) -> Caching:
        """The same, after another answer."""
        recent = (*self.recent[1 - _RECENT :], (now, ttl))
        seen, largest = self.peak
        if ttl >= largest:
            peak = (now, ttl)
        elif now - seen <= 3 * largest:
            peak = self.peak
        else:
            peak = max(recent, key=lambda answer: answer[1])
        again = any(
            now - when >= TTL_TOLERANCE
            and ttl < before
            and abs((when + before) - (now + ttl)) <= TTL_TOLERANCE
            for when, before in self.recent
        )
        cached = again or ttl < peak[1]
        fresh = not cached and (
            ttl == 0
            or any(
                before == ttl and TTL_TOLERANCE <= now - when < ttl for when, before in self.recent
            )
        )
        anew = 0 if cached else self.anew + fresh
        counts_down = cached or (self.counts_down and anew < _ANEW_LOOKS)
        rose = bool(self.recent) and ttl > self.recent[-1][1]
        return Caching(
            recent=recent,
            peak=peak,
            anew=anew,
            counts_down=counts_down,
            confirmed=again,
            refreshed=self.refreshed or (self.counts_down and rose),
        )

    @property
    def largest(self) -> float:
        """The largest TTL of late; 0 before the first answer."""
        return self.peak[1]

    @property
    def none_seen(self) -> bool:
        """Whether it is clear by now that answers are made anew."""
        if self.counts_down or not self.recent:
            return False
        return self.largest == 0 or self.anew >= _ANEW_LOOKS

    def hold(self, rules: ConfirmationRules) -> float:
        """For how many seconds from now an answer that is old already may still be given."""
        if self.none_seen:
            return rules.least_hold
        full = self.largest
        if self.counts_down and not self.refreshed:
            full = max(full, rules.cache_ttl)
        return min(_LARGEST_HOLD, max(rules.least_hold, full + 2 * rules.interval))

    def expires(self) -> float | None:
        """When the newest answer leaves the cache it came from; None if it came from none.

        None also for the first answer after a cache was filled anew: the look after that tells
        whether there still is a cache.
        """
        if not self.confirmed:
            return None
        when, ttl = self.recent[-1]
        return when + ttl

"""When to look next, given what was seen. Pure: chance comes in as a number."""

from __future__ import annotations

from dataclasses import dataclass

from ..exceptions import ResolverUnavailable
from ..names import parse_seconds
from ..timing.backoff import Backoff
from .freshness import RECHECK_AFTER
from .machine import Membership

__all__ = ["Schedule"]


@dataclass(frozen=True, slots=True)
class Schedule:
    """How often to look.

    Attributes:
        interval: Seconds between two looks when nothing happens.
        min_interval: Never less than so many seconds between two looks.
        max_backoff: Never more than so many seconds between two lookups that fail because no name
            server replies. Where one replies, with SERVFAIL or REFUSED for instance, never more
            than `interval` either: it recovers soon, and is asked no more often than a healthy one.
        jitter: Each wait is longer or shorter by up to this part of itself, so that pods which
            started together do not ask together for ever.
    """

    interval: float = 2.0
    min_interval: float = 0.5
    max_backoff: float = 8.0
    jitter: float = 0.1

    def __post_init__(self) -> None:
        for name in ("interval", "min_interval", "max_backoff"):
            parse_seconds(getattr(self, name), name)

    def wait(self, membership: Membership, now: float, chance: float) -> float:
        """Seconds from now until the next look.

        - After an answer with TTL 0 that has to be asked for again: half a second at most.
        - After failures: half an interval, doubled with each one, up to `max_backoff`; up to an
          interval where a name server replies, so that its recovery is seen soon.
        - While something is unconfirmed: half an interval, so that it is confirmed soon.
        - Where a cache holds the answer: until it expires, since nothing new can be seen before.
        - Otherwise an interval.

        Args:
            membership: What was seen.
            now: The time of the look that has just ended.
            chance: From 0 up to 1.
        """
        if membership.recheck:
            seconds = min(self.interval, RECHECK_AFTER)
        elif membership.failures:
            error = membership.last_error
            replied = isinstance(error, ResolverUnavailable) and error.replied
            longest = min(self.interval, self.max_backoff) if replied else self.max_backoff
            seconds = Backoff(self.interval / 2, longest).after(membership.failures)
        elif membership.unconfirmed:
            seconds = self.interval / 2
        else:
            expires = membership.caching.expires()
            seconds = self.interval
            if expires is not None and expires - now > self.interval:
                # Not a moment before: with the jitter on both sides it would often be in vain.
                return expires - now + self.jitter * self.interval * chance
        return max(self.min_interval, seconds * (1 + self.jitter * (2 * chance - 1)))

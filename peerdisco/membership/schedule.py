"""When the next poll is due. Pure: randomness is an argument."""

from __future__ import annotations

from dataclasses import dataclass

from ..exceptions import ResolverUnavailable
from ..names import parse_seconds
from ..timing.backoff import Backoff
from .caching import TTL_TOLERANCE
from .freshness import RECHECK_AFTER
from .machine import Membership

__all__ = ["Schedule"]

FEW = 10
"""From this many pods on, their polls are spread when a cache expires for all of them.

Fewer are no load, and would only be notified later.
"""

MANY = 100
"""From this many pods on, the polls are spread over a whole interval."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The polling schedule.

    Attributes:
        interval: The polling interval in seconds, while nothing happens.
        min_interval: The shortest time between two polls, in seconds.
        max_backoff: The longest time between two polls, in seconds, while no name server replies.
            If one replies, with SERVFAIL or REFUSED for instance, `interval` is a limit, too: such
            a server usually recovers soon, and is queried no more often than a healthy one.
        jitter: The fraction by which each wait is randomly longer or shorter, so that pods that
            start together do not poll together.
    """

    interval: float = 2.0
    min_interval: float = 0.5
    max_backoff: float = 8.0
    jitter: float = 0.1

    def __post_init__(self) -> None:
        for name in ("interval", "min_interval", "max_backoff"):
            parse_seconds(getattr(self, name), name)

    def wait(self, membership: Membership, now: float, chance: float) -> float:
        """Seconds from now until the next poll.

        - After an answer with TTL 0 that needs another lookup: half a second at most.
        - After failures: half an interval, doubled with each failure, up to `max_backoff`; up to
          an interval if a name server replies, so that its recovery is noticed soon.
        - While a change is unconfirmed: half an interval, so that it is confirmed soon.
        - If a cache holds the answer: until it expires, because the answer is the same before.
          While a change is unconfirmed, no longer than until the same answer can confirm it.
          The polls of many pods are spread over an interval, because all of them wait for this.
        - Otherwise an interval.

        Args:
            membership: The membership after the newest lookup.
            now: The time at which that lookup ended.
            chance: A random number from 0 up to 1.
        """
        if membership.recheck:
            seconds = min(self.interval, RECHECK_AFTER)
        elif membership.failures:
            error = membership.last_error
            replied = isinstance(error, ResolverUnavailable) and error.replied
            longest = min(self.interval, self.max_backoff) if replied else self.max_backoff
            seconds = Backoff(self.interval / 2, longest).after(membership.failures)
        else:
            unconfirmed = membership.unconfirmed
            seconds = self.interval / 2 if unconfirmed else self.interval
            if (until := self._same_until(membership, now, seconds)) is not None:
                # Never before it expires, so the jitter only adds to the wait.
                spread = self.jitter / 2 if unconfirmed else self._spread(membership.size)
                return until - now + spread * self.interval * chance
        return max(self.min_interval, seconds * (1 + self.jitter * (2 * chance - 1)))

    def _same_until(self, membership: Membership, now: float, seconds: float) -> float | None:
        """Until when an answer would be the same and confirm nothing; None if not that long."""
        expires = membership.caching.expires()
        newest = membership.caching.recent[-1:]
        if expires is None or (membership.unconfirmed and newest[0].at != membership.observed_at):
            return None  # not known, or of another answer than the newest one
        until = min(expires, membership.confirmable_at(now, self.interval / 2))
        return until if until - now > seconds else None

    def _spread(self, pods: int) -> float:
        """The part of an interval over which the polls are spread when a cache expires."""
        if pods < FEW or not self.jitter:
            return self.jitter
        # The expiry is known to a second; together no longer than one interval with its jitter.
        longest = 1 + self.jitter - TTL_TOLERANCE / self.interval
        return max(self.jitter, longest * min(1.0, pods / MANY))

"""When the next poll is due. Pure: randomness is an argument."""

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
        elif membership.unconfirmed:
            seconds = self.interval / 2
        else:
            expires = membership.caching.expires()
            seconds = self.interval
            if expires is not None and expires - now > self.interval:
                # Never before it expires, so the jitter only adds to the wait.
                return expires - now + self.jitter * self.interval * chance
        return max(self.min_interval, seconds * (1 + self.jitter * (2 * chance - 1)))

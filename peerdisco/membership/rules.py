"""How much evidence confirms a change of the membership. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ..names import parse_seconds

__all__ = ["ConfirmationRules"]


@dataclass(frozen=True, slots=True)
class ConfirmationRules:
    """How much evidence confirms a change.

    Attributes:
        interval: The polling interval in seconds.
        leave_after: Seconds for which a peer must be missing before it has left; None to derive
            them from the TTLs (see `peerdisco.membership.caching.Caching.hold`).
        leave_lookups: The number of consecutive complete answers in which it must be missing.
        mass_lookups: The number of additional answers if half of the peers or more are missing at
            the same time.
        empty_after: Seconds for which an answer without peers must last at least, because a DNS
            server that restarts may answer NXDOMAIN.
        cache_ttl: The assumed TTL, in seconds, while a cache is known but its full TTL is not;
            30 is the default of kubeadm and NodeLocal DNSCache.
    """

    interval: float = 2.0
    leave_after: float | None = None
    leave_lookups: int = 3
    mass_lookups: int = 1
    empty_after: float = 15.0
    cache_ttl: float = 30.0

    def __post_init__(self) -> None:
        parse_seconds(self.interval, "interval")
        parse_seconds(self.empty_after, "empty_after", zero=True)
        parse_seconds(self.cache_ttl, "cache_ttl", zero=True)
        if self.leave_after is not None:
            parse_seconds(self.leave_after, "leave_after")

    @property
    def least_hold(self) -> float:
        """Seconds for which a peer must be missing if there is no cache.

        The replicas of the cluster DNS receive a change from the API one by one, within a second
        or two. From the change to the report it takes less than four intervals.
        """
        return 2.0 * self.interval

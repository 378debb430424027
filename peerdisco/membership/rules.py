"""How much it takes until a change in the membership is believed. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ..names import parse_seconds

__all__ = ["ConfirmationRules"]


@dataclass(frozen=True, slots=True)
class ConfirmationRules:
    """How much it takes until something is believed.

    Attributes:
        interval: Seconds between two looks when nothing happens.
        leave_after: Seconds a peer must have been absent before it has left; None to derive them
            from the TTLs that were seen (see `peerdisco.membership.caching.Caching.hold`).
        leave_looks: In how many complete answers in a row it must have been absent.
        mass_looks: How many more it takes when half of the peers or more are absent at once.
        empty_after: The least number of seconds that an answer without any peer must last: a DNS
            that restarts says NXDOMAIN too.
        cache_ttl: The TTL, in seconds, to reckon with while a cache is seen but its full TTL was
            not seen yet; 30 is what kubeadm and NodeLocal DNSCache are shipped with.
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
        """Seconds to doubt an absence even where no cache is seen.

        Replicas of the cluster DNS learn of a change from the API one by one, within a second or
        two; together with the first look that misses the peer this stays below four intervals.
        """
        return 2.0 * self.interval

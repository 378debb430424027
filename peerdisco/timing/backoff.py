"""Exponential backoff with a limit. Pure."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Backoff"]

_MOST_STEPS = 1000
"""The largest exponent; 2.0 to a power of 1024 overflows."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with a limit, for any number of failures.

    Attributes:
        first: The wait after the first failure, in seconds.
        limit: The longest wait, in seconds; also the first one if `first` is longer.
        factor: The ratio of two consecutive waits: above 1, at most 2.
    """

    first: float
    limit: float
    factor: float = 2.0

    def after(self, failures: int) -> float:
        """Seconds to wait after a number of consecutive failures, which is 1 or more.

        The wait never decreases, and the number of failures is not limited.
        """
        return min(self.limit, self.first * self.factor ** min(failures - 1, _MOST_STEPS))

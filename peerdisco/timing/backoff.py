"""The pause between two attempts: it grows with each failure, up to a limit. Pure."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Backoff"]

_MOST_STEPS = 1000
"""A factor of 2 to this power is still a float: the next power of ten or so would overflow."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """An exponential back-off with a limit, for any number of failures.

    Attributes:
        first: Seconds after the first failure.
        limit: The longest pause in seconds; also the first one, where `first` is longer.
        factor: What each pause is multiplied by for the next one: above 1, at most 2.
    """

    first: float
    limit: float
    factor: float = 2.0

    def after(self, failures: int) -> float:
        """Seconds to wait after so many consecutive failures; at least one.

        It never shrinks from one failure to the next, and never fails, however many there were.
        """
        return min(self.limit, self.first * self.factor ** min(failures - 1, _MOST_STEPS))

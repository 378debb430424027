"""What a watcher publishes: one frozen value, replaced as a whole after each lookup. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..exceptions import WatcherError
from ..model import Snapshot

__all__ = ["Published"]


@dataclass(frozen=True, slots=True)
class Published:
    """Everything that a consumer of a watcher reads, as of one moment.

    A consumer, in whatever task or thread, takes the value once and derives all it needs from it,
    so that it never sees a part of one lookup and a part of the next.

    Attributes:
        snapshot: The membership after the newest lookup, as it was at the newest answer.
        observed_at: When the newest answer came, by the watcher's clock; None before the first.
        stable_since: When something last changed, was suspected, or failed; None before the first
            lookup.
        lookups: How many lookups have ended, failed ones too.
        refreshes: How many calls of ``refresh()`` came before the lookup of the newest answer was
            begun.
        failure: Why there are no more lookups; None while there are.
    """

    snapshot: Snapshot
    observed_at: float | None = None
    stable_since: float | None = None
    lookups: int = 0
    refreshes: int = 0
    failure: WatcherError | None = None

    def at(self, now: float) -> Snapshot:
        """The membership as it is handed out at this moment, by the watcher's clock."""
        if self.observed_at is None:
            return self.snapshot
        return replace(self.snapshot, age=max(0.0, now - self.observed_at))

"""The published state of a watcher: one frozen value, replaced after each lookup. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..exceptions import WatcherError
from ..model import Snapshot

__all__ = ["Published"]


@dataclass(frozen=True, slots=True)
class Published:
    """The state of a watcher after one lookup.

    A consumer, in any task or thread, reads the value once and derives everything from it, so that
    it never mixes the results of two lookups.

    Attributes:
        snapshot: The membership after the newest lookup.
        observed_at: The time of the newest answer, by the watcher's clock; None before the first.
        stable_since: The time of the newest change, suspicion or failure; None before the first
            lookup.
        lookups: The number of lookups that have ended, including failed ones.
        refreshes: The number of calls of ``refresh()`` before the lookup of the newest answer
            started.
        failure: The error that ended the lookups; None while they continue.
    """

    snapshot: Snapshot
    observed_at: float | None = None
    stable_since: float | None = None
    lookups: int = 0
    refreshes: int = 0
    failure: WatcherError | None = None

    def at(self, now: float) -> Snapshot:
        """The membership with its age at a time of the watcher's clock."""
        if self.observed_at is None:
            return self.snapshot
        return replace(self.snapshot, age=max(0.0, now - self.observed_at))

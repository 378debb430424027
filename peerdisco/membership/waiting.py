"""Whether one call of `Discovery.wait` may return: asked again after each lookup. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..exceptions import NotReady
from ..model import Snapshot
from .published import Published

__all__ = ["Waiting"]


@dataclass(slots=True)
class Waiting:
    """What one caller waits for, and until when.

    Attributes:
        condition: Whether a snapshot is sufficient.
        words: The condition in words, for the error.
        stable_for: Seconds without a change, a suspected peer or a failed lookup.
        timeout: Seconds to wait; None for no limit.
        began: The time of the call, by the watcher's clock.
        refreshes: The number of calls of ``refresh()`` before: an answer counts only if its lookup
            began after all of them.
        local: The name of this pod, if the condition requires it; else None.
        pause: Seconds until the next check, if no lookup ends before; None for no limit.
    """

    condition: Callable[[Snapshot], bool]
    words: str
    stable_for: float
    timeout: float | None
    began: float
    refreshes: int
    local: str | None
    pause: float | None = field(default=None, init=False)
    _lookups: int = field(default=0, init=False)
    _latest: float = field(default=0.0, init=False)

    def check(self, published: Published, now: float) -> Snapshot | None:
        """The membership, if it is sufficient; else None, and `pause` says when to check again.

        Raises:
            NotReady: The time is over.
        """
        snapshot = published.at(now)
        left = self._stable_in(published, snapshot, now)
        concludes = self._concludes(published, now)
        if left is not None and left <= 0 and (concludes or not self.stable_for):
            return snapshot
        remaining = None if self.timeout is None else self.began + self.timeout - now
        if remaining is not None and remaining <= 0 and concludes:
            raise self._not_ready(snapshot) from snapshot.last_error
        pauses = [pause for pause in (left, remaining) if pause is not None]
        self.pause = min(pauses, default=None) if concludes else self._latest - now
        return None

    def stalled(self, published: Published, latest: float) -> None:
        """Note that the process could not run, and made no lookups meanwhile.

        Time that has passed counts only after the next lookup, or at the time ``latest``.
        """
        self._lookups, self._latest = published.lookups + 1, latest

    def _concludes(self, published: Published, now: float) -> bool:
        return published.lookups >= self._lookups or now >= self._latest

    def _stable_in(self, published: Published, snapshot: Snapshot, now: float) -> float | None:
        """Seconds until a sufficient membership is stable; None while it is not sufficient."""
        if not snapshot.known or snapshot.stale or published.refreshes < self.refreshes:
            return None
        if not self.condition(snapshot):
            return None
        since = now if published.stable_since is None else published.stable_since
        return self.stable_for - (now - since)

    def _not_ready(self, snapshot: Snapshot) -> NotReady:
        last = snapshot if snapshot.known else None
        unlisted = self.local if last is not None and last.local is None else None
        assert self.timeout is not None
        return NotReady(self.words, self.timeout, last, unlisted)

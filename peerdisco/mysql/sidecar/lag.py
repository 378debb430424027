"""How far a replica is behind, by the heartbeats that it has and the primary has. Pure.

Both heartbeats carry the primary's time, so that the clocks of the nodes need not agree. A server's
own figure compares times of what it has received, and is 0 while it waits for the rest.
"""

from __future__ import annotations

from ..facts import ServerFacts

__all__ = ["LagMeter"]

_KNOWN_FOR = 30.0
"""Seconds for which the primary's heartbeat is used after it was read."""

_STOPPED_AFTER = 3.0
"""Seconds without a new heartbeat after which the primary's sidecar does not write any."""


class LagMeter:
    """Compares a replica's heartbeat with the last one that was read from its primary."""

    def __init__(self) -> None:
        self._primary: ServerFacts | None = None
        self._asked_at = 0.0
        self._renewed_at: float | None = None
        """When the primary's heartbeat was first seen as it is; None if not known."""

    def saw_primary(self, primary: ServerFacts | None, now: float) -> None:
        """Remember the primary's facts; None if it did not answer."""
        before = self._primary.history.heartbeat if self._primary is not None else None
        beat = primary.history.heartbeat if primary is not None else None
        if beat is None or before is None:
            self._renewed_at = None
        elif beat != before:
            self._renewed_at = now
        self._primary, self._asked_at = primary, now

    def lag(self, own: ServerFacts, now: float) -> int | None:
        """Seconds that the replica is behind; None if its heartbeat does not show it."""
        primary, beat = self._primary, own.history.heartbeat
        if primary is None or beat is None or now - self._asked_at > _KNOWN_FOR:
            return None
        theirs = primary.history.heartbeat
        if theirs is None:
            return None
        behind = theirs.at.timestamp() - beat.at.timestamp()
        if self._beats:
            behind += now - self._asked_at
        elif behind <= 0 and primary.position.beyond(own.position):
            return None  # no heartbeat came with what is missing
        return int(max(behind, 0))

    @property
    def _beats(self) -> bool:
        """Whether the primary's heartbeat was renewed lately."""
        renewed = self._renewed_at
        return renewed is not None and self._asked_at - renewed < _STOPPED_AFTER

"""The changes that no hook has handled yet, merged into one. Pure."""

from __future__ import annotations

from dataclasses import replace

from ..model import Change, Peer, Snapshot

__all__ = ["PendingChanges"]


class PendingChanges:
    """Collects changes until a hook has run for them.

    Args:
        on_health: Whether `Change.degraded` and `Change.recovered` are a reason to run a hook.

    Attributes:
        newest: The newest snapshot; None before the first change.
        handled: The snapshot of the last run that succeeded; None before it.
        has_news: Whether a reason to run a hook has arrived since the last run began.
        unsettled: Whether a run since the last success failed, so that its effect is unknown.
    """

    def __init__(self, *, on_health: bool) -> None:
        self._on_health = on_health
        self.newest: Snapshot | None = None
        self.handled: Snapshot | None = None
        self.has_news = False
        self.unsettled = False
        self._names: set[str] = set()
        """Peers in the changes since the last success. While this pod is leaving, changes do not
        contain it, although it differs between the snapshots."""

    def add(self, change: Change) -> bool:
        """Add a change.

        Returns:
            Whether it is a reason to run a hook.
        """
        self.newest = change.snapshot
        self._names |= {peer.unique_name for peer in (*change.joined, *change.left)}
        self._names |= {new.unique_name for _, new in change.replaced}
        is_reason = self._is_reason(change)
        # A hook may have failed because of the same outage as the lookups.
        self.has_news = self.has_news or is_reason or (change.recovered and self.unsettled)
        return is_reason

    @property
    def is_due(self) -> bool:
        """Whether a hook has to run."""
        return self.has_news and (self.unsettled or self._is_reason(self.merged()))

    def merged(self) -> Change:
        """All changes since the last success, as one."""
        assert self.newest is not None
        change = Change.between(self.handled, self.newest)
        return replace(
            change,
            joined=self._reported(change.joined),
            left=self._reported(change.left),
            replaced=tuple(pair for pair in change.replaced if pair[1].unique_name in self._names),
        )

    def begin(self, current: Snapshot) -> Change:
        """Begin a run.

        Args:
            current: The snapshot of the watcher now, which is used if it lists the same peers: it
                knows its age.

        Returns:
            The change for the hook.
        """
        assert self.newest is not None
        if current.peers is self.newest.peers:
            self.newest = current
        self.has_news = False
        self.unsettled = True
        return self.merged()

    def succeed(self, change: Change) -> None:
        """End a run that succeeded with this change."""
        self.unsettled = False
        self.handled = change.snapshot
        self._names.clear()

    def _reported(self, peers: tuple[Peer, ...]) -> tuple[Peer, ...]:
        return tuple(peer for peer in peers if peer.unique_name in self._names)

    def _is_reason(self, change: Change) -> bool:
        if change.joined or change.left or change.replaced:
            return True
        if self.handled is None:
            return False
        if self._on_health and (change.degraded or change.recovered):
            return True
        return change.snapshot.complete and not self.handled.complete

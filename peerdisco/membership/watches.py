"""The iterators over a watcher's changes, and over its primary."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from ..model import Change, Peer, Snapshot

__all__ = ["PrimaryWatch", "Watch"]


class Watch(AsyncIterator[Change]):
    """The changes for one consumer; see `Discovery.watch`."""

    def __init__(self, next_change: Callable[[Snapshot | None], Awaitable[Change | None]]) -> None:
        self._next_change = next_change
        self._last: Snapshot | None = None

    async def __anext__(self) -> Change:
        change = await self._next_change(self._last)
        if change is None:
            raise StopAsyncIteration
        self._last = change.snapshot
        return change


class PrimaryWatch(AsyncIterator[Peer | None]):
    """The primary for one consumer; see `Discovery.watch_primary`."""

    def __init__(self, changes: Watch) -> None:
        self._changes = changes
        self._last: Peer | None = None
        self._reported = False

    async def __anext__(self) -> Peer | None:
        while True:
            change = await anext(self._changes)
            if self._is_news(change.snapshot):
                return self._last

    def _is_news(self, snapshot: Snapshot) -> bool:
        """Whether the primary is to be reported, which is then the last one."""
        primary = snapshot.primary
        if not self._reported and primary is None and not snapshot.complete:
            return False  # it may be missing from an incomplete list: not known, rather than absent
        if self._reported and _server(primary) == _server(self._last):
            return False
        self._last, self._reported = primary, True
        return True


def _server(peer: Peer | None) -> object:
    """What makes a primary another one: its name, its addresses and its ports."""
    return None if peer is None else (peer.unique_name, peer.addresses, peer.ports)

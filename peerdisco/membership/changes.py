"""The changes that the membership machine reports after one lookup. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ..model import Peer

__all__ = ["ChangeCollector", "Changes"]


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes that one lookup, or the passage of time, confirmed; see `Change`."""

    joined: tuple[Peer, ...] = ()
    left: tuple[Peer, ...] = ()
    replaced: tuple[tuple[Peer, Peer], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.joined or self.left or self.replaced)


class ChangeCollector:
    """Collects the changes while one answer is applied."""

    def __init__(self) -> None:
        self.joined: list[Peer] = []
        self.left: list[Peer] = []
        self.replaced: list[tuple[Peer, Peer]] = []

    def changes(self) -> Changes:
        """The changes collected so far."""
        return Changes(tuple(self.joined), tuple(self.left), tuple(self.replaced))

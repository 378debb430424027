"""Policies: which peer of a membership is the primary. Pure.

A policy picks, it does not elect: every pod that sees the same membership picks the same peer,
and a pod that sees another membership may pick another one. Where data could be lost, more than
the pick has to be checked; see `peerdisco.primary.verdicts`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..exceptions import ConfigurationError
from ..model import Peer, Snapshot

__all__ = ["lowest_ordinal", "ordinal"]


@dataclass(frozen=True, slots=True)
class ordinal:  # noqa: N801 - used as a function
    """The peer with this ordinal; no peer while it is absent.

    ``primary=ordinal(5)`` goes with ``spec.ordinals.start: 5``.

    Args:
        number: 0 or more.

    Raises:
        ConfigurationError: The number is negative.
    """

    number: int

    def __post_init__(self) -> None:
        if self.number < 0:
            raise ConfigurationError("ordinal", self.number, "a number of 0 or more")

    def __call__(self, snapshot: Snapshot) -> Peer | None:
        return snapshot.by_ordinal(self.number)


def lowest_ordinal(snapshot: Snapshot) -> Peer | None:
    """The peer with the lowest ordinal that is there; None if no peer has one.

    This can lose data. While ordinal 0 restarts, every pod that does a lookup picks ordinal 1;
    if writes follow the pick, ordinal 1 takes writes that ordinal 0 does not have when it is
    back and is picked again. Two pods that see different memberships pick different primaries.
    Use it only where nothing is written, or where something else fences the old primary.

    Raises:
        AmbiguousPrimary: Several StatefulSets stand behind the service and none was chosen.
    """
    members = snapshot.members
    return members[0] if members else None

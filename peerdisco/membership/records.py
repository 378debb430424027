"""What the membership machine remembers about a single peer. Pure."""

from __future__ import annotations

from typing import NamedTuple

from ..model import Peer
from .transitions import State

__all__ = ["PeerRecord", "Unlisted", "endpoint"]

MOST_RETURNS = 6
"""Each return doubles the time to confirm the next change, up to two to the power of this."""

RETURN_EXPIRY = 300
"""Intervals after which one return is forgotten."""

_MOST_FORMER = 8
"""The number of former addresses that are remembered for a peer."""


def endpoint(peer: Peer) -> tuple[object, ...]:
    """The addresses and ports of a peer: if they change, the peer is reported as replaced."""
    return peer.addresses, peer.ports


class PeerRecord(NamedTuple):
    """A reported peer, and the unconfirmed evidence about it.

    Attributes:
        peer: The peer as it was reported.
        state: The state; never `State.GONE`.
        since: The start of the suspicion, or of the difference.
        lookups: Consecutive complete answers without the peer; while settling, consecutive
            answers with the same difference.
        mass: Whether half of the peers or more were missing together with it.
        interrupted: Whether lookups failed during such a suspicion. The hold is then twice that
            of an empty answer.
        refuted: Recent suspicions that turned out to be wrong, in a row.
        returns: Recent times at which the peer returned to a former state: to an address that had
            been replaced, or after its departure was reported.
        returned_at: The time of the newest return.
        seen_at: The time of the newest answer that lists the peer.
        candidate: The peer with the difference that may settle; None in the other states.
        former: The peer before each replacement, the newest last.
    """

    peer: Peer
    state: State = State.PRESENT
    since: float = 0.0
    lookups: int = 0
    mass: bool = False
    interrupted: bool = False
    refuted: int = 0
    returns: int = 0
    returned_at: float = 0.0
    seen_at: float = 0.0
    candidate: Peer | None = None
    former: tuple[Peer, ...] = ()

    def had(self, peer: Peer | None) -> bool:
        """Whether these are a former address and port of the peer."""
        return peer is not None and endpoint(peer) in map(endpoint, self.former)

    def is_candidate(self, peer: Peer) -> bool:
        """Whether this is the difference that may settle."""
        return self.candidate is not None and endpoint(self.candidate) == endpoint(peer)

    def recent_returns(self, now: float, interval: float) -> int:
        """The returns that still count, after some were forgotten."""
        forgotten = (now - self.returned_at) // (RETURN_EXPIRY * interval)
        return max(0, min(MOST_RETURNS, self.returns) - int(forgotten))

    def returned(self, now: float, interval: float) -> PeerRecord:
        """The record after another return."""
        return self._replace(returns=self.recent_returns(now, interval) + 1, returned_at=now)

    def settling(self, peer: Peer, now: float) -> PeerRecord:
        """The record after an answer that lists the peer with a difference."""
        known = self
        if not self.is_candidate(peer):
            known = self._replace(since=now, candidate=peer, lookups=0)
        return known._replace(lookups=known.lookups + 1)

    def suspected(self) -> PeerRecord:
        """The record after a complete answer without the peer."""
        return self._replace(candidate=None)

    def confirmed(self, peer: Peer, now: float, interval: float) -> PeerRecord:
        """The record after an answer that lists the peer as it was reported."""
        known = self.returned(now, interval) if self.had(self.candidate) else self
        return known._replace(
            peer=peer,  # its readiness may have changed
            refuted=known.refuted + (known.state is State.SUSPECTED),
            candidate=None,
            lookups=0,
            mass=False,
            interrupted=False,
        )

    def replaced(self, peer: Peer, now: float, interval: float) -> PeerRecord:
        """The record after the peer was reported with another address or port."""
        known = self.returned(now, interval) if self.had(peer) else self
        former = [old for old in self.former if endpoint(old) != endpoint(peer)]
        return PeerRecord(
            peer,
            former=(*former, self.peer)[-_MOST_FORMER:],
            returns=known.returns,
            returned_at=known.returned_at,
        )

    def rejoined(self, peer: Peer, now: float, interval: float) -> PeerRecord:
        """The record of a peer that joined again, unchanged, after its departure."""
        known = self.returned(now, interval)
        return PeerRecord(
            peer, former=self.former, returns=known.returns, returned_at=known.returned_at
        )

    def postponed(self, seconds: float) -> PeerRecord:
        """The record after a time without answers, which confirms nothing."""
        # DNS that fails, and then omits most of the pods, may be restarting.
        interrupted = self.state is State.SUSPECTED and self.mass
        return self._replace(since=self.since + seconds, interrupted=interrupted)


class Unlisted(NamedTuple):
    """A peer that is missing from incomplete answers, which is no evidence of a departure.

    Attributes:
        since: The time of the first of these answers.
        answers: The number of consecutive answers.
    """

    since: float
    answers: int = 0

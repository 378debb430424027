"""One look by itself: what a single observation says, for those who do not keep looking."""

from __future__ import annotations

from datetime import UTC, datetime

from .exceptions import ServiceNotFound
from .model import Answered, Empty, Failed, Observation, Outcome, Snapshot
from .view import View

__all__ = ["one_look"]


def one_look(observation: Observation, service: str, view: View) -> Snapshot:
    """The snapshot that one observation by itself makes.

    Raises:
        DiscoveryError: The look failed, or was answered with NXDOMAIN.
    """
    now = datetime.now(UTC)
    match observation:
        case Answered(peers=peers, incomplete_reason=reason):
            return view.snapshot(service, peers, observed_at=now, incomplete_reason=reason)
        case Empty(outcome=Outcome.NXDOMAIN, attempt=attempt):
            raise ServiceNotFound(service, attempt, view.snapshot(service, (), observed_at=now))
        case Empty():
            return view.snapshot(service, (), observed_at=now)
        case Failed(error=error):
            raise error

"""One lookup by itself: what it says, for those who do not keep polling."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from ..exceptions import ServiceNotFound, StaleAnswer
from ..membership.freshness import PERSISTS_LOOKUPS, Freshness, Staleness
from ..membership.snapshots import SnapshotBuilder
from ..model import Answered, Empty, Failed, Observation, Outcome, Snapshot
from . import Source
from .lookup import lookup

__all__ = ["observe_once", "snapshot_from_observation"]

_AGAIN_AFTER = 1.05 / (PERSISTS_LOOKUPS - 1)
"""Seconds between two of the lookups that show within a second whether TTL 0 persists."""


async def observe_once(source: Source, *, timeout: float) -> tuple[Observation, bool]:
    """Look up once; an answer with TTL 0 is asked for again a moment later.

    Such an answer may have expired in a cache. What comes then decides: an answer with a larger
    TTL takes its place, and a lookup that fails then does not.

    Args:
        source: Where to look.
        timeout: Seconds for everything together.

    Returns:
        What came of it, and whether it may be stale: TTL 0 each time is what a zone that is
        configured with it gives, and what a cache that serves an old answer gives. Where the answer
        itself shows that it is old, it is a `Failed` lookup.
    """
    now = asyncio.get_running_loop().time
    deadline = now() + timeout
    observation = await lookup(source, timeout)
    freshness = Freshness().after(observation, now())
    while freshness.recheck and deadline - now() > _AGAIN_AFTER:
        await asyncio.sleep(_AGAIN_AFTER)
        again = await lookup(source, max(0.001, deadline - now()))
        if isinstance(again, Failed):
            break
        observation, freshness = again, freshness.after(again, now())
    if freshness.staleness is Staleness.STALE and not isinstance(observation, Failed):
        attempts = () if observation.attempt is None else (observation.attempt,)
        return Failed(StaleAnswer(source.service, attempts, freshness.age(now()))), False
    return observation, freshness.staleness is not Staleness.FRESH


def snapshot_from_observation(
    observation: Observation, service: str, view: SnapshotBuilder, *, may_be_stale: bool = False
) -> Snapshot:
    """The snapshot that one observation by itself makes.

    Args:
        observation: What was seen.
        service: The service's fully qualified name.
        view: Who looks, and for what.
        may_be_stale: Whether it may be served stale; see `observe_once`.

    Raises:
        DiscoveryError: The look failed, or was answered with NXDOMAIN.
    """
    now = datetime.now(UTC)

    def snapshot(observed: Answered | Empty) -> Snapshot:
        found = observed if isinstance(observed, Answered) else Answered(())
        return view.snapshot(
            service,
            found.peers,
            observed_at=now,
            incomplete_reason=found.incomplete_reason,
            may_be_stale=may_be_stale,
        )

    match observation:
        case Empty(outcome=Outcome.NXDOMAIN, attempt=attempt):
            raise ServiceNotFound(service, attempt, snapshot(observation))
        case Failed(error=error):
            raise error
        case Answered() | Empty():
            return snapshot(observation)

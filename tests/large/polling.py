"""Lookups of a `LargeService`, and the changes that a membership confirms over many of them."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from peerdisco.dns.batch import Batch
from peerdisco.dns.resolver import Reply, Resolver
from peerdisco.membership.machine import Membership
from peerdisco.membership.rules import ConfirmationRules
from peerdisco.model import Answered, Observation
from peerdisco.names import Endpoint, parse_service
from peerdisco.sources.headless_dns import HeadlessDNS

from .server import Server, serving
from .service import LargeService

TIMEOUT = 60.0


class Counting(Resolver):
    """A resolver that counts its questions.

    Attributes:
        asked: How many there were.
    """

    asked = 0

    async def ask(self, *args: Any, **kwargs: Any) -> Reply:
        self.asked += 1
        return await super().ask(*args, **kwargs)

    async def run(self, batch: Batch, *, deadline: float) -> None:
        self.asked += len(batch.left)
        await super().run(batch, deadline=deadline)


@asynccontextmanager
async def opened(
    service: LargeService, *, port_name: str | None = None
) -> AsyncIterator[tuple[HeadlessDNS, Server]]:
    """A source that queries the service through a server in the running event loop."""
    async with serving(service) as server:
        source = HeadlessDNS(parse_service(service.name), [server.endpoint], port_name=port_name)
        try:
            yield source, server
        finally:
            await source.aclose()


@dataclass
class Changes:
    """The changes that many lookups led to, and the incomplete ones.

    Attributes:
        lookups: The number of lookups.
        incomplete: The reasons of incomplete lookups, with their number.
        joined: Names reported to have joined, after the first lookup.
        left: Names reported to have left.
        replaced: Names reported to have been replaced.
    """

    lookups: int = 0
    incomplete: dict[str, int] = field(default_factory=dict)
    joined: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)


async def poll_often(
    observe: Callable[[], object],
    lookups: int,
    *,
    interval: float = 2.0,
    between: Callable[[int], None] = lambda number: None,
) -> Changes:
    """Make many lookups, and apply them to a membership whose clock is moved by the interval.

    Args:
        observe: Makes one lookup: a coroutine function that returns an observation.
        lookups: The number of lookups.
        interval: Seconds between two, for the membership.
        between: Called with its number after each lookup; may change the cluster.
    """
    membership = Membership(ConfirmationRules(interval=interval))
    changes = Changes()
    for number in range(lookups):
        observation: Observation = await observe()  # type: ignore[misc]
        now = number * interval
        first = membership.observed_at is None
        for step in (membership.observe(observation, now), membership.tick(now)):
            if not first:
                changes.joined += [peer.name for peer in step.joined]
            changes.left += [peer.name for peer in step.left]
            changes.replaced += [new.name for _, new in step.replaced]
        changes.lookups += 1
        reason = (
            observation.incomplete_reason
            if isinstance(observation, Answered)
            else type(observation).__name__
        )
        if reason is not None:
            changes.incomplete[reason] = changes.incomplete.get(reason, 0) + 1
        between(number)
    return changes


async def quiet_polls(pods: int, lookups: int, *, seed: int = 0) -> Changes:
    """Make many lookups of a service that does not change, on a server that shuffles and truncates.

    Every reported change is false: no pod joins, leaves or is replaced.
    """
    from .service import statefulset

    chance = random.Random(seed)
    service = LargeService(statefulset("db", range(pods)), seed=chance.randrange(2**32))
    async with opened(service) as (source, _):
        return await poll_often(lambda: source.observe(timeout=TIMEOUT), lookups)


async def quiet_polls_of(endpoint: Endpoint, service: str, lookups: int) -> Changes:
    """The same at a server that runs elsewhere."""
    source = HeadlessDNS(parse_service(service), [endpoint])
    try:
        return await poll_often(lambda: source.observe(timeout=TIMEOUT), lookups)
    finally:
        await source.aclose()

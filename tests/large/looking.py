"""Looks at a `LargeService`, and what a membership makes of many of them."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from peerdisco.membership.machine import Membership
from peerdisco.membership.rules import ConfirmationRules
from peerdisco.model import Answered, Observation
from peerdisco.names import Endpoint, parse_service
from peerdisco.sources.headless_dns import HeadlessDNS

from .server import Server, serving
from .service import LargeService

TIMEOUT = 60.0


@asynccontextmanager
async def looking(
    service: LargeService, *, port_name: str | None = None
) -> AsyncIterator[tuple[HeadlessDNS, Server]]:
    """A source that looks at the service through a server in the running event loop."""
    async with serving(service) as server:
        source = HeadlessDNS(parse_service(service.name), [server.endpoint], port_name=port_name)
        try:
            yield source, server
        finally:
            await source.aclose()


@dataclass
class Changes:
    """What many looks told, and what was wrong with it.

    Attributes:
        looks: How many there were.
        incomplete: Why some were incomplete, and how many for each reason.
        joined: Names that were told to have joined, after the first look.
        left: Names that were told to have left.
        replaced: Names that were told to have been replaced.
    """

    lookups: int = 0
    incomplete: dict[str, int] = field(default_factory=dict)
    joined: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)


async def look_often(
    observe: Callable[[], object],
    lookups: int,
    *,
    interval: float = 2.0,
    between: Callable[[int], None] = lambda look: None,
) -> Changes:
    """Look so often, and take everything into a membership; its clock is moved by the interval.

    Args:
        observe: Looks once: a coroutine function that gives an observation.
        looks: How many looks.
        interval: Seconds between two, for the membership.
        between: Called with its number after each look; may change the cluster.
    """
    membership = Membership(ConfirmationRules(interval=interval))
    told = Changes()
    for look in range(lookups):
        observation: Observation = await observe()  # type: ignore[misc]
        now = look * interval
        first = membership.observed_at is None
        for step in (membership.observe(observation, now), membership.tick(now)):
            if not first:
                told.joined += [peer.name for peer in step.joined]
            told.left += [peer.name for peer in step.left]
            told.replaced += [new.name for _, new in step.replaced]
        told.lookups += 1
        reason = (
            observation.incomplete_reason
            if isinstance(observation, Answered)
            else type(observation).__name__
        )
        if reason is not None:
            told.incomplete[reason] = told.incomplete.get(reason, 0) + 1
        between(look)
    return told


async def quiet_looks(pods: int, lookups: int, *, seed: int = 0) -> Changes:
    """Look so often at a service that does not change, on a server that shuffles and cuts.

    What it told is all false: nobody joins, leaves or is replaced.
    """
    from .service import statefulset

    chance = random.Random(seed)
    service = LargeService(statefulset("db", range(pods)), seed=chance.randrange(2**32))
    async with looking(service) as (source, _):
        return await look_often(lambda: source.observe(timeout=TIMEOUT), lookups)


async def quiet_looks_at(endpoint: Endpoint, service: str, lookups: int) -> Changes:
    """The same at a server that runs elsewhere."""
    source = HeadlessDNS(parse_service(service), [endpoint])
    try:
        return await look_often(lambda: source.observe(timeout=TIMEOUT), lookups)
    finally:
        await source.aclose()

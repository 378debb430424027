"""How soon a watcher reports that DNS answers again, and what it asks meanwhile."""

from __future__ import annotations

import random

import pytest

import peerdisco
from peerdisco.model import Observation, Outcome
from peerdisco.testing import ManualClock, failure, peers

REPLIES = [Outcome.SERVFAIL, Outcome.REFUSED, Outcome.ERROR, Outcome.MALFORMED]
SILENCE = [Outcome.TIMEOUT, Outcome.UNREACHABLE]


class Outage:
    """A service whose DNS fails for a while."""

    service = "my-database.default.svc.cluster.local"

    def __init__(self) -> None:
        self.answer: Observation = peers("mysql", 3)
        self.lookups = 0

    async def observe(self, *, timeout: float) -> Observation:
        self.lookups += 1
        return self.answer

    async def aclose(self) -> None:
        pass


async def recovery(
    outcome: Outcome, seconds: float, chance: random.Random, interval: float = 2.0
) -> tuple[float, int]:
    """How long after the end of an outage it is reported, and the lookups during it."""
    clock, cluster = ManualClock(), Outage()
    async with peerdisco.Discovery(
        source=cluster, clock=clock, chance=chance.random, interval=interval
    ) as disco:
        await clock.advance(chance.uniform(5, 10) * interval)
        cluster.answer = failure(outcome)
        before = cluster.lookups
        await clock.advance(seconds)
        asked = cluster.lookups - before
        assert disco.snapshot.stale or seconds < interval
        cluster.answer = peers("mysql", 3)
        back = clock.now()
        await clock.advance(60, until=lambda: not disco.snapshot.stale)
        return clock.now() - back, asked


@pytest.mark.parametrize("outcome", REPLIES, ids=str)
@pytest.mark.parametrize("seconds", [3, 8, 20, 120])
async def test_a_recovery_is_reported_within_an_interval_where_a_server_replies(
    outcome: Outcome, seconds: float
) -> None:
    chance = random.Random(f"{outcome} {seconds}")
    for _ in range(10):
        late, asked = await recovery(outcome, seconds, chance)
        assert late <= 1.1 * 2.0 + 1e-9
        assert asked <= seconds / (0.9 * 2.0) + 3, "no more than a healthy server is asked"


@pytest.mark.parametrize("outcome", SILENCE, ids=str)
async def test_a_recovery_from_silence_is_reported_within_the_longest_backoff(
    outcome: Outcome,
) -> None:
    chance = random.Random(f"{outcome}")
    for _ in range(10):
        late, asked = await recovery(outcome, 120, chance)
        assert late <= 1.1 * 8.0 + 1e-9
        assert asked <= 120 / (0.9 * 8.0) + 5


@pytest.mark.parametrize("interval", [0.5, 1.0, 30.0])
async def test_it_holds_for_every_interval(interval: float) -> None:
    chance = random.Random(f"{interval}")
    for _ in range(5):
        late, _ = await recovery(Outcome.SERVFAIL, 20 * interval, chance, interval)
        assert late <= 1.1 * min(interval, 8.0) + 1e-9

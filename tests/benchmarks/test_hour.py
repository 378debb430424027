"""What an hour of watching puts on the DNS while nothing changes: counted, not waited for."""

from __future__ import annotations

import asyncio
import statistics

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import peerdisco
from peerdisco.model import Answered, Observation
from peerdisco.testing import peers

from .clock import RushingClock
from .conftest import Replaying
from .contenders import peerdisco as opened
from .services import Service

HOUR = 3600.0
INTERVAL = 2.0
SIZES = (3, 100, 1000)
CACHES = (None, 5.0, 30.0)
"""Seconds for which a cache holds an answer; None where there is none."""

WARM, COUNTED = 5, 10
"""Lookups before those that are counted, and those."""


class Quiet:
    """A membership that does not change, behind a cache or not."""

    service = "my-database.default.svc.cluster.local"

    def __init__(self, clock: RushingClock, pods: int, cached: float | None) -> None:
        self.clock = clock
        self.cached = cached
        self.answer = peers("mysql", pods)
        self.fetched = float("-inf")

    async def observe(self, *, timeout: float) -> Observation:
        if self.cached is None:
            return self.answer
        now = self.clock.now()
        if now - self.fetched >= self.cached:
            self.fetched = now
        ttl = float(int(self.cached - (now - self.fetched)))
        return Answered(self.answer.peers, ttl)

    async def aclose(self) -> None:
        pass


async def looks_in_an_hour(pods: int, cached: float | None) -> int:
    clock = RushingClock()
    source = Quiet(clock, pods, cached)
    async with peerdisco.Discovery(source=source, interval=INTERVAL, clock=clock) as disco:
        while clock.now() < HOUR:
            await asyncio.sleep(0)
        return disco.lookups


async def counts_of_a_lookup(testing_dns: Replaying, pods: int) -> dict[str, float]:
    """The questions and the bytes of a lookup, the median of several."""
    counted: list[dict[str, int]] = []
    async with opened(Service(pods), testing_dns.endpoint) as lookup:
        for _ in range(WARM + COUNTED):
            testing_dns.counts()
            await lookup()
            counted.append(testing_dns.counts())
    return {what: statistics.median(count[what] for count in counted[WARM:]) for what in counted[0]}


@pytest.mark.parametrize("pods", SIZES)
@pytest.mark.parametrize("cached", CACHES)
def test_hour(
    benchmark: BenchmarkFixture, testing_dns: Replaying, pods: int, cached: float | None
) -> None:
    lookups = benchmark.pedantic(lambda: asyncio.run(looks_in_an_hour(pods, cached)))
    lookup = asyncio.run(counts_of_a_lookup(testing_dns, pods))
    benchmark.group = "an hour of watching"
    benchmark.extra_info.update(
        table="hour",
        pods=pods,
        cached=cached,
        lookups=lookups,
        questions=lookups * lookup["questions"],
        octets=lookups * (lookup["bytes_in"] + lookup["bytes_out"]),
    )

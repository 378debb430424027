"""Watching: how soon a change is told, what it costs while nothing changes, and what it leaves."""

from __future__ import annotations

import asyncio
import gc
import random
import statistics
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import peerdisco
from peerdisco.model import Answered, Observation
from peerdisco.testing import ClusterDNS, peers

from .conftest import figures, running

SERVICE = "my-database.default.svc.cluster.local"


@pytest.fixture
def dns() -> Iterator[ClusterDNS]:
    with ClusterDNS(ttl=5) as server:
        yield server


def test_detection(benchmark: BenchmarkFixture, dns: ClusterDNS) -> None:
    """In intervals, over real messages, from the change in the cluster to the change told."""
    interval, rounds = 0.2, 15
    mysql = dns.statefulset("mysql", service="my-database", replicas=3)
    joins: list[float] = []
    leaves: list[float] = []

    async def watch() -> None:
        async with peerdisco.Discovery(
            SERVICE,
            nameservers=[dns.nameserver],
            source="dns",
            interval=interval,
            min_interval=interval / 4,
        ) as disco:
            watch = disco.watch()
            await anext(watch)
            while not disco._membership.caching.none_seen:  # it has seen that nothing is cached
                await asyncio.sleep(interval)
            for _ in range(rounds):
                for replicas, told in ((4, joins), (3, leaves)):
                    await asyncio.sleep(random.uniform(0, interval))
                    start = time.perf_counter()
                    mysql.scale(replicas)
                    change = await anext(watch)
                    assert change.joined or change.left
                    told.append((time.perf_counter() - start) / interval)

    benchmark.pedantic(lambda: asyncio.run(watch()), rounds=1)
    figures(
        benchmark,
        "from the change to its telling, in intervals",
        {
            "a join, median": f"{statistics.median(joins):.2f}",
            "a join, largest (bound: 1 and the jitter)": f"{max(joins):.2f}",
            "a leave, median": f"{statistics.median(leaves):.2f}",
            "a leave, largest (bound: 4)": f"{max(leaves):.2f}",
        },
    )


class RushingClock:
    """Time that passes as soon as everybody waits for it."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def utcnow(self) -> datetime:
        return datetime(2000, 1, 1, tzinfo=UTC)

    async def wait(self, event: asyncio.Event, seconds: float | None) -> bool:
        if seconds is None:
            return await event.wait()
        await asyncio.sleep(0)
        self.time += seconds
        return event.is_set()


class Quiet:
    """A membership that does not change, behind a cache or not."""

    service = SERVICE

    def __init__(self, clock: RushingClock, cached: float | None) -> None:
        self.clock = clock
        self.cached = cached
        self.answer = peers("mysql", 3)
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


def test_queries_per_hour(benchmark: BenchmarkFixture) -> None:
    counts: dict[str, str] = {}

    async def hour(cached: float | None) -> int:
        clock = RushingClock()
        async with peerdisco.Discovery(source=Quiet(clock, cached), clock=clock) as disco:
            while clock.now() < 3600:
                await asyncio.sleep(0)
            return disco.looks

    def hours() -> None:
        counts["no cache, interval 2 s (1800 intervals)"] = str(asyncio.run(hour(None)))
        for ttl in (5.0, 30.0):
            counts[f"a cache of {ttl:g} s that counts down"] = str(asyncio.run(hour(ttl)))

    benchmark.pedantic(hours, rounds=1)
    figures(benchmark, "queries an hour while nothing changes", counts)


class Restless:
    """A membership that changes with every look: one pod has moved each time."""

    service = SERVICE

    def __init__(self) -> None:
        self.look = 0

    async def observe(self, *, timeout: float) -> Observation:
        self.look += 1
        high, low = divmod(self.look % 62_500, 250)
        return peers("mysql", 10, addresses={0: f"10.1.{high}.{low + 1}"})

    async def aclose(self) -> None:
        pass


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def resident() -> int:
    """The resident memory of this process, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_soak(benchmark: BenchmarkFixture) -> None:
    """100,000 changes through one watcher: what is there after ten thousand, and at the end."""
    changes, settled = 100_000, 10_000
    sizes: list[int] = []

    async def soak() -> None:
        files = descriptors()
        async with peerdisco.Discovery(source=Restless(), clock=RushingClock()) as disco:
            told = 0
            async for change in disco.watch():
                told += len(change.replaced)
                if told in (settled, changes):
                    gc.collect()
                    sizes.append(resident())
                if told >= changes:
                    break
        assert descriptors() == files

    benchmark.pedantic(lambda: asyncio.run(soak()), rounds=1)
    figures(
        benchmark,
        "100,000 changes through one watcher",
        {
            "memory after 10,000": f"{sizes[0] / 2**20:.1f} MiB",
            "memory after 100,000": f"{sizes[-1] / 2**20:.1f} MiB",
            "descriptors left": "0",
        },
    )


def test_many_watchers(benchmark: BenchmarkFixture) -> None:
    """500 watchers on 500 services in one process: the share of one processor they take."""
    count, seconds = 500, 8.0
    shares: list[float] = []

    async def watch(port: int) -> None:
        async with AsyncExitStack() as stack:
            for number in range(count):
                disco = peerdisco.Discovery(
                    f"db-{number}.default.svc.cluster.local",
                    nameservers=[f"127.0.0.1:{port}"],
                    source="dns",
                )
                await stack.enter_async_context(disco)
                await disco.wait(3, timeout=30)
            start, cpu = time.perf_counter(), time.process_time()
            await asyncio.sleep(seconds)
            shares.append((time.process_time() - cpu) / (time.perf_counter() - start))

    with running("tests.benchmarks.many", str(count)) as port:
        benchmark.pedantic(lambda: asyncio.run(watch(port)), rounds=1)
    figures(
        benchmark,
        "500 watchers on 500 services, interval 2 s",
        {
            "of one processor": f"{100 * shares[0]:.1f} %",
            "CPU for one look": f"{shares[0] / (count / 2.0) * 1e6:.0f} us",
        },
    )

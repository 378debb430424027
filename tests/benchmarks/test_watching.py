"""Watching for long, and watching much: what a watcher leaves behind, and what 500 of them take."""

from __future__ import annotations

import asyncio
import gc
import time
from contextlib import AsyncExitStack
from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

import peerdisco
from peerdisco.model import Observation
from peerdisco.testing import peers

from .clock import RushingClock
from .conftest import running


class Restless:
    """A membership that changes with every lookup: one pod has moved each time."""

    service = "my-database.default.svc.cluster.local"

    def __init__(self) -> None:
        self.lookup = 0

    async def observe(self, *, timeout: float) -> Observation:
        self.lookup += 1
        high, low = divmod(self.lookup % 62_500, 250)
        return peers("mysql", 10, addresses={0: f"10.1.{high}.{low + 1}"})

    async def aclose(self) -> None:
        pass


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def resident() -> int:
    """The resident memory of this process, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_soak(benchmark: BenchmarkFixture) -> None:
    """30,000 changes through one watcher: what is there after three thousand, and at the end."""
    changes, settled = 30_000, 3_000
    sizes: list[int] = []

    async def soak() -> None:
        files = descriptors()
        async with peerdisco.Discovery(source=Restless(), clock=RushingClock()) as disco:
            reported = 0
            async for change in disco.watch():
                reported += len(change.replaced)
                if reported in (settled, changes):
                    gc.collect()
                    sizes.append(resident())
                if reported >= changes:
                    break
        assert descriptors() == files

    benchmark.pedantic(lambda: asyncio.run(soak()))
    benchmark.group = f"{changes:,} changes through one watcher"
    benchmark.extra_info.update(
        table="soak",
        changes=changes,
        settled=settled,
        resident=sizes[0],
        grown=sizes[-1] - sizes[0],
    )


def test_many_watchers(benchmark: BenchmarkFixture) -> None:
    """500 watchers on 500 services in one process: the share of one processor they take."""
    count, seconds = 500, 6.0
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

    with running("tests.benchmarks.many", str(count)) as (port, _):
        benchmark.pedantic(lambda: asyncio.run(watch(port)))
    benchmark.group = f"{count} watchers on {count} services"
    benchmark.extra_info.update(
        table="many", watchers=count, share=shares[0], cpu=shares[0] / (count / 2.0)
    )

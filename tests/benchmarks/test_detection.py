"""From a change in the cluster to the change that a watcher reports, over real messages.

In intervals, for that is what the user chooses. BIND is changed by RFC 2136 updates, and the time
begins when it has confirmed one; `ClusterDNS` is changed in its own process.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Awaitable, Callable

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import peerdisco
from peerdisco.testing import ClusterDNS
from tests.bind import Bind

from .services import Service, headless

INTERVAL = 0.2
ROUNDS = 6
LOOKUPS_BEFORE = 5
"""Until it has seen that nothing is cached."""

Scale = Callable[[int], Awaitable[None]]


async def reported(service: Service, server: str, scale: Scale) -> dict[str, list[float]]:
    """How many intervals after each change it was reported."""
    found: dict[str, list[float]] = {"join": [], "leave": []}
    async with peerdisco.Discovery(
        service.fqdn,
        nameservers=[server],
        source="dns",
        interval=INTERVAL,
        min_interval=INTERVAL / 4,
    ) as disco:
        await disco.wait(service.pods, timeout=60)
        changes = disco.watch()
        await anext(changes)
        while disco.lookups < LOOKUPS_BEFORE:
            await asyncio.sleep(INTERVAL)
        for _ in range(ROUNDS):
            for what, pods in (("join", service.pods + 1), ("leave", service.pods)):
                await asyncio.sleep(random.uniform(0, INTERVAL))
                await scale(pods)
                start = time.perf_counter()
                change = await anext(changes)
                found[what].append((time.perf_counter() - start) / INTERVAL)
                assert len(change.joined) + len(change.left) == 1
    return found


def report(
    benchmark: BenchmarkFixture, server: str, pods: int, found: dict[str, list[float]]
) -> None:
    benchmark.group = "from a change to its telling"
    benchmark.extra_info.update(table="detection", server=server, pods=pods, interval=INTERVAL)
    for what, times in found.items():
        benchmark.extra_info[what] = statistics.median(times)
        benchmark.extra_info[f"latest_{what}"] = max(times)


@pytest.mark.parametrize("pods", [3, 100, 1000])
def test_bind(benchmark: BenchmarkFixture, bind9: Bind, pods: int) -> None:
    service = Service(pods)
    extra = list(headless(service).records([pods]))

    async def scale(wanted: int) -> None:
        add, remove = (extra, []) if wanted > pods else ([], extra)
        await asyncio.to_thread(bind9.update, add=add, remove=remove)

    found = benchmark.pedantic(lambda: asyncio.run(reported(service, str(bind9.endpoint), scale)))
    report(benchmark, "BIND, updated", pods, found)


@pytest.mark.parametrize("pods", [3, 100])
def test_cluster_dns(benchmark: BenchmarkFixture, pods: int) -> None:
    service = Service(pods)
    with ClusterDNS(ttl=5) as dns:
        pod_set = dns.statefulset(
            service.statefulset, service.service, pods, namespace=service.namespace
        )

        async def scale(wanted: int) -> None:
            pod_set.scale(wanted)

        found = benchmark.pedantic(lambda: asyncio.run(reported(service, dns.nameserver, scale)))
    report(benchmark, "the testing DNS", pods, found)

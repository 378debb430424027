"""Names and addresses of all pods, warm: with whatever each contender keeps between lookups."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import cache

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from peerdisco.names import Endpoint

from . import network
from .contenders import CONTENDERS, peerdisco
from .services import FITS, SIZES, Service, moving
from .turns import CLOCK, Result, hand_over, measure

SECONDS = 2.0
"""For each size at each server; with slow contenders it is more."""

NEW = "peerdisco, every address new"
"""Looks up a service whose pods all have other addresses each time: nothing is kept for long."""

SERVERS = {"CoreDNS": "coredns", "BIND": "bind9"}

DETAILED = (3, 100, 700, 1000, 5000)
"""Of so many pods, as CoreDNS answers, it is measured what else a lookup takes."""

CASES = [
    (server, pods, who)
    for server in SERVERS
    for pods in SIZES
    if (server, pods) != ("BIND", FITS)
    for who in (*CONTENDERS, NEW)
    if who != NEW or (server == "CoreDNS" and pods <= FITS)
]

Results = dict[str, Result]


@pytest.fixture(scope="module")
def measured(request: pytest.FixtureRequest) -> Callable[[str, int], Results]:
    """The results of all contenders at one server for so many pods, measured when first wanted."""

    @cache
    def results(server: str, pods: int) -> Results:
        endpoint = request.getfixturevalue(SERVERS[server]).endpoint
        return asyncio.run(in_turns(server, endpoint, pods))

    return results


async def in_turns(server: str, endpoint: Endpoint, pods: int) -> Results:
    service = Service(pods)
    async with AsyncExitStack() as stack:
        lookups = {}
        for who, contender in CONTENDERS.items():
            if who == "getaddrinfo":
                if network.directory() is None:
                    continue
                network.ask(endpoint.address)
            lookups[who] = await stack.enter_async_context(contender(service, endpoint))
        if (server, pods, NEW) in CASES:
            lookups[NEW] = await stack.enter_async_context(peerdisco(moving(pods), endpoint))
        detailed = server == "CoreDNS" and pods in DETAILED
        return await measure(lookups, SECONDS, instruments=detailed)


@pytest.mark.benchmark(timer=CLOCK.now)
@pytest.mark.parametrize(("server", "pods", "who"), CASES)
def test_enumeration(
    benchmark: BenchmarkFixture,
    measured: Callable[[str, int], Results],
    server: str,
    pods: int,
    who: str,
) -> None:
    results = measured(server, pods)
    if who not in results:
        pytest.skip(network.WITHOUT)
    result = results[who]
    hand_over(benchmark, result.wall)
    benchmark.group = f"{pods} pods from {server}"
    benchmark.extra_info.update(
        table="enumeration",
        server=server,
        pods=pods,
        who=who,
        cpu=statistics.median(result.cpu),
        stall=result.stall,
        memory=result.memory,
        names=result.found.names,
        addresses=result.found.addresses,
        complete=result.found.complete,
    )

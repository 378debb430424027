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
from .conftest import BIND, COREDNS, SERVERS, TESTING
from .contenders import CONTENDERS, missing, peerdisco
from .services import FITS, SIZES, Service, moving
from .turns import CLOCK, Result, hand_over, measure

SECONDS = 2.0
"""For each size at each server; with slow contenders it is more."""

NEW = "peerdisco, every address new"
"""Looks up a service whose pods all have other addresses each time: nothing is kept for long."""

LEFT_OUT = {"peerdisco on aiodns", "dnspython", "dnspython, SRV alone"}
"""Contenders that do not query the real CoreDNS: what they cost is their own work."""

DETAILED = (3, 100, 700, 1000, 5000)
"""Of so many pods, at the testing DNS, it is measured what else a lookup takes."""

CASES = [
    (server, pods, who)
    for server in SERVERS
    for pods in SIZES
    if (server, pods) != (BIND, FITS)
    for who in (*CONTENDERS, NEW)
    if who != NEW or (server == TESTING and pods <= FITS)
    if server != COREDNS or who not in LEFT_OUT
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
            if (server, pods, who) not in CASES or missing(who) is not None:
                continue
            if who == "getaddrinfo":
                network.ask(endpoint.address)
            lookups[who] = await stack.enter_async_context(contender(service, endpoint))
        if (server, pods, NEW) in CASES:
            lookups[NEW] = await stack.enter_async_context(peerdisco(moving(pods), endpoint))
        detailed = server == TESTING and pods in DETAILED
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
    reason = missing(who)
    if reason is not None:
        pytest.skip(reason)
    result = measured(server, pods)[who]
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

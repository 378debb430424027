"""The first lookup of a large service, with nothing kept, against bare exchanges and Go.

The bare exchanges query the address of each pod by its name, of which they get the list, over one,
two or four connections. They are as many as the exchanges of peerdisco but for some fifty.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from peerdisco.dns import wire
from peerdisco.model import Answered
from peerdisco.names import Endpoint, parse_service
from peerdisco.sources.headless_dns import HeadlessDNS

from .conftest import SERVERS
from .contenders import CONTENDERS, GO, NOTHING, TIMEOUT, Found, Lookup, missing
from .floor import Bare, question
from .services import Service
from .turns import CLOCK, Result, hand_over, measure

SIZES = (2000, 5000)
SECONDS = 2.0
OURS = "peerdisco"
BARE = {1: "bare, one connection", 2: "bare, two connections", 4: "bare, four connections"}

CASES = [
    (server, pods, who)
    for server in SERVERS
    for pods in SIZES
    for who in (OURS, *BARE.values(), GO)
]

Results = dict[str, Result]


def first(service: Service, server: Endpoint) -> Lookup:
    """A source of its own for each lookup."""

    async def lookup() -> Found:
        source = HeadlessDNS(parse_service(service.fqdn), [server])
        try:
            observation = await source.observe(timeout=TIMEOUT)
        finally:
            await source.aclose()
        if not isinstance(observation, Answered):
            return NOTHING
        addresses = sum(1 for peer in observation.peers if peer.addresses)
        complete = observation.incomplete_reason is None
        return Found(len(observation.peers), addresses, complete)

    return lookup


@asynccontextmanager
async def bare(service: Service, server: Endpoint, connections: int) -> AsyncIterator[Lookup]:
    """The exchanges alone, over as many new connections."""
    pods = [question(service.hostname(ordinal), wire.A, ordinal) for ordinal in range(service.pods)]
    parts = [pods[start::connections] for start in range(connections)]

    async def lookup() -> Found:
        opened = [await Bare.connect(server) for _ in parts]
        try:
            # A connection that the server closes would never be done.
            async with asyncio.timeout(TIMEOUT):
                each = (one.exchange(*part) for one, part in zip(opened, parts, strict=True))
                replies = await asyncio.gather(*each)
        finally:
            for one in opened:
                one.transport.abort()
        return Found(0, sum(map(len, replies)))

    yield lookup


async def in_turns(service: Service, server: Endpoint) -> Results:
    async with AsyncExitStack() as stack:
        lookups = {OURS: first(service, server)}
        for count, who in BARE.items():
            lookups[who] = await stack.enter_async_context(bare(service, server, count))
        if missing(GO) is None:
            lookups[GO] = await stack.enter_async_context(CONTENDERS[GO](service, server))
        return await measure(lookups, SECONDS, instruments=False)


@pytest.fixture(scope="module")
def measured(request: pytest.FixtureRequest) -> Callable[[str, int], Results]:
    @cache
    def results(server: str, pods: int) -> Results:
        endpoint = request.getfixturevalue(SERVERS[server]).endpoint
        return asyncio.run(in_turns(Service(pods), endpoint))

    return results


@pytest.mark.benchmark(timer=CLOCK.now)
@pytest.mark.parametrize(("server", "pods", "who"), CASES)
def test_first(
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
    benchmark.group = f"the first lookup of {pods} pods from {server}"
    benchmark.extra_info.update(
        table="first",
        server=server,
        pods=pods,
        who=who,
        cpu=statistics.median(result.cpu),
        names=result.found.names,
        addresses=result.found.addresses,
        complete=result.found.complete,
    )

"""A lookup that finds that nothing has changed, against the floor, and the exchanges that it makes.

The addresses come in another order each time, as from CoreDNS with its ``loadbalance`` plugin and
from BIND.
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
from peerdisco.names import Endpoint
from peerdisco.sources.large import rotation
from tests.large.polling import Counting

from .conftest import BIND, COREDNS, SERVERS, TESTING
from .contenders import NOTHING, Found, Lookup, floor, peerdisco
from .floor import OPT, Bare, question
from .services import Service
from .turns import CLOCK, Result, hand_over, measure

SIZES = {
    TESTING: (3, 10, 100, 700, 1000, 2000, 5000),
    BIND: (3, 100, 1000),
    COREDNS: (3, 1000, 5000),
}
SECONDS = 2.0
OURS, FLOOR = "peerdisco", "the floor"
ALONE, ALL = "the SRV exchange alone", "all its exchanges alone"
ADDRESSES = "the A exchange alone, read"
NONE_IN_TURN = "peerdisco, no pod in turn"
"""Verifies no pods in turn, so that the two parts of a poll are seen apart."""
LARGE = 1000
"""From so many pods on, CoreDNS's SRV answer is truncated, and a poll queries the addresses."""


def contenders(server: str, pods: int) -> tuple[str, ...]:
    if pods >= LARGE:
        return (OURS, NONE_IN_TURN, *([] if server == COREDNS else [ALL]), ADDRESSES)
    if server == COREDNS:
        return OURS, ALONE
    return OURS, FLOOR, ALL, ALONE


CASES = [
    (server, pods, who)
    for server in SIZES
    for pods in SIZES[server]
    for who in contenders(server, pods)
]

Measured = tuple[int, dict[str, Result]]
"""How many questions a lookup takes, and what was measured."""


@asynccontextmanager
async def exchanges(
    service: Service, server: Endpoint, count: int, rtype: int = wire.SRV
) -> AsyncIterator[Lookup]:
    """So many bare exchanges, the first of them the service's; nothing is read."""
    bare = await Bare.connect(server)
    first = question(service.fqdn, rtype)
    pods = [
        question(service.hostname(number % service.pods), wire.A, number)
        for number in range(count - 1)
    ]

    async def lookup() -> Found:
        await bare.exchange(first)
        if pods:
            await bare.exchange(*pods)
        return NOTHING

    yield lookup
    bare.transport.abort()


@asynccontextmanager
async def addresses(service: Service, server: Endpoint) -> AsyncIterator[Lookup]:
    """The bare exchange for the service's addresses, which are compared with those before."""
    bare = await Bare.connect(server)
    asked = question(service.fqdn, wire.A)
    start = len(asked) - 2 - OPT
    known: set[bytes] = set()

    async def lookup() -> Found:
        nonlocal known
        (reply,) = await bare.exchange(asked)
        # Each record has the same length: CoreDNS compresses only what does not fit otherwise.
        end = len(reply) - OPT
        step = (end - start) // (reply[6] << 8 | reply[7])
        shown = {reply[at - 4 : at] for at in range(start + step, end + 1, step)}
        if shown != known:
            known = shown
        return NOTHING

    yield lookup
    bare.transport.abort()


@asynccontextmanager
async def none_in_turn(service: Service, server: Endpoint) -> AsyncIterator[Lookup]:
    """peerdisco without the questions for pods that are verified in turn."""
    most = rotation.MOST_VERIFIED
    async with peerdisco(service, server) as ours:

        async def lookup() -> Found:
            rotation.MOST_VERIFIED = 0
            try:
                return await ours()
            finally:
                rotation.MOST_VERIFIED = most

        yield lookup


async def questions(service: Service, server: Endpoint) -> int:
    """How many questions the fifth lookup asks."""
    resolver = Counting([server])
    async with peerdisco(service, server, lambda _: resolver) as lookup:
        for _ in range(5):
            resolver.asked = 0
            await lookup()
    return resolver.asked


async def in_turns(name: str, server: Endpoint, service: Service) -> Measured:
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(peerdisco(service, server))
        count = await questions(service, server)
        rtype = wire.A if count > 1 else wire.SRV
        others = {
            FLOOR: floor(service, server),
            ALONE: exchanges(service, server, 1),
            ALL: exchanges(service, server, count, rtype),
            ADDRESSES: addresses(service, server),
            NONE_IN_TURN: none_in_turn(service, server),
        }
        lookups = {OURS: ours}
        for who in contenders(name, service.pods)[1:]:
            lookups[who] = await stack.enter_async_context(others[who])
        return count, await measure(lookups, SECONDS)


@pytest.fixture(scope="module")
def measured(request: pytest.FixtureRequest) -> Callable[[str, int], Measured]:
    @cache
    def results(server: str, pods: int) -> Measured:
        endpoint = request.getfixturevalue(SERVERS[server]).endpoint
        return asyncio.run(in_turns(server, endpoint, Service(pods)))

    return results


@pytest.mark.benchmark(timer=CLOCK.now)
@pytest.mark.parametrize(("server", "pods", "who"), CASES)
def test_steady(
    benchmark: BenchmarkFixture,
    measured: Callable[[str, int], Measured],
    server: str,
    pods: int,
    who: str,
) -> None:
    count, results = measured(server, pods)
    result = results[who]
    hand_over(benchmark, result.wall)
    benchmark.group = f"{pods} pods from {server}, nothing changed"
    benchmark.extra_info.update(
        table="steady",
        server=server,
        pods=pods,
        who=who,
        questions={ALONE: 1, ADDRESSES: 1, NONE_IN_TURN: 2}.get(who, count),
        cpu=statistics.median(result.cpu),
        stall=result.stall,
        memory=result.memory,
        complete=result.found.complete,
    )

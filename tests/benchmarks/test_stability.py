"""Pods that are reported to join or leave while none does: the server shuffles and truncates."""

from __future__ import annotations

import asyncio

import aiodns
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import peerdisco
from peerdisco.names import Endpoint, parse_service
from peerdisco.sources.headless_dns import HeadlessDNS

from .clock import RushingClock
from .conftest import COREDNS, SERVERS, TESTING
from .contenders import TIMEOUT
from .services import Service

COMPARING = "comparing names (aiodns)"
SIZES = (1000, 2000, 5000)
CASES = [
    *((TESTING, pods, who) for who in ("peerdisco", COMPARING) for pods in SIZES),
    (COREDNS, 5000, "peerdisco"),
]
LOOKUPS = 1000
COMPARED = 50
"""Lookups of the loop that compares names, which needs no more to be judged."""


async def watching(service: Service, server: Endpoint) -> dict[str, int]:
    """A watcher whose waits take no time."""
    source = HeadlessDNS(parse_service(service.fqdn), [server])
    joined = left = unsure = 0
    async with peerdisco.Discovery(source=source, clock=RushingClock(), timeout=TIMEOUT) as disco:
        changes = disco.watch()
        first = await anext(changes)

        async def count() -> None:
            nonlocal joined, left, unsure
            async for change in changes:
                joined += len(change.joined)
                left += len(change.left)
                unsure += not change.snapshot.complete

        counter = asyncio.create_task(count())
        while disco.lookups < LOOKUPS:
            await asyncio.sleep(0.05)
        counter.cancel()
        return {
            "lookups": disco.lookups,
            "first": len(first.snapshot),
            "known": len(disco.snapshot),
            "unsure": unsure + (not first.snapshot.complete),
            "joined": joined,
            "left": left,
        }


async def comparing(service: Service, server: Endpoint) -> dict[str, int]:
    """The loop that compares the names of two answers, over aiodns."""
    joined = left = first = 0
    known: set[str] | None = None
    for _ in range(COMPARED):
        async with aiodns.DNSResolver(
            nameservers=[server.address], udp_port=server.port, tcp_port=server.port
        ) as resolver:
            result = await resolver.query_dns(service.fqdn, "SRV")
        names = {record.data.target for record in result.answer}
        if known is None:
            first = len(names)
        else:
            joined += len(names - known)
            left += len(known - names)
        known = names
    assert known is not None
    return {
        "lookups": COMPARED,
        "first": first,
        "known": len(known),
        "unsure": 0,
        "joined": joined,
        "left": left,
    }


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("server", "pods", "who"), CASES)
def test_stability(
    benchmark: BenchmarkFixture, request: pytest.FixtureRequest, server: str, pods: int, who: str
) -> None:
    endpoint = request.getfixturevalue(SERVERS[server]).endpoint
    lookup = comparing if who == COMPARING else watching
    found = benchmark.pedantic(lambda: asyncio.run(lookup(Service(pods), endpoint)))
    benchmark.group = "lookups while nothing changes"
    benchmark.extra_info.update(table="stability", server=server, pods=pods, who=who, **found)

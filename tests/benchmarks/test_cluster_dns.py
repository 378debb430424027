"""What tests of large services wait for: the first SRV answer of the testing kit's DNS."""

from __future__ import annotations

import asyncio
import statistics

import dns.message
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from peerdisco.testing import Cluster
from peerdisco.testing.responder import Responder

from .contenders import NOTHING, Found, Lookup
from .turns import CLOCK, Result, hand_over, measure

SECONDS = 2.0
PODS = 5000
FIRST, READ = "first answer", "dnspython reads it"


def lookups() -> dict[str, Lookup]:
    cluster = Cluster(ttl=30)
    cluster.statefulset("mysql", "my-database", PODS)
    query = dns.message.make_query("my-database.default.svc.cluster.local", "SRV").to_wire()
    answer = b""

    async def first() -> Found:
        nonlocal answer
        answer = Responder(cluster, lambda _: None).react(query, "tcp", 0.0).reply or b""
        return NOTHING

    async def read() -> Found:
        dns.message.from_wire(answer)
        return NOTHING

    return {FIRST: first, READ: read}


@pytest.fixture(scope="module")
def measured() -> dict[str, Result]:
    return asyncio.run(measure(lookups(), SECONDS, instruments=False))


@pytest.mark.benchmark(timer=CLOCK.now)
@pytest.mark.parametrize("who", [FIRST, READ])
def test_cluster_dns(benchmark: BenchmarkFixture, measured: dict[str, Result], who: str) -> None:
    hand_over(benchmark, measured[who].wall)
    benchmark.group = f"the SRV answer of {PODS:,} pods"
    cpu = statistics.median(measured[who].cpu)
    benchmark.extra_info.update(table="cluster_dns", who=who, pods=PODS, cpu=cpu)

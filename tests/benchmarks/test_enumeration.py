"""Names, ordinals and addresses of recorded services, warm: over a connection that is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import dns.asyncresolver
import dns.nameserver
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from peerdisco.discovery import one_look
from peerdisco.model import Answered
from peerdisco.names import Endpoint, parse_service
from peerdisco.sources.headless_dns import HeadlessDNS
from peerdisco.view import View

from . import floor
from .conftest import serving

INF = float("inf")
"""Measured, and not limited."""

ROUNDS = {10: 300, 100: 200, 700: 50}
FLOOR = "bare exchange, minimal reading"
DNSPYTHON = "dnspython asyncresolver, SRV alone"


@pytest.fixture(scope="module", params=list(ROUNDS))
def pods(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture(scope="module")
def port(pods: int) -> Iterator[int]:
    with serving(f"scale-{pods}-pods") as port:
        yield port


def service(pods: int) -> str:
    return f"scale{pods}.default.svc.cluster.local"


def measure(benchmark: BenchmarkFixture, pods: int, who: str, look, **against: float) -> None:
    benchmark.group = f"{pods} pods"
    benchmark.extra_info["who"] = who
    benchmark.extra_info["against"] = against
    assert benchmark.pedantic(look, rounds=ROUNDS[pods], warmup_rounds=10) == pods


def test_floor(
    benchmark: BenchmarkFixture, loop: asyncio.AbstractEventLoop, pods: int, port: int
) -> None:
    bare = loop.run_until_complete(floor.connect(port))
    question = floor.question(service(pods))

    async def look() -> int:
        return len(floor.minimal_reading(await bare.exchange(question)))

    measure(benchmark, pods, FLOOR, lambda: loop.run_until_complete(look()))
    bare.transport.abort()


def test_peerdisco(
    benchmark: BenchmarkFixture, loop: asyncio.AbstractEventLoop, pods: int, port: int
) -> None:
    source = HeadlessDNS(parse_service(service(pods)), [Endpoint("127.0.0.1", port)])
    source._large = True  # over TCP for the ten pods too, as the floor
    view = View()

    async def look() -> int:
        observation = await source.observe(timeout=5)
        assert isinstance(observation, Answered)
        source._roster._peers.clear()  # every peer made anew: no gain from the look before
        snapshot = one_look(observation, source.service, view)
        assert snapshot.primary is not None
        return len(snapshot)

    measure(
        benchmark,
        pods,
        "peerdisco",
        lambda: loop.run_until_complete(look()),
        **({FLOOR: 2.0, DNSPYTHON: 0.15} if pods == 100 else {FLOOR: INF, DNSPYTHON: INF}),
    )
    loop.run_until_complete(source.aclose())


def test_peerdisco_unchanged(
    benchmark: BenchmarkFixture, loop: asyncio.AbstractEventLoop, pods: int, port: int
) -> None:
    source = HeadlessDNS(parse_service(service(pods)), [Endpoint("127.0.0.1", port)])
    source._large = True
    view = View()

    async def look() -> int:
        return len(one_look(await source.observe(timeout=5), source.service, view))

    measure(
        benchmark,
        pods,
        "peerdisco, nothing changed",
        lambda: loop.run_until_complete(look()),
        **{FLOOR: 2.0 if pods == 100 else INF},
    )
    loop.run_until_complete(source.aclose())


def test_dnspython(
    benchmark: BenchmarkFixture, loop: asyncio.AbstractEventLoop, pods: int, port: int
) -> None:
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = [dns.nameserver.Do53Nameserver("127.0.0.1", port)]

    async def look() -> int:
        return len(await resolver.resolve(service(pods) + ".", "SRV", tcp=True))

    measure(benchmark, pods, DNSPYTHON, lambda: loop.run_until_complete(look()))

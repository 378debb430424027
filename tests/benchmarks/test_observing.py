"""What it costs to report a lookup that changed nothing: to nobody, and to each observer.

The share is that of a whole lookup of 100 pods over UDP, which is what observing adds to. Reporting
is timed by itself, since it is too short to show in the difference of two lookups.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from peerdisco.model import Observation, Snapshot
from peerdisco.names import parse_service
from peerdisco.observability.events import Observer
from peerdisco.observability.prometheus import PrometheusObserver
from peerdisco.observability.reporting import Reporter
from peerdisco.sources.headless_dns import HeadlessDNS

from .conftest import Replaying, figures
from .services import Service

PODS, ROUNDS, REPEATS = 100, 200, 200


async def lookups(coredns: Replaying) -> tuple[list[float], Observation, Snapshot]:
    """The seconds of each lookup, the last observation, and its snapshot."""
    name = parse_service(Service(PODS).fqdn)
    source = HeadlessDNS(name, [coredns.endpoint])
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        observation = await source.observe(timeout=5)
        seconds.append(time.perf_counter() - start)
    await source.aclose()
    peers = getattr(observation, "peers", ())
    return seconds, observation, Snapshot(source.service, peers)


def reports(observers: Sequence[Observer], snapshot: Snapshot, observation: Observation) -> float:
    """The median seconds of one report."""
    reporter = Reporter(snapshot.service, observers)
    rounds = []
    for _ in range(50):
        start = time.perf_counter()
        for _ in range(REPEATS):
            reporter.lookup_ended(snapshot, snapshot, observation, 0.001)
        rounds.append((time.perf_counter() - start) / REPEATS)
    return statistics.median(rounds)


def observers() -> dict[str, Sequence[Observer]]:
    from prometheus_client import CollectorRegistry

    made: dict[str, Sequence[Observer]] = {
        "unused": (),
        "with metrics": (PrometheusObserver(CollectorRegistry()),),
    }
    try:
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.trace import TracerProvider

        from peerdisco.observability.opentelemetry import OpenTelemetryObserver
    except ImportError:
        return made
    traced = OpenTelemetryObserver(TracerProvider(), MeterProvider())
    return {**made, "with spans and metrics of OpenTelemetry": (traced,)}


def test_the_cost_of_observing(benchmark: BenchmarkFixture, coredns: Replaying) -> None:
    pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")
    seconds, observation, snapshot = benchmark.pedantic(lambda: asyncio.run(lookups(coredns)))
    lookup = statistics.median(seconds)
    shares = {}
    for who, those in observers().items():
        report = reports(those, snapshot, observation)
        shares[who] = f"{report * 1e6:.1f} µs, {report / lookup:.1%} of a lookup"
    figures(benchmark, f"observing a lookup of {PODS} pods", shares)

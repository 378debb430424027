"""What it costs to report a lookup that changed nothing: to nobody, and to each observer.

The share is that of a whole lookup of 100 pods over UDP, which is what observing adds to. Reporting
is timed alone, since it is too short to show in the difference of two lookups. What is compared
is the CPU time of this process, because a report does not wait and a lookup does. Lookups and
reports take turns, so that whatever else the machine does disturbs both.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from peerdisco.model import Answered, Snapshot
from peerdisco.names import parse_service
from peerdisco.observability.events import Observer
from peerdisco.observability.prometheus import PrometheusObserver
from peerdisco.observability.reporting import Reporter
from peerdisco.sources.headless_dns import HeadlessDNS

from .conftest import Replaying, figures
from .services import Service

PODS, TURNS, LOOKUPS, REPORTS = 100, 60, 5, 50


async def measure(
    testing_dns: Replaying, observers: dict[str, tuple[Observer, ...]]
) -> tuple[float, dict[str, float]]:
    """The median CPU seconds of a lookup, and those of a report to each of the observers."""
    source = HeadlessDNS(parse_service(Service(PODS).fqdn), [testing_dns.endpoint])
    reporters = {who: Reporter(source.service, those) for who, those in observers.items()}
    lookups: list[float] = []
    reports: dict[str, list[float]] = {who: [] for who in observers}
    for _ in range(TURNS):
        start = time.process_time()
        for _ in range(LOOKUPS):
            observation = await source.observe(timeout=5)
        lookups.append((time.process_time() - start) / LOOKUPS)
        assert isinstance(observation, Answered)
        snapshot = Snapshot(source.service, observation.peers)
        for who, reporter in reporters.items():
            reporter.lookup_ended(snapshot, snapshot, observation, 0.001)
            start = time.process_time()
            for _ in range(REPORTS):
                reporter.lookup_ended(snapshot, snapshot, observation, 0.001)
            reports[who].append((time.process_time() - start) / REPORTS)
    await source.aclose()
    return statistics.median(lookups), {who: statistics.median(reports[who]) for who in reports}


@contextmanager
def observed() -> Iterator[dict[str, tuple[Observer, ...]]]:
    """Each set of observers, by its name."""
    from prometheus_client import CollectorRegistry

    made: dict[str, tuple[Observer, ...]] = {
        "unused": (),
        "Prometheus, metrics": (PrometheusObserver(CollectorRegistry()),),
    }
    try:
        from opentelemetry.metrics import NoOpMeterProvider
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.trace import NoOpTracerProvider

        from peerdisco.observability.opentelemetry import OpenTelemetryObserver
    except ImportError:
        yield made
        return
    metrics, spans = MeterProvider([InMemoryMetricReader()]), TracerProvider()
    made["OpenTelemetry, metrics"] = (OpenTelemetryObserver(NoOpTracerProvider(), metrics),)
    made["OpenTelemetry, spans"] = (OpenTelemetryObserver(spans, NoOpMeterProvider()),)
    try:
        yield made
    finally:
        metrics.shutdown()
        spans.shutdown()


def test_the_cost_of_observing(benchmark: BenchmarkFixture, testing_dns: Replaying) -> None:
    pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")
    with observed() as observers:
        measured = benchmark.pedantic(lambda: asyncio.run(measure(testing_dns, observers)))
    lookup, reports = measured
    shares = {
        who: f"{report * 1e6:.1f} µs, {report / lookup:.1%} of the CPU time of a lookup"
        for who, report in reports.items()
    }
    figures(benchmark, f"observing a lookup of {PODS} pods", shares)

"""Spans and metrics, as the SDK of OpenTelemetry exports them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import (
    InMemorySpanExporter,
)
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler, SamplingResult
from opentelemetry.trace import NoOpTracerProvider, StatusCode

import peerdisco
from peerdisco.model import Answered, Attempt, Change, Outcome, Snapshot
from peerdisco.observability.opentelemetry import OpenTelemetryObserver
from peerdisco.testing import ManualClock, ScriptedSource, failure, peers

SERVICE = "my-database.default.svc.cluster.local"


class Telemetry:
    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        meters = MeterProvider([self.reader])
        self.observer = OpenTelemetryObserver(tracers, meters)

    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def points(self, name: str) -> list[Any]:
        data = self.reader.get_metrics_data()
        assert data is not None
        return [
            point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


async def watched(telemetry: Telemetry, *script: Any, seconds: float = 20) -> None:
    clock = ManualClock()
    async with peerdisco.Discovery(
        source=ScriptedSource("my-database", script),
        clock=clock,
        chance=lambda: 0.5,
        observers=[telemetry.observer],
    ):
        await clock.advance(seconds)
        telemetry.reader.collect()
        assert [point.value for point in telemetry.points("peerdisco.peers")] == [2]


async def test_a_lookup_is_a_span_with_the_conventional_attributes() -> None:
    telemetry = Telemetry()
    await watched(telemetry, failure(Outcome.REFUSED), peers("mysql", 2))
    failed, answered = telemetry.spans()[:2]
    assert failed.name == f"DNS lookup {SERVICE}"
    assert failed.attributes
    assert failed.attributes["error.type"] == "refused"
    assert failed.attributes["server.address"] == "127.0.0.1"
    assert failed.attributes["server.port"] == 53
    assert failed.status.status_code is StatusCode.ERROR
    assert [event.name for event in failed.events] == ["peerdisco.dns.exchange"]
    assert answered.attributes
    assert answered.attributes["dns.question.name"] == SERVICE
    assert answered.attributes["dns.answers"] == ("10.244.0.3", "10.244.0.4")
    assert "error.type" not in answered.attributes
    assert answered.status.status_code is StatusCode.UNSET
    assert answered.start_time is not None
    assert answered.end_time is not None
    assert answered.start_time <= answered.end_time


async def test_the_metrics() -> None:
    telemetry = Telemetry()
    await watched(telemetry, failure(Outcome.REFUSED), peers("mysql", 2))
    durations = telemetry.points("dns.lookup.duration")
    assert {point.attributes.get("error.type") for point in durations} == {None, "refused"}
    assert {point.attributes["dns.question.name"] for point in durations} == {SERVICE}
    # As the semantic conventions have it: the SDK's own buckets are for milliseconds.
    assert {point.explicit_bounds for point in durations} == {
        (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
    }
    kinds = {
        point.attributes["peerdisco.change.kind"]: point.value
        for point in telemetry.points("peerdisco.changes")
    }
    assert kinds == {"degraded": 1, "recovered": 1, "joined": 2}


async def test_a_run_of_a_hook_is_a_span() -> None:
    telemetry = Telemetry()

    def hook(_: Change) -> None:
        raise ValueError("never works")

    source = ScriptedSource("my-database", [peers("mysql", 1)])
    async with peerdisco.Discovery(source=source, observers=[telemetry.observer]) as disco:
        runner = peerdisco.hooks.HookRunner(disco, on_change=hook, attempts=1, end_on_failure=True)
        with pytest.raises(ValueError, match="never works"):
            await runner.run()
    (span,) = [span for span in telemetry.spans() if span.name == "hook on-change"]
    assert span.attributes
    assert span.attributes["error.type"] == "ValueError"
    assert span.status.status_code is StatusCode.ERROR
    assert [event.name for event in span.events] == ["exception"]
    (duration,) = telemetry.points("peerdisco.hook.duration")
    assert (duration.explicit_bounds[0], duration.explicit_bounds[-1]) == (0.01, 300)
    assert len(telemetry.points("peerdisco.hook.duration")) == 1


def test_without_a_provider_nothing_is_recorded_and_nothing_fails() -> None:
    observer = OpenTelemetryObserver()
    event = peerdisco.HookEnded(SERVICE, "on-start", 0.1, 1, ValueError("x"))
    observer.hook_ended(event)


class Measurements(AlwaysOffExemplarFilter):
    """Counts the measurements, which is what the SDK calls it for."""

    def __init__(self) -> None:
        self.count = 0

    def should_sample(self, *arguments: Any) -> bool:
        self.count += 1
        return False


class Attributes(Sampler):
    """Keeps the attributes with which spans begin."""

    def __init__(self) -> None:
        self.seen: list[Mapping[str, Any]] = []

    def should_sample(self, *arguments: Any, **options: Any) -> SamplingResult:
        self.seen.append(arguments[4] if len(arguments) > 4 else options["attributes"])
        return ALWAYS_ON.should_sample(*arguments, **options)

    def get_description(self) -> str:
        return "Attributes"


async def test_a_lookup_is_one_measurement_however_much_it_changes() -> None:
    """A measurement of the SDK takes longer than all of the observer's own code."""
    measurements, reader = Measurements(), InMemoryMetricReader()
    meters = MeterProvider([reader], exemplar_filter=measurements)
    observer = OpenTelemetryObserver(NoOpTracerProvider(), meters)
    script = [failure(Outcome.REFUSED), peers("mysql", 2), peers("mysql", 3)]
    clock = ManualClock()
    source = ScriptedSource("my-database", script)
    async with peerdisco.Discovery(
        source=source, clock=clock, chance=lambda: 0.5, observers=[observer]
    ):
        await clock.advance(20)
        lookups = measurements.count
    data = reader.get_metrics_data()
    assert data is not None
    points = {
        metric.name: [*metric.data.data_points]
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert sum(point.count for point in points["dns.lookup.duration"]) == lookups >= 3
    assert sum(point.value for point in points["peerdisco.changes"]) == 5


async def test_a_lookup_like_the_one_before_has_the_same_attributes() -> None:
    sampler = Attributes()
    observer = OpenTelemetryObserver(TracerProvider(sampler=sampler), MeterProvider())
    clock = ManualClock()
    script = [peers("mysql", 2)] * 3 + [failure(Outcome.REFUSED)] + [peers("mysql", 3)] * 3
    source = ScriptedSource("my-database", script)
    async with peerdisco.Discovery(
        source=source, clock=clock, chance=lambda: 0.5, observers=[observer]
    ):
        await clock.advance(30)
    first, *_, last = sampler.seen
    assert sampler.seen[1] is first
    assert first["dns.answers"] == ("10.244.0.3", "10.244.0.4")
    assert [seen["error.type"] for seen in sampler.seen if "error.type" in seen] == ["refused"]
    assert last["peerdisco.peers"] == 3
    assert len(last["dns.answers"]) == 3
    with pytest.raises(TypeError):
        first["dns.answers"] = ()  # type: ignore[index]


async def test_the_attributes_follow_a_join() -> None:
    sampler = Attributes()
    observer = OpenTelemetryObserver(TracerProvider(sampler=sampler), MeterProvider())
    clock = ManualClock()
    source = ScriptedSource("my-database", [peers("mysql", 2), peers("mysql", 3)])
    async with peerdisco.Discovery(
        source=source, clock=clock, chance=lambda: 0.5, observers=[observer]
    ):
        await clock.advance(20)
    assert [len(seen["dns.answers"]) for seen in sampler.seen[:2]] == [2, 3]


def test_bytes_and_truncated_replies_are_added_up() -> None:
    telemetry = Telemetry()
    attempt = Attempt("127.0.0.1:53", "udp", "x.", "SRV", Outcome.ANSWER, 0.1, "", 1200, True)
    two = peers("mysql", 2).peers
    snapshot = Snapshot(SERVICE, two)
    change = Change.between(snapshot, snapshot)
    for _ in range(3):
        observation = Answered(two, 5.0, attempt=attempt)
        telemetry.observer.lookup_ended(peerdisco.LookupEnded(SERVICE, observation, 0.1, change))
    for name, total in (("received", 3600), ("truncated_replies", 3)):
        (point,) = telemetry.points(f"peerdisco.dns.{name}")
        assert point.value == total
        assert point.attributes["network.transport"] == "udp"

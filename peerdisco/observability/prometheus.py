"""Metrics for Prometheus; needs the extra ``peerdisco[prometheus]``.

```python
metrics = PrometheusObserver()
async with peerdisco.Discovery("my-database", observers=[metrics]) as disco:
    ...
```
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ..model import Change, Outcome, Snapshot, clear_primary
from .events import HookEnded, LookupEnded, Observer

__all__ = ["PrometheusObserver"]

_LOOKUP_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_HOOK_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0)


class PrometheusObserver(Observer):
    """Counts and measures the lookups and hooks of every watcher that it observes.

    ``docs/reference/metrics.md`` lists the metrics. Create one for each registry: a second one with
    the same registry is a ValueError of prometheus_client.

    Args:
        registry: Where the metrics are registered; by default the registry of prometheus_client.
        now: The time in seconds of a clock that never goes back; for tests.
    """

    def __init__(
        self,
        registry: CollectorRegistry = REGISTRY,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"peerdisco_{name}", text, ("service", *labels), registry=registry)

        def histogram(name: str, text: str, buckets: Sequence[float], *labels: str) -> Histogram:
            name, names = f"peerdisco_{name}_duration_seconds", ("service", *labels)
            return Histogram(name, text, names, buckets=buckets, registry=registry)

        self._lookups = counter(
            "lookups",
            "Lookups of the service, by outcome and by the name server that decided it.",
            "outcome",
            "server",
        )
        self._duration = histogram(
            "lookup",
            "Duration of a lookup, with retries and all name servers that were queried.",
            _LOOKUP_BUCKETS,
        )
        self._queries = counter(
            "dns_queries",
            "DNS queries of the lookups, by outcome and name server.",
            "outcome",
            "server",
            "transport",
        )
        self._bytes = counter("dns_received_bytes", "Bytes of the DNS replies.", "transport")
        self._truncated = counter(
            "dns_truncated_replies", "DNS replies that were truncated.", "transport"
        )
        self._changes = counter(
            "changes",
            "Confirmed changes: peers that joined, left or were replaced, and turns of the health.",
            "kind",
        )
        self._hooks = counter("hook_runs", "Runs of hooks, by hook and outcome.", "hook", "outcome")
        self._hook_duration = histogram(
            "hook", "Duration of a run of a hook.", _HOOK_BUCKETS, "hook"
        )
        self._gauges = _Gauges(now)
        registry.register(self._gauges)
        # `labels()` takes longer than the rest of a report.
        self._of_lookup = cache(self._lookup_children)
        self._of_exchange = cache(self._exchange_children)

    def lookup_ended(self, event: LookupEnded) -> None:
        service = event.service
        lookups, duration = self._of_lookup(service, event.outcome, event.server)
        lookups.inc()
        duration.observe(event.seconds)
        for attempt in event.attempts:
            queries, received = self._of_exchange(
                service, attempt.outcome, attempt.server, attempt.transport
            )
            queries.inc()
            received.inc(attempt.size)
            if attempt.truncated:
                self._truncated.labels(service, attempt.transport).inc()
        if event.change:
            self._count(service, event.change)
        self._gauges.update(event)

    def _lookup_children(
        self, service: str, outcome: str, server: str
    ) -> tuple[Counter, Histogram]:
        """The counter and the histogram of a lookup with these labels."""
        return self._lookups.labels(service, outcome, server), self._duration.labels(service)

    def _exchange_children(
        self, service: str, outcome: Outcome, server: str, transport: str
    ) -> tuple[Counter, Counter]:
        """The counters of a DNS exchange with these labels: queries, and bytes."""
        queries = self._queries.labels(service, outcome.name.lower(), server, transport)
        return queries, self._bytes.labels(service, transport)

    def _count(self, service: str, change: Change) -> None:
        for kind, number in (
            ("joined", len(change.joined)),
            ("left", len(change.left)),
            ("replaced", len(change.replaced)),
            ("degraded", change.degraded),
            ("recovered", change.recovered),
            ("incomplete", change.incomplete),
            ("completed", change.completed),
        ):
            if number:
                self._changes.labels(service, kind).inc(number)

    def hook_ended(self, event: HookEnded) -> None:
        self._hooks.labels(event.service, event.hook, event.outcome).inc()
        self._hook_duration.labels(event.service, event.hook).observe(event.seconds)

    def closed(self, service: str) -> None:
        self._gauges.forget(service)


class _Gauges(Collector):
    """The membership of each service at the time of a scrape."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._newest: dict[str, tuple[Snapshot, float]] = {}
        """The newest snapshot of each service, and the time of the newest answer."""

    def update(self, event: LookupEnded) -> None:
        snapshot, now = event.snapshot, self._now()
        with self._lock:
            since = self._newest[event.service][1] if event.service in self._newest else now
            self._newest[event.service] = (snapshot, since if snapshot.stale else now)

    def forget(self, service: str) -> None:
        with self._lock:
            self._newest.pop(service, None)

    def describe(self) -> Iterator[Metric]:
        return iter(())

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            newest = dict(self._newest)
        now = self._now()
        for name, text, value in _GAUGES:
            family = GaugeMetricFamily(f"peerdisco_{name}", text, labels=["service"])
            for service, (snapshot, answered_at) in newest.items():
                family.add_metric([service], value(snapshot, now - answered_at))
            yield family
        answered = GaugeMetricFamily(
            "peerdisco_last_answer_timestamp_seconds",
            "Unix time of the newest answer; absent before the first.",
            labels=["service"],
        )
        for service, (snapshot, _) in newest.items():
            if snapshot.observed_at is not None:
                answered.add_metric([service], snapshot.observed_at.timestamp())
        yield answered


_GAUGES: tuple[tuple[str, str, Callable[[Snapshot, float], float]], ...] = (
    ("peers", "Peers that are listed.", lambda snapshot, _: len(snapshot)),
    (
        "membership_known",
        "Whether the membership is known: 0 before the first answer, else 1.",
        lambda snapshot, _: snapshot.known,
    ),
    (
        "membership_complete",
        "Whether the list of peers is complete: 1, or 0.",
        lambda snapshot, _: snapshot.complete,
    ),
    (
        "stale_seconds",
        "Seconds without an answer while lookups fail; 0 while they succeed.",
        lambda snapshot, age: max(age, 0.0) if snapshot.stale else 0.0,
    ),
    (
        "unconfirmed_departures",
        "Peers that the newest answers do not confirm, and that are still listed.",
        lambda snapshot, _: len(snapshot.unconfirmed),
    ),
    (
        "primary_listed",
        "Whether the primary is listed: 1; 0 while it is absent or ambiguous.",
        lambda snapshot, _: clear_primary(snapshot) is not None,
    ),
)

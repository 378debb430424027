"""Spans and metrics for OpenTelemetry; needs the extra ``peerdisco[opentelemetry]``.

```python
observer = OpenTelemetryObserver()
async with peerdisco.Discovery("my-database", observers=[observer]) as disco:
    ...
```

The span ``DNS lookup NAME``, its attributes ``dns.question.name``, ``dns.answers`` and
``error.type``, and the metric ``dns.lookup.duration`` follow the semantic conventions. What they do
not name begins with ``peerdisco.``.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from types import MappingProxyType
from typing import NamedTuple

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter
from opentelemetry.trace import (
    Span,
    SpanKind,
    Status,
    StatusCode,
    TracerProvider,
    get_tracer,
)
from opentelemetry.util.types import AttributeValue

from .. import __version__
from ..model import Attempt, Change, Peer, Snapshot
from .events import HookEnded, LookupEnded, Observer

__all__ = ["OpenTelemetryObserver"]

_SCOPE = "peerdisco"
_MOST_ANSWERS = 32
"""Addresses in ``dns.answers``: each of them takes time in every span."""

# Seconds, those of the semantic conventions for DNS: the SDK's own are made for milliseconds.
_LOOKUP_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_HOOK_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300)

_Attributes = Mapping[str, AttributeValue]
_Count = tuple[str, str]
"""What a counter counts: the service, and the value of the counter's own attribute."""


class OpenTelemetryObserver(Observer):
    """Makes a span of each lookup and of each run of a hook, and measures them.

    ``docs/reference/metrics.md`` lists the names. A span is made when the lookup or the run has
    ended, with the time at which it began, so it is no parent of spans that a hook makes.

    A lookup makes one measurement and one span. Everything else is kept here and read when the
    metrics are exported, because each measurement takes as long as several lines of this module.

    Args:
        tracer_provider: Makes the spans; None for the global one, and
            ``opentelemetry.trace.NoOpTracerProvider()`` for metrics alone.
        meter_provider: Makes the metrics; None for the global one.
        clock: The Unix time in nanoseconds; for tests.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        *,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._clock = clock
        self._tracer = get_tracer(_SCOPE, __version__, tracer_provider)
        meter = get_meter(_SCOPE, __version__, meter_provider)
        self._duration = meter.create_histogram(
            "dns.lookup.duration",
            "s",
            "Measures the time taken to perform a DNS lookup.",
            explicit_bucket_boundaries_advisory=_LOOKUP_BUCKETS,
        )
        self._hook_duration = meter.create_histogram(
            "peerdisco.hook.duration",
            "s",
            "Duration of a run of a hook.",
            explicit_bucket_boundaries_advisory=_HOOK_BUCKETS,
        )
        self._described: dict[str, _Described] = {}
        """The newest lookup of each service; most lookups have the same attributes."""
        self._lock = threading.Lock()
        self._counts: dict[str, Counter[_Count]] = {name: Counter() for name, *_ in _COUNTERS}
        self._newest: dict[str, tuple[Snapshot, int]] = {}
        """The newest snapshot of each service, and the time of the newest answer."""
        for name, unit, text, key in _COUNTERS:
            meter.create_observable_counter(name, [self._count_callback(name, key)], unit, text)
        for name, unit, text, value in _GAUGES:
            meter.create_observable_gauge(name, [self._callback(value)], unit, text)

    def lookup_ended(self, event: LookupEnded) -> None:
        end = self._clock()
        described = self._describe(event)
        self._trace(end, described.span, event)
        self._duration.record(event.seconds, described.measured)
        with self._lock:
            for attempt in event.attempts:
                of = (event.service, attempt.transport)
                self._counts[_RECEIVED][of] += attempt.size
                if attempt.truncated:
                    self._counts[_TRUNCATED][of] += 1
            if event.change:
                self._count(event.service, event.change)
            since = self._newest[event.service][1] if event.service in self._newest else end
            self._newest[event.service] = (event.snapshot, since if event.error else end)

    def _describe(self, event: LookupEnded) -> _Described:
        """The attributes of a lookup: those of the one before if nothing differs."""
        snapshot, last = event.snapshot, self._described.get(event.service)
        facts = (event.outcome, event.server, snapshot.stale, snapshot.complete)
        if last is None or last.facts != facts or last.peers is not snapshot.peers:
            span = _of_lookup(event)
            measured = {key: value for key, value in span.items() if key in _MEASURED}
            last = _Described(snapshot.peers, facts, MappingProxyType(span), measured)
            self._described[event.service] = last
        return last

    def _trace(self, end: int, attributes: _Attributes, event: LookupEnded) -> None:
        start = end - int(event.seconds * 1e9)
        name = f"DNS lookup {event.service}"
        span = self._tracer.start_span(name, None, SpanKind.INTERNAL, attributes, None, start)
        if span.is_recording():
            if len(event.attempts) > 1 or event.error is not None:
                for attempt in event.attempts:
                    span.add_event("peerdisco.dns.exchange", _of_exchange(attempt), end)
            if event.error is not None:
                span.set_status(Status(StatusCode.ERROR, str(event.error)))
        span.end(end)

    def _count(self, service: str, change: Change) -> None:
        for kind in ("joined", "left", "replaced", "degraded", "recovered"):
            value = getattr(change, kind)
            number = int(value) if isinstance(value, bool) else len(value)
            if number:
                self._counts[_CHANGES][service, kind] += number

    def hook_ended(self, event: HookEnded) -> None:
        end = self._clock()
        attributes: dict[str, AttributeValue] = {
            "dns.question.name": event.service,
            "peerdisco.hook.name": event.hook,
            "peerdisco.hook.outcome": event.outcome,
        }
        if event.error is not None:
            attributes["error.type"] = type(event.error).__qualname__
        self._hook_duration.record(event.seconds, attributes)
        start = end - int(event.seconds * 1e9)
        span = self._tracer.start_span(
            f"hook {event.hook}",
            None,
            SpanKind.INTERNAL,
            {**attributes, "peerdisco.hook.attempt": event.attempt},
            None,
            start,
        )
        _fail(span, event)
        span.end(end)

    def closed(self, service: str) -> None:
        with self._lock:
            self._newest.pop(service, None)
        self._described.pop(service, None)

    def _count_callback(
        self, name: str, key: str
    ) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> Iterator[Observation]:
            with self._lock:
                counts = dict(self._counts[name])
            for (service, value), number in counts.items():
                yield Observation(number, {"dns.question.name": service, key: value})

        return observe

    def _callback(
        self, value: Callable[[Snapshot, float], float]
    ) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            now = self._clock()
            with self._lock:
                newest = dict(self._newest)
            for service, (snapshot, answered_at) in newest.items():
                seconds = max(0, now - answered_at) / 1e9
                yield Observation(value(snapshot, seconds), {"dns.question.name": service})

        return observe


_MEASURED = {"dns.question.name", "error.type", "server.address", "server.port"}
"""The attributes of a lookup's span that its duration has too."""

_CHANGES, _RECEIVED = "peerdisco.changes", "peerdisco.dns.received"
_TRUNCATED = "peerdisco.dns.truncated_replies"
_COUNTERS = (
    (
        _CHANGES,
        "{change}",
        "Confirmed changes of the membership and its health.",
        "peerdisco.change.kind",
    ),
    (_RECEIVED, "By", "Bytes of the DNS replies.", "network.transport"),
    (_TRUNCATED, "{reply}", "DNS replies that were truncated.", "network.transport"),
)
"""The counters: name, unit, description, and the attribute beside the service."""

_GAUGES: tuple[tuple[str, str, str, Callable[[Snapshot, float], float]], ...] = (
    ("peerdisco.peers", "{peer}", "Peers that are listed.", lambda snapshot, _: len(snapshot)),
    (
        "peerdisco.stale.time",
        "s",
        "Seconds without an answer while lookups fail; 0 while they succeed.",
        lambda snapshot, seconds: seconds if snapshot.stale else 0.0,
    ),
    (
        "peerdisco.unconfirmed_departures",
        "{peer}",
        "Peers that the newest answers do not confirm, and that are still listed.",
        lambda snapshot, _: len(snapshot.unconfirmed),
    ),
)


class _Described(NamedTuple):
    """The attributes of a lookup, and what they depend on."""

    peers: tuple[Peer, ...]
    facts: tuple[str, str, bool, bool]
    span: _Attributes
    measured: _Attributes


def _of_lookup(event: LookupEnded) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {
        "dns.question.name": event.service,
        "peerdisco.lookup.outcome": event.outcome,
        "peerdisco.peers": len(event.snapshot),
        "peerdisco.stale": event.snapshot.stale,
        "peerdisco.complete": event.snapshot.complete,
    }
    address, _, port = event.server.rpartition(":")
    if address and port.isdigit():
        attributes["server.address"] = address.strip("[]")
        attributes["server.port"] = int(port)
    if event.error is None:
        addresses = (str(address) for peer in event.snapshot for address in peer.addresses)
        attributes["dns.answers"] = tuple(islice(addresses, _MOST_ANSWERS))
    else:
        attributes["error.type"] = event.outcome
    return attributes


def _of_exchange(attempt: Attempt) -> _Attributes:
    return {
        "dns.question.name": attempt.name,
        "peerdisco.dns.question.type": attempt.type,
        "peerdisco.dns.outcome": attempt.outcome.name.lower(),
        "server.address": attempt.server,
        "network.transport": attempt.transport,
        "peerdisco.dns.duration": attempt.seconds,
        "peerdisco.dns.size": attempt.size,
    }


def _fail(span: Span, event: HookEnded) -> None:
    if event.error is not None and span.is_recording():
        span.record_exception(event.error)
        span.set_status(Status(StatusCode.ERROR, str(event.error)))

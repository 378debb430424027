"""The metrics for Prometheus, as a scrape shows them."""

from __future__ import annotations

from typing import Any

import prometheus_client as prometheus
import pytest

import peerdisco
from peerdisco.model import Change, Outcome
from peerdisco.observability.prometheus import PrometheusObserver
from peerdisco.testing import ClusterDNS, ManualClock, ScriptedSource, failure, peers

SERVICE = "my-database.default.svc.cluster.local"


class Metrics:
    """An observer with a registry of its own, and the samples of a scrape."""

    def __init__(self, clock: ManualClock | None = None) -> None:
        self.registry = prometheus.CollectorRegistry()
        options = {} if clock is None else {"now": clock.now}
        self.observer = PrometheusObserver(self.registry, **options)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"peerdisco_{name}", {"service": SERVICE, **labels})


def watcher(metrics: Metrics, clock: ManualClock, *script: Any) -> peerdisco.Discovery:
    return peerdisco.Discovery(
        source=ScriptedSource("my-database", script),
        clock=clock,
        chance=lambda: 0.5,
        leave_after=3,
        observers=[metrics.observer],
    )


async def test_lookups_changes_and_the_membership() -> None:
    clock = ManualClock()
    metrics = Metrics(clock)
    script = [failure(), peers("mysql", 2), peers("mysql", 3), *[peers("mysql", 2)] * 9]
    async with watcher(metrics, clock, *script) as disco:
        assert metrics.value("peers") is None
        await clock.advance(60)
        total = disco.lookups
        assert metrics.value("peers") == 2
        assert metrics.value("membership_complete") == 1
        assert metrics.value("primary_listed") == 1
        assert metrics.value("unconfirmed_departures") == 0
        assert metrics.value("last_answer_timestamp_seconds") is not None
    failed = metrics.value("lookups_total", outcome="servfail", server="127.0.0.1:53")
    answered = metrics.value("lookups_total", outcome="answer", server="")
    assert (failed, answered) == (1, total - 1)
    assert metrics.value("lookup_duration_seconds_count") == total
    for kind, count in {"joined": 3, "left": 1, "degraded": 1, "recovered": 1}.items():
        assert metrics.value("changes_total", kind=kind) == count
    assert metrics.value("changes_total", kind="replaced") is None


async def test_the_stale_seconds_grow_while_lookups_fail_and_return_to_0() -> None:
    clock = ManualClock()
    metrics = Metrics(clock)
    script = [peers("mysql", 2), *[failure()] * 4, peers("mysql", 2)]
    async with watcher(metrics, clock, *script) as disco:
        await clock.advance(1)
        assert metrics.value("stale_seconds") == 0
        await clock.advance(9, until=lambda: disco.lookups == 3)
        earlier = metrics.value("stale_seconds")
        assert earlier
        await clock.advance(0.5)
        assert metrics.value("stale_seconds") == pytest.approx(earlier + 0.5)
        await clock.advance(120)
        assert metrics.value("stale_seconds") == 0


async def test_before_the_first_answer_the_membership_is_not_known() -> None:
    clock = ManualClock()
    metrics = Metrics(clock)
    async with watcher(metrics, clock, failure(Outcome.TIMEOUT)):
        await clock.advance(30)
        assert metrics.value("membership_known") == 0
        assert metrics.value("membership_complete") == 0
        assert metrics.value("last_answer_timestamp_seconds") is None
        assert metrics.value("stale_seconds") > 20  # type: ignore[operator]


async def test_the_gauges_of_a_closed_watcher_are_gone() -> None:
    clock = ManualClock()
    metrics = Metrics(clock)
    async with watcher(metrics, clock, peers("mysql", 2)):
        await clock.advance(1)
    assert metrics.value("peers") is None
    assert metrics.value("lookup_duration_seconds_count")


async def test_bytes_and_truncated_replies_of_a_real_exchange() -> None:
    metrics = Metrics()
    with ClusterDNS() as dns:
        dns.statefulset("mysql", service="my-database", replicas=40)
        async with peerdisco.Discovery(
            SERVICE, nameservers=[dns.nameserver], observers=[metrics.observer], interval=30
        ) as disco:
            await disco.wait(40, timeout=30)
            server = dns.nameserver
    assert metrics.value("dns_truncated_replies_total", transport="udp") == 1
    assert metrics.value("dns_truncated_replies_total", transport="tcp") is None
    assert metrics.value("dns_received_bytes_total", transport="tcp") > 1232  # type: ignore[operator]
    labels = {"outcome": "answer", "server": server, "transport": "tcp"}
    assert metrics.value("dns_queries_total", **labels) == 1


async def test_runs_of_hooks() -> None:
    metrics = Metrics()

    def hook(_: Change) -> None:
        raise ValueError("never works")

    source = ScriptedSource("my-database", [peers("mysql", 1)])
    async with peerdisco.Discovery(source=source, observers=[metrics.observer]) as disco:
        runner = peerdisco.hooks.HookRunner(
            disco, on_change=hook, attempts=2, backoff=0.01, end_on_failure=True
        )
        with pytest.raises(ValueError, match="never works"):
            await runner.run()
    assert metrics.value("hook_runs_total", hook="on-change", outcome="failure") == 2
    assert metrics.value("hook_duration_seconds_count", hook="on-change") == 2


def test_every_metric_has_a_conventional_name_and_is_documented() -> None:
    from tests.docs.markdown import ROOT

    page = (ROOT / "docs/reference/metrics.md").read_text()
    metrics = Metrics()
    families = list(metrics.registry.collect())
    assert len(families) > 10
    for family in families:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        assert f"| `{name}` |" in page, name
        assert name.startswith("peerdisco_")
        assert family.documentation.endswith(".")
        if family.type == "histogram":
            assert name.endswith("_seconds")

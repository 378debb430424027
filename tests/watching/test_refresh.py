"""`refresh()`: only a lookup that is begun after the call counts for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

import peerdisco
import peerdisco.sync
from peerdisco.model import Observation
from peerdisco.sources.shared import SharedSource, _SharedLookups
from peerdisco.testing import ClusterDNS, ManualClock, ScriptedSource, failure, peers

SERVICE = "my-database.default.svc.cluster.local"


class Gate:
    """A lookup that takes until it is opened, and then sees so many pods."""

    def __init__(self, pods: int) -> None:
        self.pods = pods
        self.opened = asyncio.Event()
        self.begun = asyncio.Event()

    async def lookup(self) -> Observation:
        self.begun.set()
        await self.opened.wait()
        return peers("mysql", self.pods)


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_wait_after_refresh_waits_for_its_answer() -> None:
    clock = ManualClock()
    source = ScriptedSource("my-database", [peers("mysql", 3), peers("mysql", 4)])
    async with peerdisco.Discovery(source=source, clock=clock, interval=60) as disco:
        await clock.advance(5)
        assert len(await disco.wait(1)) == 3
        disco.refresh()
        waiting = asyncio.create_task(disco.wait(1))
        await clock.advance(0.5)
        assert len(await waiting) == 4


async def test_a_lookup_that_is_under_way_does_not_count() -> None:
    clock, gate = ManualClock(), Gate(3)
    source = ScriptedSource("my-database", [gate.lookup, peers("mysql", 4)])
    async with peerdisco.Discovery(source=source, clock=clock, interval=60) as disco:
        await gate.begun.wait()
        disco.refresh()
        waiting = asyncio.create_task(disco.wait(1))
        gate.opened.set()
        await turns()
        assert len(disco.snapshot) == 3, "its answer is no less true for that"
        assert not waiting.done()
        await clock.advance(1)
        assert len(await waiting) == 4


async def test_a_refresh_during_a_failed_lookup_does_not_wait_for_the_backoff() -> None:
    clock = ManualClock()
    source = ScriptedSource("my-database", [peers("mysql", 3), *[failure()] * 20])
    async with peerdisco.Discovery(source=source, clock=clock, chance=lambda: 0.5) as disco:
        await clock.advance(60)
        source.then(peers("mysql", 4))
        while source.lookups < 21:
            disco.refresh()
            await clock.advance(0.5)
        disco.refresh()
        waiting = asyncio.create_task(disco.wait(1))
        await clock.advance(0.5)
        assert len(await waiting) == 4


async def test_an_answer_that_may_be_stale_does_not_count() -> None:
    """TTL 0 after a larger one: a cache may serve what it had before the call."""
    clock = ManualClock()
    script = [peers("mysql", 3), peers("mysql", 3, ttl=0), peers("mysql", 4)]
    source = ScriptedSource("my-database", script)
    async with peerdisco.Discovery(source=source, clock=clock, interval=60) as disco:
        await clock.advance(5)
        disco.refresh()
        waiting = asyncio.create_task(disco.wait(1))
        await clock.advance(0.1)
        assert source.lookups == 2
        assert not waiting.done()
        await clock.advance(1)
        assert len(await waiting) == 4


async def test_those_who_refresh_for_ever_keep_nobody_waiting() -> None:
    clock = ManualClock()
    source = ScriptedSource("my-database", [peers("mysql", 3)])
    async with peerdisco.Discovery(source=source, clock=clock, interval=60) as disco:
        disco.refresh()
        waiting = asyncio.create_task(disco.wait(1))
        while not waiting.done():
            assert clock.now() < 5
            disco.refresh()
            await clock.advance(0.1)


# Watchers that share their lookups.


def shared(*script: object, fresh: float = 1000.0) -> tuple[ScriptedSource, list[SharedSource]]:
    source = ScriptedSource("my-database", script)  # type: ignore[arg-type]
    lookups = _SharedLookups(source, lambda: None)
    return source, [SharedSource(lookups, fresh) for _ in range(3)]


async def test_a_fresh_answer_of_another_watcher_does_not_count() -> None:
    source, (one, other, third) = shared(peers("mysql", 3), peers("mysql", 4))
    assert await one.observe(timeout=5) == peers("mysql", 3)
    assert await other.observe(timeout=5) == peers("mysql", 3)
    other.refresh()
    assert await third.observe(timeout=5) == peers("mysql", 3), "nobody refreshed it"
    assert await other.observe(timeout=5) == peers("mysql", 4)
    assert await third.observe(timeout=5) == peers("mysql", 4)
    assert source.lookups == 2


async def test_a_failure_of_another_watcher_does_not_count() -> None:
    _, (one, other, _) = shared(failure(), peers("mysql", 4))
    await one.observe(timeout=5)
    other.refresh()
    assert await other.observe(timeout=5) == peers("mysql", 4)


async def test_a_shared_lookup_that_is_under_way_does_not_count() -> None:
    gate = Gate(3)
    source, (one, other, third) = shared(gate.lookup, peers("mysql", 4))
    first = asyncio.create_task(one.observe(timeout=5))
    await gate.begun.wait()
    other.refresh()
    third.refresh()
    later = [asyncio.create_task(user.observe(timeout=5)) for user in (other, third)]
    await turns()
    assert source.lookups == 1, "one lookup at a time"
    gate.opened.set()
    assert await first == peers("mysql", 3)
    assert await asyncio.gather(*later) == [peers("mysql", 4)] * 2
    assert source.lookups == 2, "one lookup for all who refreshed"


async def test_who_has_to_pass_a_lookup_by_has_the_whole_timeout_for_the_next() -> None:
    """Else a slow lookup of another watcher would make this one's fail."""
    gate, slow = Gate(3), Gate(4)
    _, (one, other, _) = shared(gate.lookup, slow.lookup)
    asyncio.get_running_loop().call_later(0.3, gate.opened.set)
    first = asyncio.create_task(one.observe(timeout=60))
    await gate.begun.wait()
    other.refresh()
    second = asyncio.create_task(other.observe(timeout=0.5))
    await slow.begun.wait()
    asyncio.get_running_loop().call_later(0.3, slow.opened.set)
    assert await second == peers("mysql", 4)
    await first


async def test_it_is_bounded_where_the_lookup_of_another_does_not_end() -> None:
    gate = Gate(3)
    _, (one, other, _) = shared(gate.lookup)
    first = asyncio.create_task(one.observe(timeout=60))
    await gate.begun.wait()
    other.refresh()
    seen = await asyncio.wait_for(other.observe(timeout=0.05), 5)
    assert isinstance(getattr(seen, "error", None), peerdisco.ResolveTimeout)
    gate.opened.set()
    assert await first == peers("mysql", 3)


@asynccontextmanager
async def two(dns: ClusterDNS) -> AsyncIterator[list[peerdisco.Discovery]]:
    """Two watchers that lookup up a service seldom, and share their lookups."""
    options = {"nameservers": [dns.nameserver], "interval": 60, "min_interval": 30}
    one, other = (peerdisco.Discovery(SERVICE, **options) for _ in range(2))  # type: ignore[arg-type]
    async with one, other:
        await one.wait(3)
        await other.wait(3)
        yield [one, other]


@pytest.mark.parametrize("refreshed_before", [False, True])
async def test_real_watchers_see_what_changed_before_the_call(
    cluster_dns: ClusterDNS, refreshed_before: bool
) -> None:
    """Within the 30 seconds in which they would take each other's answers."""
    mysql = cluster_dns.statefulset("mysql", service="my-database", replicas=3)
    async with two(cluster_dns) as (one, other):
        for disco in (one, other):
            disco._schedule = type(disco._schedule)(60, 0.05)  # the pause of a single watcher
        if refreshed_before:
            one.refresh()
            await one.wait(3, timeout=5)
        mysql.scale(4)
        other.refresh()
        assert len(await other.wait(1, timeout=5)) == 4


def test_the_blocking_one_too(cluster_dns: ClusterDNS) -> None:
    mysql = cluster_dns.statefulset("mysql", service="my-database", replicas=3)
    with peerdisco.sync.Discovery(
        SERVICE, nameservers=[cluster_dns.nameserver], interval=60, min_interval=0.05
    ) as disco:
        assert len(disco.wait(3, timeout=5)) == 3
        for pods in range(4, 14):
            mysql.scale(pods)
            disco.refresh()
            assert len(disco.wait(1, timeout=5)) == pods

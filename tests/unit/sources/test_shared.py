"""Watchers of one service in one event loop share their lookups."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from peerdisco.model import Failed, Observation
from peerdisco.sources import Source
from peerdisco.sources.shared import SharedSource, _SharedLookups, share
from peerdisco.testing import ScriptedSource, failure, nxdomain, peers

SERVICE = "my-database"


class Gate:
    """A lookup that takes until it is opened."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.begun = 0
        self.cancelled = 0

    async def lookup(self) -> Observation:
        self.begun += 1
        try:
            await self.opened.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return peers()


class Time:
    """The event loop's time, which stands still until it is moved."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        self.now = loop.time()
        monkeypatch.setattr(loop, "time", lambda: self.now)


def shared(source: Source, fresh: float = 0.0) -> SharedSource:
    return SharedSource(_SharedLookups(source, lambda: None), fresh)


async def turns(count: int = 10) -> None:
    """Let everybody do what can be done without waiting."""
    for _ in range(count):
        await asyncio.sleep(0)


# Lookups.


async def test_it_is_a_source() -> None:
    source = shared(ScriptedSource(SERVICE, [nxdomain()]))
    assert isinstance(source, Source)
    assert source.service == "my-database.default.svc.cluster.local"
    assert await source.observe(timeout=1) == nxdomain()


async def test_lookups_that_overlap_are_one() -> None:
    gate = Gate()
    script = ScriptedSource(SERVICE, [gate.lookup])
    source = shared(script)
    waiting = [asyncio.create_task(source.observe(timeout=60)) for _ in range(5)]
    await turns()
    gate.opened.set()
    seen = await asyncio.gather(*waiting)
    assert script.lookups == gate.begun == 1
    assert all(one is seen[0] for one in seen)


async def test_lookups_that_follow_each_other_are_two() -> None:
    script = ScriptedSource(SERVICE, [peers("mysql", 1), peers("mysql", 2)])
    source = shared(script)
    assert await source.observe(timeout=1) == peers("mysql", 1)
    assert await source.observe(timeout=1) == peers("mysql", 2)


async def test_a_fresh_lookup_serves_again(monkeypatch: pytest.MonkeyPatch) -> None:
    time = Time(monkeypatch)
    script = ScriptedSource(SERVICE, [peers("mysql", 1), peers("mysql", 2)])
    source = shared(script, fresh=0.5)
    first = await source.observe(timeout=1)
    time.now += 0.4375
    assert await source.observe(timeout=1) is first
    assert script.lookups == 1
    time.now += 0.0625
    assert await source.observe(timeout=1) == peers("mysql", 2)
    assert script.lookups == 2


async def test_a_failure_is_shared_as_any_other_lookup(monkeypatch: pytest.MonkeyPatch) -> None:
    Time(monkeypatch)
    script = ScriptedSource(SERVICE, [failure(), peers()])
    source = shared(script, fresh=0.5)
    first = await source.observe(timeout=1)
    assert isinstance(first, Failed)
    assert await source.observe(timeout=1) is first


async def test_what_a_source_raises_reaches_everybody_and_the_next_lookup_is_a_new_one() -> None:
    gate = Gate()

    async def breaks() -> Observation:
        await gate.lookup()
        raise ZeroDivisionError

    script = ScriptedSource(SERVICE, [breaks, peers()])
    source = shared(script)
    waiting = [asyncio.create_task(source.observe(timeout=60)) for _ in range(2)]
    await turns()
    gate.opened.set()
    raised = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in raised] == [ZeroDivisionError] * 2
    assert await source.observe(timeout=1) == peers()


# Cancellation.


async def test_who_gives_up_does_not_end_the_lookup_of_another() -> None:
    gate = Gate()
    script = ScriptedSource(SERVICE, [gate.lookup])
    source = shared(script)
    one, other = (asyncio.create_task(source.observe(timeout=60)) for _ in range(2))
    await turns()
    one.cancel()
    await turns()
    assert one.cancelled()
    assert not gate.cancelled
    gate.opened.set()
    assert await other == peers()
    assert gate.begun == 1


async def test_the_lookup_ends_with_the_last_one_who_gives_up() -> None:
    gate = Gate()
    source = shared(ScriptedSource(SERVICE, [gate.lookup, nxdomain()]))
    waiting = [asyncio.create_task(source.observe(timeout=60)) for _ in range(3)]
    await turns()
    for one in waiting:
        assert not gate.cancelled
        one.cancel()
        await turns()
    assert gate.cancelled == 1
    assert all(one.cancelled() for one in waiting)
    assert len(asyncio.all_tasks()) == 1
    assert await source.observe(timeout=1) == nxdomain()


async def test_who_comes_while_a_lookup_is_cancelled_gets_a_lookup() -> None:
    gate = Gate()
    source = shared(ScriptedSource(SERVICE, [gate.lookup, nxdomain()]))
    one = asyncio.create_task(source.observe(timeout=60))
    await turns()
    one.cancel()
    other = asyncio.create_task(source.observe(timeout=60))
    assert await other == nxdomain()
    await turns()
    assert one.cancelled()
    assert len(asyncio.all_tasks()) == 1


async def test_nobody_waits_longer_than_the_own_timeout() -> None:
    """The one who came first has more patience."""
    gate = Gate()
    source = shared(ScriptedSource(SERVICE, [gate.lookup]))
    patient = asyncio.create_task(source.observe(timeout=60))
    await turns()
    retry_interval = asyncio.create_task(source.observe(timeout=0.01))
    done, _ = await asyncio.wait({retry_interval}, timeout=0.5)
    gate.opened.set()
    assert await patient == peers()
    seen = await retry_interval
    assert done
    assert isinstance(seen, Failed)


async def test_nobody_waits_less_than_the_own_timeout() -> None:
    """The one who came first has less patience."""
    gate = Gate()
    source = shared(ScriptedSource(SERVICE, [gate.lookup, peers()]))
    retry_interval = asyncio.create_task(source.observe(timeout=0.01))
    await turns()
    patient = asyncio.create_task(source.observe(timeout=60))
    assert isinstance(await retry_interval, Failed)
    gate.opened.set()
    assert await patient == peers()


# Who shares with whom.


def opener(opened: list[ScriptedSource], *script: Observation) -> Callable[[], Source]:
    def open_source() -> Source:
        opened.append(ScriptedSource(SERVICE, script or [peers()]))
        return opened[-1]

    return open_source


async def test_one_source_for_each_key_and_the_last_user_closes_it() -> None:
    opened: list[ScriptedSource] = []
    one, same = (share("key", 0.0, opener(opened)) for _ in range(2))
    other = share("another key", 0.0, opener(opened))
    assert len(opened) == 2
    await one.aclose()
    assert not opened[0].closed
    assert await same.observe(timeout=1) == peers()
    await same.aclose()
    assert opened[0].closed
    assert not opened[1].closed
    await other.aclose()
    assert opened[1].closed


async def test_a_closed_source_is_opened_again() -> None:
    opened: list[ScriptedSource] = []
    first = share("key", 0.0, opener(opened))
    await first.aclose()
    second = share("key", 0.0, opener(opened))
    assert second is not first
    assert [source.closed for source in opened] == [True, False]
    await second.aclose()


async def test_what_cannot_be_opened_is_not_kept() -> None:
    def breaks() -> Source:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        share("key", 0.0, breaks)
    opened: list[ScriptedSource] = []
    source = share("key", 0.0, opener(opened))
    await source.aclose()
    assert opened[0].closed


def test_each_event_loop_has_its_own() -> None:
    opened: list[ScriptedSource] = []

    async def use() -> SharedSource:
        return share("key", 0.0, opener(opened))

    with asyncio.Runner() as one, asyncio.Runner() as other:
        first, second = one.run(use()), other.run(use())
        assert first is not second
        one.run(first.aclose())
        assert [source.closed for source in opened] == [True, False]
        assert other.run(second.observe(timeout=1)) == peers()
        other.run(second.aclose())
    assert all(source.closed for source in opened)


async def test_a_user_with_a_long_interval_does_not_keep_old_lookups_for_one_with_a_short_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each one says, when it opens the source, how old a lookup may be that serves it."""
    time = Time(monkeypatch)
    opened: list[ScriptedSource] = []
    script = opener(opened, peers("mysql", 1), peers("mysql", 2))
    seldom, often = share("key", 10.0, script), share("key", 0.5, script)
    assert await seldom.observe(timeout=1) == peers("mysql", 1)
    time.now += 1
    assert await often.observe(timeout=1) == peers("mysql", 2)
    await seldom.aclose()
    await often.aclose()


@pytest.mark.skipif(
    not hasattr(asyncio, "eager_task_factory"),
    reason="this machine runs a Python without eager tasks: use 3.12 or later",
)
async def test_a_lookup_that_does_not_wait_is_not_kept_where_tasks_start_eagerly() -> None:
    asyncio.get_running_loop().set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009
    source = shared(ScriptedSource(SERVICE, [peers("mysql", 1), peers("mysql", 2)]))
    assert await source.observe(timeout=1) == peers("mysql", 1)
    assert await source.observe(timeout=1) == peers("mysql", 2)

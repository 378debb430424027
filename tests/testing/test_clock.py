"""The clock that is moved by hand."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from peerdisco import Discovery
from peerdisco.clock import Clock, SystemClock
from peerdisco.model import Identity
from peerdisco.testing import ManualClock, ScriptedSource, peers


class Sleeper:
    """Waits again and again, and notes when it was woken."""

    def __init__(self, clock: ManualClock, seconds: float, times: int = 1000) -> None:
        self.woken: list[float] = []
        self._clock = clock
        self._seconds = seconds
        self._times = times

    async def run(self) -> None:
        never = asyncio.Event()
        for _ in range(self._times):
            assert not await self._clock.wait(never, self._seconds)
            self.woken.append(self._clock.now())


async def test_time_stands_still_until_it_is_moved() -> None:
    clock = ManualClock()
    assert clock.now() == 0
    await asyncio.sleep(0.01)
    assert clock.now() == 0
    await clock.advance(2.5)
    assert clock.now() == 2.5
    await clock.advance(0)
    assert clock.now() == 2.5


async def test_the_date_goes_with_it() -> None:
    date = datetime(2024, 2, 29, tzinfo=UTC)
    clock = ManualClock(100, date)
    assert (clock.now(), clock.utcnow()) == (100, date)
    await clock.advance(90)
    assert (clock.now(), clock.utcnow()) == (190, date + timedelta(seconds=90))


async def test_who_waits_is_woken_when_it_is_due() -> None:
    clock = ManualClock()
    waiting = asyncio.create_task(clock.wait(asyncio.Event(), 5))
    await clock.advance(4.999)
    assert not waiting.done()
    await clock.advance(0.001)
    assert waiting.done()
    assert not await waiting


async def test_an_event_wakes_before_the_time() -> None:
    clock, event = ManualClock(), asyncio.Event()
    waiting = asyncio.create_task(clock.wait(event, 5))
    await clock.advance(1)
    event.set()
    assert await waiting
    assert clock.now() == 1
    assert clock.next_due is None
    await clock.advance(10)


@pytest.mark.parametrize("seconds", [0, -1, 5, None])
async def test_an_event_that_is_set_is_not_waited_for(seconds: float | None) -> None:
    clock, event = ManualClock(), asyncio.Event()
    event.set()
    assert await clock.wait(event, seconds)


@pytest.mark.parametrize("seconds", [0, -1])
async def test_no_time_is_no_wait(seconds: float) -> None:
    assert not await ManualClock().wait(asyncio.Event(), seconds)


async def test_without_a_time_only_the_event_wakes() -> None:
    clock, event = ManualClock(), asyncio.Event()
    waiting = asyncio.create_task(clock.wait(event, None))
    await clock.advance(10**9)
    assert not waiting.done()
    assert clock.next_due is None
    event.set()
    assert await waiting


async def test_all_are_woken_in_order_and_do_what_follows_before_time_goes_on() -> None:
    clock = ManualClock()
    order: list[tuple[str, float]] = []

    async def sleep(name: str, *pauses: float) -> None:
        for pause in pauses:
            await clock.wait(asyncio.Event(), pause)
            order.append((name, clock.now()))

    tasks = [
        asyncio.create_task(sleep("a", 3, 3)),
        asyncio.create_task(sleep("b", 1, 1, 1, 1)),
        asyncio.create_task(sleep("c", 3)),
    ]
    await clock.advance(10)
    assert order == [
        ("b", 1),
        ("b", 2),
        ("a", 3),
        ("c", 3),
        ("b", 3),
        ("b", 4),
        ("a", 6),
    ]
    assert all(task.done() for task in tasks)
    assert clock.now() == 10


async def test_it_stops_as_soon_as_it_is_so() -> None:
    clock = ManualClock()
    sleeper = Sleeper(clock, 2)
    task = asyncio.create_task(sleeper.run())
    await clock.advance(100, until=lambda: len(sleeper.woken) == 3)
    assert clock.now() == 6
    await clock.advance(100, until=lambda: True)
    assert clock.now() == 6
    await clock.advance(3, until=lambda: False)
    assert clock.now() == 9
    assert sleeper.woken == [2, 4, 6, 8]
    task.cancel()


async def test_who_was_cancelled_is_not_waited_for() -> None:
    clock = ManualClock()
    sleeping = asyncio.create_task(clock.wait(asyncio.Event(), 5))
    other = asyncio.create_task(clock.wait(asyncio.Event(), 7))
    await clock.advance(1)
    assert clock.next_due == 5
    sleeping.cancel()
    await asyncio.wait({sleeping})
    assert clock.next_due == 7
    await clock.advance(10)
    assert not await other
    assert clock.now() == 11
    assert len(asyncio.all_tasks()) == 1


async def test_next_due() -> None:
    clock = ManualClock(100)
    assert clock.next_due is None
    task = asyncio.create_task(Sleeper(clock, 2, times=2).run())
    await clock.advance(0)
    assert clock.next_due == 102
    await clock.advance(2)
    assert clock.next_due == 104
    await clock.advance(2)
    assert clock.next_due is None
    await task


async def test_an_hour_of_lookups_is_the_same_each_time() -> None:
    async def hour() -> tuple[int, list[datetime | None]]:
        clock, seen = ManualClock(), []
        source = ScriptedSource("my-database", [peers("mysql", 2), peers("mysql", 3)])
        disco = Discovery(
            source=source, clock=clock, identity=Identity("me", "default"), chance=lambda: 0.25
        )
        async with disco:
            for _ in range(2):
                await clock.advance(300)
                seen.append(disco.snapshot.observed_at)
        return disco.lookups, seen

    first = await hour()
    assert first == await hour()
    assert first[0] == 1 + int(600 / 1.9)


async def test_the_machine_s_clock_keeps_the_same_contract() -> None:
    clocks: list[Clock] = [SystemClock(), ManualClock()]
    for clock in clocks:
        assert clock.utcnow().tzinfo is UTC
        event = asyncio.Event()
        assert not await clock.wait(event, 0)
        event.set()
        assert await clock.wait(event, 0)
        assert await clock.wait(event, None)
    clock = SystemClock()
    before = clock.now()
    assert not await clock.wait(asyncio.Event(), 0.01)
    assert clock.now() - before >= 0.01

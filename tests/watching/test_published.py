"""What consumers read is one value: never a half of a lookup, never an old age, never a guess."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

import peerdisco
from peerdisco.cli import change_lines
from peerdisco.hooks import HookRunner
from peerdisco.model import Observation
from peerdisco.testing import ManualClock, ScriptedSource, failure, nxdomain, peers

SERVICE = "my-database.default.svc.cluster.local"
NOW = datetime(2025, 1, 1, tzinfo=UTC)


def watching(
    script: list[Any], clock: ManualClock | None = None, **options: Any
) -> peerdisco.Discovery:
    source = ScriptedSource("my-database", script)
    return peerdisco.Discovery(source=source, clock=clock, chance=lambda: 0.5, **options)


# One value.


async def every_turn(disco: peerdisco.Discovery, seen: list[peerdisco.Snapshot]) -> None:
    while True:
        seen.append(disco.snapshot)
        await asyncio.sleep(0)


async def test_the_first_answer_of_thousands_is_seen_whole_or_not_at_all() -> None:
    seen: list[peerdisco.Snapshot] = []
    async with watching([peers("mysql", 2000)]) as disco:
        reading = asyncio.create_task(every_turn(disco, seen))
        anything = await disco.wait(lambda snapshot: True, timeout=5)
        assert len(anything) == 2000
        reading.cancel()
    assert {(one.known, one.complete, len(one)) for one in seen} == {
        (False, False, 0),
        (True, True, 2000),
    }


async def test_a_change_of_thousands_is_seen_whole_or_not_at_all() -> None:
    clock = ManualClock()
    script = [peers("mysql", 1), peers("mysql", 2000, incomplete_reason="truncated")]
    seen: list[peerdisco.Snapshot] = []
    async with watching(script, clock) as disco:
        await clock.advance(0.5)
        reading = asyncio.create_task(every_turn(disco, seen))
        await clock.advance(2.5)
        reading.cancel()
    assert {(one.complete, len(one), one.age) for one in seen} == {
        (True, 1, 0.5),
        (True, 1, 2.0),
        (False, 2000, 0.0),
    }


async def test_another_thread_never_reads_a_mixture() -> None:
    """Even and odd lookups differ in everything that a snapshot says."""
    shapes = [
        peers("mysql", 1001),
        peers("mysql", [*range(1001), 5000], incomplete_reason="truncated"),
    ]
    script: list[Observation] = [shapes[1], *[failure(), *shapes] * 60]
    done = threading.Event()
    mixed: list[peerdisco.Snapshot] = []

    def read(disco: peerdisco.Discovery) -> None:
        while not done.is_set():
            one = disco.snapshot
            known = (one.known, one.complete, len(one))
            if known not in {(False, False, 0), (True, True, 1002), (True, False, 1002)}:
                mixed.append(one)
            if one.known is (one.observed_at is None) or one.age < 0:
                mixed.append(one)

    clock = ManualClock()
    async with watching(script, clock, leave_after=9999) as disco:
        thread = threading.Thread(target=read, args=(disco,))
        thread.start()
        try:
            await clock.advance(200)
        finally:
            done.set()
            thread.join()
    assert disco.lookups > 60
    assert not mixed


# The age of what is handed out.


@pytest.mark.parametrize("then", [(), (failure(),)], ids=["quiet", "an outage"])
async def test_a_change_has_the_age_of_the_moment_it_is_handed_out(
    then: tuple[Observation, ...],
) -> None:
    clock = ManualClock()
    async with watching([peers("mysql", 3), *then], clock) as disco:
        late = disco.watch()
        await clock.advance(600)
        change, now = await anext(late), disco.snapshot
        assert (change.snapshot.observed_at, change.snapshot.age) == (now.observed_at, now.age)
        assert change.snapshot.stale is bool(then)
        assert change.snapshot.age == pytest.approx(600 if then else 0, abs=2)
        assert (clock.utcnow() - now.observed_at).total_seconds() == pytest.approx(now.age)


async def test_a_slow_consumer_gets_the_age_of_its_own_moment() -> None:
    clock = ManualClock()
    async with watching([peers("mysql", 3), failure()], clock) as disco:
        watch = disco.watch()
        await clock.advance(0.5)
        assert (await anext(watch)).snapshot.age == 0.5
        await clock.advance(600)
        change = await anext(watch)
        assert (change.degraded, change.snapshot.age) == (True, 600.5)
        assert disco.snapshot.age == 600.5


# Unknown is not complete, and not empty.


def test_a_snapshot_of_nothing_is_not_known() -> None:
    unknown = peerdisco.Snapshot(SERVICE)
    assert (unknown.known, unknown.complete) == (False, False)
    assert unknown.incomplete_reason == "no lookup has been answered yet"
    with pytest.raises(peerdisco.IncompleteAnswer, match="no lookup has been answered yet"):
        unknown.require_complete()


def test_an_empty_answer_is_known() -> None:
    empty = peerdisco.Snapshot(SERVICE, observed_at=NOW)
    assert (empty.known, empty.complete, empty.incomplete_reason) == (True, True, None)
    assert empty.require_complete() is empty


def test_a_snapshot_that_a_test_makes_needs_no_date() -> None:
    made = peerdisco.Snapshot(SERVICE, peers("mysql", 3).peers)
    assert (made.known, made.complete) == (True, True)


def test_what_becomes_known_is_incomplete_no_longer() -> None:
    unknown = peerdisco.Snapshot(SERVICE)
    assert replace(unknown, observed_at=NOW).complete
    assert replace(unknown, peers=peers("mysql", 1).peers).complete
    short = replace(unknown, peers=peers("mysql", 1).peers, incomplete_reason="truncated")
    assert short.incomplete_reason == "truncated"


@pytest.mark.parametrize("failed", [False, True], ids=["before the first", "after a failed one"])
async def test_before_the_first_answer_nothing_is_complete(failed: bool) -> None:
    clock = ManualClock()
    async with watching([failure()], clock) as disco:
        if failed:
            await clock.advance(5)
        snapshot = disco.snapshot
        # Where tasks start eagerly, the first lookup has failed by now.
        assert snapshot.stale is (disco.lookups > 0)
        assert disco.lookups or not failed
        assert (snapshot.known, snapshot.complete, len(snapshot)) == (False, False, 0)
        assert snapshot.incomplete_reason
        with pytest.raises(peerdisco.IncompleteAnswer) as caught:
            snapshot.require_complete()
        assert caught.value.__cause__ is snapshot.last_error
        assert snapshot.as_dict()["known"] is False
        assert snapshot.as_dict()["complete"] is False


async def test_watch_prints_that_nothing_is_known() -> None:
    clock = ManualClock()
    async with watching([failure(), nxdomain(), peers("mysql", 1)], clock) as disco:
        watch = disco.watch()
        await clock.advance(0.5)
        unknown = await anext(watch)
        await clock.advance(1.5)
        empty = await anext(watch)
        await clock.advance(3)
        there = await anext(watch)
    lines = [json.loads(json.dumps(c.as_dict(NOW))) for c in (unknown, empty, there)]
    assert [(line["known"], line["complete"], line["peers"]) for line in lines] == [
        (False, False, []),
        (True, True, []),
        (True, True, ["mysql-0"]),
    ]
    assert lines[0]["incomplete_reason"] == "no lookup has been answered yet"
    text = change_lines.change_text(unknown, NOW)
    assert "peers unknown" in text
    assert "may be incomplete" not in text


async def test_a_condition_is_never_asked_about_what_is_not_known() -> None:
    asked: list[peerdisco.Snapshot] = []
    clock = ManualClock()

    def condition(snapshot: peerdisco.Snapshot) -> bool:
        asked.append(snapshot)
        return True

    async with watching([failure(), nxdomain()], clock) as disco:
        waiting = asyncio.create_task(disco.wait(condition))
        await clock.advance(0.5)
        assert not waiting.done()
        await clock.advance(3)
        assert (await waiting).known
    assert all(snapshot.known for snapshot in asked)


async def test_a_hook_gets_the_age_of_the_moment_it_is_run() -> None:
    clock = ManualClock()
    changes: list[peerdisco.Change] = []

    def hook(change: peerdisco.Change) -> None:
        changes.append(change)
        if len(changes) == 1:
            raise ValueError("once more")

    async def wait_for_a_minute(seconds: float) -> None:
        await clock.wait(asyncio.Event(), 60)

    async with watching([peers("mysql", 3), failure()], clock) as disco:
        runner = HookRunner(disco, on_change=hook, sleep=wait_for_a_minute)
        running = asyncio.create_task(runner.run())
        await clock.advance(100)
        running.cancel()
    assert [round(change.snapshot.age) for change in changes] == [0, 60]
    assert [change.snapshot.stale for change in changes] == [False, True]
    assert [len(change.joined) for change in changes] == [3, 3]

"""Listed peers that may have left: in the snapshot, the table, the JSON, and reported once."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import peerdisco
from peerdisco.cli import change_lines, output
from peerdisco.hooks import CommandHook, HookRunner
from peerdisco.model import Answered, Observation
from peerdisco.testing import ManualClock, ScriptedSource, failure, peers

NOW = datetime(2025, 1, 1, tzinfo=UTC)
REASON = "truncated: the server does not answer over TCP"


def truncated(ordinals: Any) -> Answered:
    """An answer over UDP alone, which holds some of the pods."""
    return peers("mysql", ordinals, incomplete_reason=REASON)


def watching(script: list[Any], clock: ManualClock) -> tuple[peerdisco.Discovery, ScriptedSource]:
    source = ScriptedSource("my-database", script)
    return peerdisco.Discovery(source=source, clock=clock, chance=lambda: 0.5), source


def names(found: Any) -> list[str]:
    return [peer.name for peer in found]


GHOSTS = ["mysql-16", "mysql-17", "mysql-18", "mysql-19"]


async def test_departed_pods_are_shown_where_answers_are_always_incomplete() -> None:
    clock = ManualClock()
    disco, _ = watching([truncated(20)] * 5 + [truncated(16)], clock)
    async with disco:
        watch = disco.watch()
        await clock.advance(1)
        first = await anext(watch)
        assert (bool(first), first.incomplete, first.completed) == (True, True, False)
        assert first.snapshot.unconfirmed == ()
        following = asyncio.ensure_future(anext(watch))
        await clock.advance(7200)
        change = await following
        assert names(change.snapshot.unconfirmed) == GHOSTS
        assert (change.joined, change.left, change.replaced, change.incomplete) == (
            (),
            (),
            (),
            False,
        )
        snapshot = disco.snapshot
        assert len(snapshot) == 20, "an incomplete answer never shows a departure"
        assert names(snapshot.unconfirmed) == GHOSTS
        assert snapshot.as_dict()["unconfirmed"] == GHOSTS


async def test_a_complete_answer_confirms_the_departures() -> None:
    clock = ManualClock()
    disco, source = watching([truncated(20)] * 3 + [truncated(16)], clock)
    async with disco:
        watch = disco.watch()
        await clock.advance(60)
        assert names((await anext(watch)).snapshot.unconfirmed) == GHOSTS
        source.then(peers("mysql", 16))
        await clock.advance(2.5)
        change = await anext(watch)
        assert (change.completed, change.incomplete, bool(change)) == (True, False, True)
        assert names(change.snapshot.unconfirmed) == GHOSTS, "a complete answer does not list them"
        await clock.advance(60)
        assert names((await anext(watch)).left) == GHOSTS
        assert disco.snapshot.unconfirmed == ()


async def test_a_peer_that_is_listed_again_is_confirmed_and_that_is_reported() -> None:
    clock = ManualClock()
    disco, source = watching([truncated(20)] * 3 + [truncated(16)], clock)
    async with disco:
        watch = disco.watch()
        await clock.advance(60)
        assert names((await anext(watch)).snapshot.unconfirmed) == GHOSTS
        source.then(truncated([0, 16, 17, 18]))
        await clock.advance(2.5)
        assert names(disco.snapshot.unconfirmed) == ["mysql-19"]
        source.then(truncated(20))
        await clock.advance(2.5)
        assert (await anext(watch)).snapshot.unconfirmed == ()


async def test_answers_that_hold_another_part_each_time_make_nobody_suspected() -> None:
    """A records are shuffled before they are truncated."""
    clock = ManualClock()
    parts = [[*range(10)], [*range(10, 20)]]
    disco, _ = watching(
        [truncated(20), *[truncated(part) for _ in range(200) for part in parts]], clock
    )
    async with disco:
        watch = disco.watch()
        await clock.advance(1)
        await anext(watch)
        following = asyncio.ensure_future(anext(watch))
        await clock.advance(600)
        assert disco.snapshot.unconfirmed == ()
        assert not following.done()
        following.cancel()


async def test_time_without_answers_makes_nobody_suspected() -> None:
    clock = ManualClock()
    source = ScriptedSource("my-database", [truncated(20), *[truncated(16)] * 3, failure()])
    async with peerdisco.Discovery(source=source, clock=clock, leave_after=60) as disco:
        await clock.advance(600)
        assert disco.snapshot.stale
        source.then(truncated(16))
        await clock.advance(9, until=lambda: not disco.snapshot.stale)
        assert disco.snapshot.unconfirmed == (), "a few seconds of answers, but for the outage"
        await clock.advance(70)
        assert names(disco.snapshot.unconfirmed) == GHOSTS


async def test_who_is_missing_from_a_complete_answer_is_unconfirmed_at_once() -> None:
    clock = ManualClock()
    disco, source = watching([peers("mysql", 3)], clock)
    async with disco:
        await clock.advance(30)
        source.then(peers("mysql", 2))
        await clock.advance(2.5)
        assert names(disco.snapshot) == ["mysql-0", "mysql-1", "mysql-2"]
        assert names(disco.snapshot.unconfirmed) == ["mysql-2"]
        source.then(peers("mysql", 3))
        await clock.advance(1.5)
        assert disco.snapshot.unconfirmed == ()


async def test_an_address_that_is_not_certain_is_unconfirmed() -> None:
    clock = ManualClock()
    disco, source = watching([peers("mysql", 3)], clock)
    async with disco:
        await clock.advance(30)
        source.then(peers("mysql", 3, addresses={1: "10.9.0.1"}))
        await clock.advance(2.5)
        assert disco.snapshot.unconfirmed == ()
        source.then(peers("mysql", 3))
        await clock.advance(2.5)
        assert names(disco.snapshot.unconfirmed) == ["mysql-1"], "the old address again"
        assert str(disco.snapshot.peers[1].address) == "10.9.0.1"


async def test_completeness_that_changes_is_reported_each_time() -> None:
    clock = ManualClock()
    script: list[Observation] = [peers("mysql", 3), truncated(3), truncated(3), peers("mysql", 3)]
    disco, _ = watching(script, clock)
    async with disco:
        watch, seen = disco.watch(), []
        for seconds in (1, 2.1, 2.1, 2.1):
            await clock.advance(seconds)
            while not seen or seen[-1].snapshot.complete != disco.snapshot.complete:
                seen.append(await anext(watch))
    assert [(change.incomplete, change.completed) for change in seen] == [
        (False, False),
        (True, False),
        (False, True),
    ]


def test_what_is_not_known_is_neither() -> None:
    unknown = peerdisco.Snapshot("db.ns")
    known = peerdisco.Snapshot("db.ns", peers("mysql", 3).peers)
    short = peerdisco.Snapshot("db.ns", truncated(3).peers, incomplete_reason=REASON)
    flags = {
        (before, after): (change.incomplete, change.completed)
        for before, one in {"unknown": unknown, "known": known, "short": short}.items()
        for after, other in {"unknown": unknown, "known": known, "short": short}.items()
        for change in [peerdisco.Change.between(one, other)]
    }
    assert {pair for pair, change in flags.items() if change == (True, False)} == {
        ("unknown", "short"),
        ("known", "short"),
    }
    assert {pair for pair, change in flags.items() if change == (False, True)} == {
        ("short", "known")
    }


# For people and programs.


async def suspicion() -> peerdisco.Change:
    """The change that reports the first unconfirmed peers."""
    clock = ManualClock()
    disco, _ = watching([truncated(4)] * 3 + [truncated(2)], clock)
    async with disco:
        watch = disco.watch()
        await clock.advance(60)
        return await anext(watch)


async def test_watch_prints_them() -> None:
    change = await suspicion()
    line = json.loads(json.dumps(change.as_dict(NOW)))
    assert line["unconfirmed"] == ["mysql-2", "mysql-3"]
    assert (line["incomplete"], line["completed"], line["complete"]) == (True, False, False)
    text = change_lines.change_text(change, NOW)
    assert f"the list may be incomplete: {REASON}" in text
    assert "departures cannot be confirmed; not listed lately: mysql-2 mysql-3" in text


async def test_the_table_marks_them() -> None:
    snapshot = (await suspicion()).snapshot
    roles = [output.peer_row(peer, snapshot, snapshot.primary)[-1] for peer in snapshot]
    assert roles == ["primary", "-", "unconfirmed", "unconfirmed"]


async def test_a_hook_receives_them_in_json(tmp_path: Any) -> None:
    path = tmp_path / "change.json"
    change = await suspicion()
    await CommandHook(["sh", "-c", f"cat > {path}"], stdin="json")(change)
    assert json.loads(path.read_text())["unconfirmed"] == ["mysql-2", "mysql-3"]


async def test_a_runner_says_once_that_departures_cannot_be_observed() -> None:
    clock = ManualClock()
    change: list[str] = []
    disco, source = watching([peers("mysql", 4), *[truncated(4)] * 3, truncated(2)], clock)
    async with disco:
        runner = HookRunner(disco, on_change=lambda change: None, report=change.append)
        running = asyncio.create_task(runner.run())
        await clock.advance(3600)
        assert change == [
            f"the list is incomplete, so departures cannot be confirmed: {REASON}",
            "not listed lately, but kept as peers: mysql-2, mysql-3",
        ]
        source.then(peers("mysql", 4))
        await clock.advance(5)
        assert change[2:] == ["the list is complete again"]
        running.cancel()

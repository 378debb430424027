"""When hooks are run: a scripted source, a clock that the test moves, and functions as hooks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from peerdisco import Change, ConfigurationError, Discovery, Identity, IdentityError
from peerdisco.hooks import CommandHook, Hook, HookFailed, HookRunner
from peerdisco.model import Observation
from peerdisco.testing import ManualClock, ScriptedSource, failure, nxdomain, peers

from .fifo import Fifo, Life

POLL = 2.5
"""Longer than an interval with its jitter, and shorter than two."""
LEAVE = 60.0
"""Longer than it takes until an absence is believed."""
ME = Identity("mysql-1", "default", 1, "mysql")


@dataclass
class World:
    """The results of lookups, and the messages of the runner."""

    now: Observation
    clock: ManualClock = field(default_factory=ManualClock)
    reported: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.source = ScriptedSource("my-database", [lambda: self.now])
        self.task: asyncio.Task[None]
        self.disco: Discovery
        self.lines: asyncio.Queue[str] = asyncio.Queue()

    def report(self, line: str) -> None:
        self.reported.append(line)
        self.lines.put_nowait(line)

    async def sleep(self, seconds: float) -> None:
        await self.clock.wait(asyncio.Event(), seconds)

    async def sees(self, observation: Observation, seconds: float = POLL) -> None:
        self.now = observation
        await self.clock.advance(seconds)

    @asynccontextmanager
    async def running(
        self, *, identity: Identity | None = ME, **options: Any
    ) -> AsyncIterator[World]:
        self.disco = Discovery(
            source=self.source, clock=self.clock, identity=identity, chance=lambda: 0.5
        )
        async with self.disco:
            runner = HookRunner(
                self.disco,
                report=self.report,
                sleep=self.sleep,
                **{"chance": lambda: 0.5, **options},
            )
            self.task = asyncio.create_task(runner.run())
            try:
                await self.clock.advance(0)
                yield self
            finally:
                self.task.cancel()
                await asyncio.gather(self.task, return_exceptions=True)


class Log:
    """A hook that records its changes, and fails a given number of times."""

    def __init__(self, failures: int = 0) -> None:
        self.changes: list[Change] = []
        self.failures = failures

    def __call__(self, change: Change) -> None:
        self.changes.append(change)
        if self.failures:
            self.failures -= 1
            raise OSError("no connection\nto the database")

    @property
    def words(self) -> list[str]:
        return [in_words(change) for change in self.changes]


class Slow(Log):
    """A hook that takes until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()
        self.cancelled = False

    async def __call__(self, change: Change) -> None:  # type: ignore[override]
        super().__call__(change)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


def in_words(change: Change) -> str:
    signs = [f"+{peer.name[6:]}" for peer in change.joined]
    signs += [f"-{peer.name[6:]}" for peer in change.left]
    signs += [f"~{new.name[6:]}" for _, new in change.replaced]
    signs += ["degraded"] * change.degraded + ["recovered"] * change.recovered
    return f"{' '.join(signs)} of {len(change.snapshot)}"


def mysql(*ordinals: int, **options: Any) -> Observation:
    return peers("mysql", ordinals, **options)


# When.


async def test_on_start_waits_until_this_pod_is_listed_and_says_so() -> None:
    start, changed = Log(), Log()
    world = World(mysql(0))
    async with world.running(on_start=start, on_change=changed):
        [line] = world.reported
        assert line.startswith("the on-start hook waits: my-database.default.svc.cluster.local ")
        assert "lists mysql-0 and not mysql-1" in line
        assert "publishNotReadyAddresses" in line
        await world.sees(mysql(0, 2), 29)
        assert len(world.reported) == 1
        await world.clock.advance(2)
        assert len(world.reported) == 2
        assert "lists mysql-0, mysql-2 and not mysql-1" in world.reported[1]
        assert start.changes == []
        await world.sees(mysql(0, 1, 2))
        assert (start.words, changed.words) == (["+0 +1 +2 of 3"], [])
        await world.sees(mysql(0, 1, 2, 3))
        await world.clock.advance(60)
        assert (len(start.changes), changed.words) == (1, ["+3 of 4"])
        assert len(world.reported) == 2


async def test_on_change_alone_waits_for_nobody_in_particular() -> None:
    changed = Log()
    async with World(mysql(0)).running(on_change=changed, identity=None) as world:
        assert changed.words == ["+0 of 1"]
        await world.sees(mysql(0, 5))
        await world.sees(mysql(0, 5, addresses={5: "10.9.9.9"}))
        await world.sees(mysql(5, addresses={5: "10.9.9.9"}), LEAVE)
        assert changed.words[1:] == ["+5 of 2", "~5 of 2", "-0 of 1"]
        assert world.reported == []


async def test_listed_only_holds_on_change_back_too() -> None:
    changed = Log()
    async with World(mysql(0)).running(on_change=changed, listed_only=True) as world:
        assert "the on-change hook waits" in world.reported[0]
        await world.sees(mysql(0, 1))
        assert changed.words == ["+0 +1 of 2"]
        await world.sees(mysql(0), LEAVE)
        await world.sees(mysql(0, 2))
        assert len(changed.changes) == 1
        assert "lists mysql-0 and not mysql-1" in world.reported[1]
        await world.sees(mysql(0, 2, 1))
        assert changed.words[1:] == ["+2 of 3"], "changes of this pod itself are no difference"


async def test_on_start_alone_ends_when_it_has_succeeded() -> None:
    start = Log()
    async with World(mysql(1)).running(on_start=start) as world:
        await world.task
        assert start.words == ["+1 of 1"]


async def test_on_start_alone_raises_its_last_failure() -> None:
    start = Log(failures=9)
    async with World(mysql(1)).running(on_start=start, attempts=2) as world:
        await world.clock.advance(10)
        with pytest.raises(OSError, match="no connection"):
            await world.task
        assert len(start.changes) == 2


async def test_nothing_is_run_before_there_is_an_answer() -> None:
    changed = Log()
    async with World(failure()).running(on_change=changed, on_health=True) as world:
        assert "no lookup has succeeded yet" in world.reported[0]
        assert "SERVFAIL" in world.reported[0]
        await world.sees(failure(), 100)
        assert len(world.reported) == 4, "every 30 seconds"
        await world.sees(nxdomain(), 30)
        assert changed.changes == []
        await world.sees(mysql(0))
        assert changed.words[0].startswith("+0")


async def test_an_empty_service_is_reported_only_if_it_had_peers() -> None:
    changed = Log()
    async with World(nxdomain()).running(on_change=changed) as world:
        await world.sees(nxdomain(), 10)
        assert changed.changes == []
        assert "has no peers" in world.reported[0]
        await world.sees(mysql(0))
        await world.sees(nxdomain(), 2 * LEAVE)
        assert changed.words == ["+0 of 1", "-0 of 0"]


async def test_an_outage_runs_nothing_unless_it_is_asked_for() -> None:
    for on_health, expected in ((False, []), (True, ["degraded of 1", "recovered of 1"])):
        changed = Log()
        async with World(mysql(0)).running(on_change=changed, on_health=on_health) as world:
            await world.sees(failure(), 20)
            await world.sees(mysql(0), 20)
            assert changed.words[1:] == [f" {words}"[1:] for words in expected]
            assert ["SERVFAIL" in line for line in world.reported] == [True, False]
            assert world.reported[1] == "DNS lookups succeed again"


async def test_an_incomplete_list_is_reported_again_when_it_is_complete() -> None:
    changed = Log()
    short = mysql(0, 1, incomplete_reason="the answer was truncated")
    async with World(short).running(on_change=changed) as world:
        await world.sees(mysql(0, 1))
        await world.sees(short)
        await world.sees(mysql(0, 1))
        assert [change.snapshot.complete for change in changed.changes] == [False, True]


async def test_a_pod_that_is_leaving_does_not_hear_of_itself() -> None:
    changed = Log()
    async with World(mysql(0, 1, 2)).running(on_change=changed) as world:
        world.disco.leaving()
        await world.sees(mysql(0, 2), LEAVE)
        await world.sees(mysql(0, 1, 2, addresses={1: "10.9.9.9"}))
        assert len(changed.changes) == 1
        await world.sees(mysql(0, 2, 3), LEAVE)
        assert changed.words[1:] == ["+3 of 4"]


# The newest state wins.


async def test_changes_during_a_run_are_one_change() -> None:
    slow = Slow()
    async with World(mysql(0)).running(on_change=slow) as world:
        await world.sees(mysql(0, 1))
        await world.sees(mysql(0, 1, 2, addresses={0: "10.9.9.9"}))
        await world.sees(mysql(0, 1, 2, 3, addresses={0: "10.9.9.9"}))
        assert slow.words == ["+0 of 1"]
        slow.go.set()
        await world.clock.advance(0)
        assert slow.words[1:] == ["+1 +2 +3 ~0 of 4"]


async def test_who_came_and_went_during_a_run_is_no_change() -> None:
    slow = Slow()
    async with World(mysql(0)).running(on_change=slow) as world:
        await world.sees(mysql(0, 1))
        await world.sees(mysql(0), LEAVE)
        slow.go.set()
        await world.clock.advance(LEAVE)
        assert slow.words == ["+0 of 1"]


async def test_a_command_that_is_slow_gets_one_change(
    fifo: Callable[[str], Fifo], tmp_path: Path
) -> None:
    say, go = fifo("say"), fifo("go")
    script = 'echo "$PEERDISCO_EVENT $PEERDISCO_JOINED" > "$1"; read word < "$2"'
    hook = CommandHook(["sh", "-c", script, "sh", str(say), str(go)])
    async with World(mysql(0)).running(on_change=hook) as world:
        assert await say.line() == "start mysql-0"
        for count in (2, 3, 4):
            await world.sees(mysql(*range(count)))
        go.say()
        assert await say.line() == "change mysql-1 mysql-2 mysql-3"


# Failures.


async def test_a_failure_is_tried_again_later_and_later() -> None:
    changed, times, chances = Log(failures=3), [], iter([0.0, 0.5, 0.99])
    options: dict[str, Any] = {"backoff": 1.0, "chance": lambda: next(chances)}
    async with World(mysql(0)).running(on_change=changed, **options) as world:
        for runs in (2, 3, 4):
            await world.clock.advance(
                30,
                until=lambda: len(changed.changes) >= runs,  # noqa: B023 - called at once
            )
            times.append(world.clock.now())
        assert times == pytest.approx([1.0, 1.0 + 1.5, 1.0 + 1.5 + 2.02])
        assert changed.words == ["+0 of 1"] * 4
        assert [line.partition(": ")[0] for line in world.reported] == [
            f"the on-change hook failed ({n} of 5)" for n in (1, 2, 3)
        ]
        assert "OSError: no connection to the database; retrying in 1.0 s" in world.reported[0]
        await world.sees(mysql(0, 1))
        assert changed.words[-1] == "+1 of 2"


async def test_the_pauses_are_bounded() -> None:
    changed = Log(failures=6)
    options: dict[str, Any] = {
        "attempts": 7,
        "backoff": 10.0,
        "max_backoff": 15.0,
        "chance": lambda: 0.0,
    }
    async with World(mysql(0)).running(on_change=changed, **options) as world:
        await world.clock.advance(500, until=lambda: len(changed.changes) == 7)
        assert world.clock.now() == 10 + 5 * 15


async def test_a_hook_that_is_given_up_is_run_with_the_next_change() -> None:
    changed = Log(failures=5)
    async with World(mysql(0)).running(on_change=changed) as world:
        await world.sees(mysql(0), 1000)
        assert len(changed.changes) == 5
        assert "(5 of 5): OSError" in world.reported[-1]
        assert "waiting for the next change" in world.reported[-1]
        await world.sees(mysql(0, 1))
        assert changed.words[5:] == ["+0 +1 of 2"], "the changes that it missed are not lost"
        await world.clock.advance(1000)
        assert len(changed.changes) == 6
        assert not world.task.done()


async def test_a_hook_that_is_given_up_is_run_when_lookups_succeed_again() -> None:
    """It may have failed for the same reason as the lookups."""
    changed = Log(failures=5)
    async with World(mysql(0)).running(on_change=changed) as world:
        await world.sees(failure(), 1000)
        assert len(changed.changes) == 5
        await world.sees(mysql(0), 20)
        assert changed.words[5:] == ["+0 of 1"]
        await world.sees(failure(), 100)
        await world.sees(mysql(0), 100)
        assert len(changed.changes) == 6


async def test_a_change_cuts_the_pause_short() -> None:
    changed = Log(failures=1)
    async with World(mysql(0)).running(on_change=changed, backoff=500.0, max_backoff=900) as world:
        await world.sees(mysql(0, 1))
        assert changed.words == ["+0 of 1", "+0 +1 of 2"]


async def test_a_change_that_is_undone_is_reported_after_a_failure() -> None:
    changed = Log()
    async with World(mysql(0)).running(on_change=changed, backoff=500.0, max_backoff=900) as world:
        changed.failures = 1
        await world.sees(mysql(0, 1))
        await world.sees(mysql(0), LEAVE)
        # Nobody knows what the run that failed did with the peer that has gone.
        assert changed.words == ["+0 of 1", "+1 of 2", " of 1"]


async def test_an_outage_cuts_no_pause_short() -> None:
    changed = Log(failures=1)
    async with World(mysql(0)).running(on_change=changed, backoff=500.0, max_backoff=900) as world:
        await world.sees(failure(), 20)
        await world.sees(mysql(0), 20)
        assert len(changed.changes) == 1
        await world.clock.advance(1000)
        assert len(changed.changes) == 2


async def test_on_start_that_fails_is_not_followed_by_on_change() -> None:
    start, changed = Log(failures=5), Log()
    async with World(mysql(1)).running(on_start=start, on_change=changed) as world:
        await world.sees(mysql(1), 1000)
        await world.sees(mysql(1, 2))
        await world.sees(mysql(1, 2, 3))
        assert start.words[5:] == ["+1 +2 of 2"]
        assert changed.words == ["+3 of 3"]


async def test_a_command_that_fails_or_takes_too_long_ends_nothing(
    fifo: Callable[[str], Fifo],
) -> None:
    say = fifo("say")
    script = """
        case "$PEERDISCO_PEERS" in
            mysql-0) exit 3;;
            "mysql-0 mysql-1") exec sleep 1000;;
        esac
        echo "$PEERDISCO_EVENT $PEERDISCO_JOINED" > "$1"
    """
    hook = CommandHook(["sh", "-c", script, "sh", str(say)], timeout=1.0)
    async with World(mysql(0)).running(on_change=hook, attempts=1) as world:
        assert "exited with status 3; waiting for" in await world.lines.get()
        await world.sees(mysql(0, 1))
        assert "exceeded its time limit of 1 s and was ended" in await world.lines.get()
        await world.sees(mysql(0, 1, 2))
        assert await say.line() == "start mysql-0 mysql-1 mysql-2"


async def test_cancelled_in_a_pause_it_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    async with World(mysql(0)).running(on_change=Log(failures=9)) as world:
        assert len(world.reported) == 1
    assert asyncio.all_tasks() == before


async def test_cancelled_in_a_run_it_ends_the_hook(fifo: Callable[[str], Fifo], life: Life) -> None:
    slow = Slow()
    async with World(mysql(0)).running(on_change=slow):
        assert slow.changes
    assert slow.cancelled
    say = fifo("say")
    script = 'exec 9> "$1"; echo begun > "$2"; exec sleep 1000'
    hook = CommandHook(["sh", "-c", script, "sh", str(life), str(say)])
    async with World(mysql(0)).running(on_change=hook):
        await say.line()
    await life.ended()


# The end, and wrong calls.


async def test_it_ends_with_the_watcher() -> None:
    async with World(mysql(0)).running(on_change=Log()) as world:
        await world.disco.aclose()
        await world.task
    async with World(mysql(0)).running(on_change=Log(failures=9)) as world:
        assert len(world.reported) == 1
        await world.disco.aclose()
        await world.task


@pytest.mark.parametrize("failures", [0, 9])
async def test_it_fails_with_the_watcher(failures: int) -> None:
    def broken() -> Observation:
        raise AssertionError("a source that breaks its contract")

    changed = Log(failures)
    world = World(mysql(0))
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(
            world.running(on_change=changed, backoff=99, max_backoff=99)
        )
        world.source.then(broken)
        await world.clock.advance(POLL)
        with pytest.raises(RuntimeError, match="the watcher has failed"):
            await world.task
        with pytest.raises(RuntimeError, match="the watcher has failed"):
            await stack.aclose()
    assert len(changed.changes) == 1


async def test_without_a_tell_it_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "peerdisco.hooks")
    async with Discovery(source=ScriptedSource("my-database", [mysql(0)])) as disco:
        succeeded = asyncio.Event()

        async def hook(change: Change) -> None:
            if caplog.records:
                succeeded.set()
            else:
                raise ValueError("once")

        runner = HookRunner(disco, on_change=hook, backoff=0.01)
        running = asyncio.create_task(runner.run())
        await succeeded.wait()
        running.cancel()
    [record] = caplog.records
    assert (record.name, record.levelname) == ("peerdisco.hooks", "WARNING")
    assert "ValueError: once" in record.message


async def test_runs_are_reported_if_the_caller_wants_it() -> None:
    async with World(mysql(0, 1)).running(on_start=Log(), report_runs=True) as world:
        assert world.reported == ["the on-start hook runs: 2 peers"]


def returning(value: object) -> Callable[[Change], Awaitable[object] | object]:
    return lambda change: value


@pytest.mark.parametrize("hook", [returning(None), returning(3), CommandHook(["true"])])
async def test_kinds_of_hooks(hook: Hook) -> None:
    async with Discovery(source=ScriptedSource("my-database", [mysql(1)]), identity=ME) as disco:
        await HookRunner(disco, on_start=hook).run()


async def test_a_command_alone_raises_what_it_did() -> None:
    async with Discovery(source=ScriptedSource("my-database", [mysql(1)]), identity=ME) as disco:
        with pytest.raises(HookFailed, match="false exited with status 1"):
            await HookRunner(disco, on_start=CommandHook(["false"]), attempts=1).run()


@pytest.mark.parametrize("failing", ["on_start", "on_change"])
async def test_a_failure_ends_it_where_that_is_asked_for(failing: str) -> None:
    hooks = {"on_start": Log(), "on_change": Log()}
    hooks[failing].failures = 9
    options = {**hooks, "attempts": 2, "backoff": 0.1, "end_on_failure": True}
    async with World(mysql(0, 1)).running(**options) as world:
        await world.sees(mysql(0, 1, 2))
        await world.clock.advance(1)
        with pytest.raises(OSError, match="no connection"):
            await world.task
    assert len(hooks[failing].changes) == 2


@pytest.mark.parametrize("service", ["db.other.svc.cluster.local", "db.other.svc"])
async def test_a_pod_is_never_listed_in_another_namespace(service: str) -> None:
    hook = Log()
    source = ScriptedSource(service, [mysql(1)])
    async with Discovery(source=source, identity=ME) as disco:
        for options in ({"on_start": hook}, {"on_change": hook, "listed_only": True}):
            with pytest.raises(ConfigurationError, match="got 'other', expected 'default'"):
                await HookRunner(disco, **options).run()
    assert hook.changes == []


async def test_wrong_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POD_NAME", raising=False)
    hook = Log()
    disco = Discovery(source=ScriptedSource("my-database", [mysql(0)]))
    with pytest.raises(ConfigurationError, match="on_change"):
        HookRunner(disco)
    for option in ("attempts", "backoff", "max_backoff"):
        with pytest.raises(ConfigurationError, match=option):
            HookRunner(disco, on_change=hook, **{option: 0})  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="not running"):
        await HookRunner(disco, on_change=hook).run()
    for options in ({"on_start": hook}, {"on_change": hook, "listed_only": True}):
        with pytest.raises(IdentityError, match="POD_NAME"):
            await HookRunner(disco, **options).run()
    async with Discovery(source=ScriptedSource("my-database", [mysql(1)]), identity=ME) as disco:
        runner = HookRunner(disco, on_start=hook)
        await runner.run()
        with pytest.raises(RuntimeError, match="only once"):
            await runner.run()

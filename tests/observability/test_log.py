"""The log of a watcher: quiet, complete, with facts, and each event once."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

import peerdisco
from peerdisco.model import Answered, Change, Outcome
from peerdisco.testing import ManualClock, ScriptedSource, failure, nxdomain, peers

LOGGER = "peerdisco.discovery"
SERVICE = "my-database.default.svc.cluster.local"


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        f"{record.levelname} {record.getMessage().removeprefix(f'{SERVICE}: ')}"
        for record in caplog.records
        if record.name == LOGGER
    ]


def watcher(clock: ManualClock, *script: Any, **options: Any) -> peerdisco.Discovery:
    source = ScriptedSource("my-database", script)
    return peerdisco.Discovery(
        source=source, clock=clock, chance=lambda: 0.5, leave_after=3, **options
    )


async def test_an_outage_is_one_warning_however_long(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    script = [peers("mysql", 2), *[failure()] * 500, peers("mysql", 2)]
    async with watcher(clock, *script):
        await clock.advance(2 * 3600)
    (line,) = lines(caplog)
    assert line.startswith("WARNING lookups fail, keeping the last known peers: ")
    assert "SERVFAIL" in line
    record = caplog.records[0]
    assert record.service == SERVICE  # type: ignore[attr-defined]
    assert record.event == "degraded"  # type: ignore[attr-defined]
    assert record.outcome == "servfail"  # type: ignore[attr-defined]
    assert record.server == "127.0.0.1:53"  # type: ignore[attr-defined]
    assert record.error_type == "ResolverUnavailable"  # type: ignore[attr-defined]
    assert record.peers == 2  # type: ignore[attr-defined]


async def test_changes_and_recovery_are_info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    clock = ManualClock()
    moved = peers("mysql", 3, addresses={1: "10.244.0.9"})
    script = [peers("mysql", 2), failure(), peers("mysql", 3), moved, *[peers("mysql", 2)] * 9]
    async with watcher(clock, *script):
        await clock.advance(60)
    assert [line.partition(": my-")[0] for line in lines(caplog)] == [
        "INFO joined: mysql-0, mysql-1; now 2 peers",
        "WARNING lookups fail, keeping the last known peers",
        "INFO lookups succeed again",
        "INFO joined: mysql-2; now 3 peers",
        "INFO replaced: mysql-1; now 3 peers",
        "INFO left: mysql-2; now 2 peers",
        "INFO replaced: mysql-1; now 2 peers",
    ]
    joined = next(record for record in caplog.records if getattr(record, "joined", None))
    assert joined.joined == ["mysql-0", "mysql-1"]  # type: ignore[attr-defined]


async def test_each_lookup_is_debug_with_outcome_server_and_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    clock = ManualClock()
    async with watcher(clock, failure(Outcome.REFUSED), nxdomain(), peers("mysql", 1)) as disco:
        await clock.advance(10, until=lambda: disco.lookups == 3)
    found = [record for record in caplog.records if getattr(record, "event", "") == "lookup"]
    assert [record.outcome for record in found] == ["refused", "nxdomain", "answer"]  # type: ignore[attr-defined]
    assert found[0].server == "127.0.0.1:53"  # type: ignore[attr-defined]
    assert all(isinstance(record.seconds, float) for record in found)  # type: ignore[attr-defined]
    assert {record.levelname for record in found} == {"DEBUG"}


async def test_several_watchers_of_a_service_log_each_event_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    clock = ManualClock()
    script = [peers("mysql", 2), failure(), peers("mysql", 3), *[peers("mysql", 2)] * 9]
    async with watcher(clock, *script), watcher(clock, *script), watcher(clock, *script):
        await clock.advance(60)
    assert sorted(line.partition(":")[0] for line in lines(caplog)) == [
        "INFO joined",
        "INFO joined",
        "INFO left",
        "INFO lookups succeed again",
        "WARNING lookups fail, keeping the last known peers",
    ]


async def test_a_watcher_that_is_closed_in_an_outage_hides_no_later_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = ManualClock()
    async with watcher(clock, peers("mysql", 1), *[peers("mysql", 1)] * 9, failure()):
        async with watcher(clock, peers("mysql", 1), failure()):
            await clock.advance(6)
        assert len(lines(caplog)) == 1
        await clock.advance(60)
    assert len(lines(caplog)) == 2


async def test_a_watcher_logs_the_membership_after_another_one_was_closed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    clock, kept = ManualClock(), []
    for _ in range(2):
        async with watcher(clock, peers("mysql", 2)) as disco:
            kept.append(disco)
            await clock.advance(5)
    assert lines(caplog) == ["INFO joined: mysql-0, mysql-1; now 2 peers"] * 2


async def test_incomplete_answers_are_a_warning_and_their_end_is_info(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    clock = ManualClock()
    partial = peers("mysql", 1, incomplete_reason="cut\nshort")
    async with watcher(clock, peers("mysql", 1), partial, partial, peers("mysql", 1)):
        await clock.advance(30)
    assert lines(caplog)[1:] == [
        "WARNING the list may be incomplete, so departures cannot be confirmed: cut short",
        "INFO the list is complete again",
    ]


async def test_text_from_outside_stays_on_one_line(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    evil = peerdisco.SourceFailed("my-database", "first\nsecond\x1b[31m")
    async with watcher(clock, evil):
        await clock.advance(5)
    (line,) = lines(caplog)
    assert "\n" not in line
    assert "\x1b" not in line


class Recorder(peerdisco.Observer):
    def __init__(self) -> None:
        self.lookups: list[peerdisco.LookupEnded] = []
        self.hooks: list[peerdisco.HookEnded] = []
        self.gone: list[str] = []

    def lookup_ended(self, event: peerdisco.LookupEnded) -> None:
        self.lookups.append(event)

    def hook_ended(self, event: peerdisco.HookEnded) -> None:
        self.hooks.append(event)

    def closed(self, service: str) -> None:
        self.gone.append(service)


async def test_an_observer_gets_every_lookup_and_the_end() -> None:
    clock, recorder = ManualClock(), Recorder()
    script = [failure(Outcome.TIMEOUT), peers("mysql", 2), peers("mysql", 3)]
    async with watcher(clock, *script, observers=[recorder]) as disco:
        await clock.advance(20, until=lambda: disco.lookups == 4)
        assert disco.observers == (recorder,)
    assert [event.outcome for event in recorder.lookups] == ["timeout", *["answer"] * 3]
    assert [bool(event.change) for event in recorder.lookups] == [True, True, True, False]
    assert [len(event.snapshot) for event in recorder.lookups] == [0, 2, 3, 3]
    assert recorder.gone == [SERVICE]


async def test_an_observer_that_fails_is_logged_once_and_changes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(Recorder):
        def lookup_ended(self, event: peerdisco.LookupEnded) -> None:
            raise ValueError("a bug")

    clock, after = ManualClock(), Recorder()
    async with watcher(clock, peers("mysql", 2), observers=[Broken(), after]) as disco:
        await clock.advance(20)
        assert len(disco.snapshot) == 2
    assert len(after.lookups) > 5
    assert [record.message for record in caplog.records if record.exc_info] == [
        next(record.message for record in caplog.records)
    ]
    assert "an observer failed" in caplog.records[0].message


async def test_the_hooks_of_a_watcher_use_its_observers() -> None:
    recorder, runs = Recorder(), 0
    started, failing = asyncio.Event(), asyncio.Event()

    async def hook(_: Change) -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise ValueError("once")
        if runs == 2:
            failing.set()
            return
        started.set()
        await asyncio.Event().wait()

    source = ScriptedSource("my-database", [peers("mysql", 1)])
    async with peerdisco.Discovery(
        source=source, observers=[recorder], interval=0.01, min_interval=0.01
    ) as disco:
        runner = peerdisco.hooks.HookRunner(disco, on_change=hook, backoff=0.01)
        task = asyncio.create_task(runner.run())
        await failing.wait()
        source.then(peers("mysql", 2))
        await started.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert [(event.hook, event.attempt, event.outcome) for event in recorder.hooks] == [
        ("on-change", 1, "failure"),
        ("on-change", 2, "success"),
        ("on-change", 1, "cancelled"),
    ]
    assert isinstance(recorder.hooks[0].error, ValueError)
    assert all(event.service == SERVICE for event in recorder.hooks)


@pytest.mark.parametrize("ttl", [0.0])
async def test_an_answer_that_is_served_stale_is_its_own_outcome(ttl: float) -> None:
    clock, recorder = ManualClock(), Recorder()
    script = [peers("mysql", 2), peers("mysql", 2), *[peers("mysql", 1, ttl=ttl)] * 3]
    async with watcher(clock, *script, observers=[recorder]):
        await clock.advance(20)
    assert "stale" in {event.outcome for event in recorder.lookups}


async def test_the_attempts_of_a_lookup_have_the_size_of_the_reply() -> None:
    recorder = Recorder()
    with peerdisco.testing.ClusterDNS() as dns:
        dns.statefulset("mysql", service="my-database", replicas=40)
        async with peerdisco.Discovery(
            SERVICE, nameservers=[dns.nameserver], observers=[recorder], interval=30
        ) as disco:
            await disco.wait(40, timeout=30)
        server = dns.nameserver
    first = recorder.lookups[0]
    assert isinstance(first.observation, Answered)
    truncated, whole = first.attempts[0], first.attempts[-1]
    assert (truncated.transport, truncated.truncated) == ("udp", True)
    assert (whole.transport, whole.truncated) == ("tcp", False)
    assert 0 < truncated.size <= 1232 < whole.size
    assert first.server == server

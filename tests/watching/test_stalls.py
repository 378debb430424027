"""A process that could not run: an event loop that was blocked, a process that was stopped."""

# ruff: noqa: ASYNC251 - a blocked event loop is what is tested

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

import peerdisco
import peerdisco.sync
from peerdisco.hooks import CommandHook
from peerdisco.model import Failed, Observation
from peerdisco.sources.lookup import lookup
from peerdisco.testing import ClusterDNS, failure, peers
from peerdisco.timing import stalls
from peerdisco.timing.stalls import Stalls, TimeLimit

from ..cli.command import bare_environment

SERVICE = "db.default.svc.cluster.local"
TIMEOUT = 0.25


@pytest.fixture
def dns() -> Iterator[ClusterDNS]:
    """On a thread of its own, so that it answers while the event loop is blocked."""
    with ClusterDNS() as dns:
        dns.statefulset("db", service="db", replicas=3)
        yield dns


def watching(dns: ClusterDNS, **options: float) -> peerdisco.Discovery:
    given = {"timeout": TIMEOUT, "interval": 0.05, "min_interval": 0.02, **options}
    return peerdisco.Discovery(SERVICE, nameservers=[dns.nameserver], **given)  # type: ignore[arg-type]


@asynccontextmanager
async def blocked(every: float, seconds: float) -> AsyncIterator[None]:
    """The event loop, blocked again and again."""

    async def block() -> None:
        while True:
            time.sleep(seconds)
            await asyncio.sleep(every)

    task = asyncio.create_task(block())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def changes(disco: peerdisco.Discovery, into: list[peerdisco.Change]) -> None:
    async for change in disco.watch():
        into.append(change)  # noqa: PERF401 - it is cancelled in between


@pytest.mark.parametrize(("every", "seconds"), [(0.0, 0.3), (0.003, 0.3), (0.2, 0.6), (0.0, 0.13)])
async def test_a_blocked_loop_is_no_outage(dns: ClusterDNS, every: float, seconds: float) -> None:
    seen: list[peerdisco.Change] = []
    async with watching(dns) as disco:
        await disco.wait(3, timeout=10)
        task = asyncio.create_task(changes(disco, seen))
        async with blocked(every, seconds):
            lookups = disco.lookups
            async with asyncio.timeout(30):
                while disco.lookups < lookups + (2 if every else 1):
                    await asyncio.sleep(0)
            assert not disco.snapshot.stale
        task.cancel()
        await asyncio.wait({task})
    assert [change.degraded for change in seen] == [False]


async def test_a_blocked_loop_is_no_outage_for_a_lookup_of_several_exchanges(
    dns: ClusterDNS,
) -> None:
    """Over UDP and then over TCP: the time is up before the second question is sent."""
    dns.statefulset("many", service="many", replicas=40)
    with Stalls(TIMEOUT) as stalls:
        async with blocked(0.0, 0.13):
            found = await peerdisco.discover(
                "many.default.svc.cluster.local", nameservers=[dns.nameserver], timeout=TIMEOUT
            )
        assert stalls.seconds > TIMEOUT
    assert len(found) == 40
    assert found.complete


async def test_the_first_lookup_too(dns: ClusterDNS) -> None:
    async with blocked(0.0, 0.3):
        found = await peerdisco.discover(SERVICE, nameservers=[dns.nameserver], timeout=TIMEOUT)
    assert len(found) == 3


class Stalled:
    """A source during whose lookups the process stands still, each time for longer."""

    service = "db"

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.timeouts: list[float] = []
        self.now = 0.0
        monkeypatch.setattr(stalls, "time", SimpleNamespace(monotonic=lambda: self.now))

    async def observe(self, *, timeout: float) -> Observation:
        self.timeouts.append(timeout)
        self.now += 60
        return failure()

    def refresh(self) -> None:
        """There is nothing to verify."""

    async def aclose(self) -> None:
        """There is nothing to close."""


@pytest.mark.parametrize(("timeout", "longest"), [(0.5, 5.5), (5.0, 10.0), (30.0, 60.0)])
async def test_a_process_that_always_stalls_does_not_wait_longer_each_time(
    monkeypatch: pytest.MonkeyPatch, timeout: float, longest: float
) -> None:
    source = Stalled(monkeypatch)
    assert isinstance(await lookup(source, timeout), Failed)
    assert source.timeouts == [timeout, longest, longest, longest]


async def test_an_outage_is_one_all_the_same(dns: ClusterDNS) -> None:
    """Whoever is blocked all the time learns of it too, only later."""
    async with watching(dns) as disco:
        await disco.wait(3, timeout=10)
        dns.fail("drop")
        async with blocked(0.05, 0.2), asyncio.timeout(50):
            while not disco.snapshot.stale:
                await asyncio.sleep(0.01)


async def test_a_failure_of_a_server_is_evidence_although_the_loop_was_blocked(
    dns: ClusterDNS,
) -> None:
    async with watching(dns) as disco:
        await disco.wait(3, timeout=10)
        dns.fail("servfail")
        async with blocked(0.01, 0.3), asyncio.timeout(30):
            while not disco.snapshot.stale:
                await asyncio.sleep(0)


PROGRAM = """
import asyncio, sys, peerdisco
async def main():
    async with peerdisco.Discovery(sys.argv[1], nameservers=[sys.argv[2]], timeout=0.3,
                                   interval=0.05, min_interval=0.02) as disco:
        await disco.wait(3, timeout=10)
        async for change in disco.watch():
            print(len(change.snapshot), change.degraded, len(change.left), flush=True)
            if len(change.snapshot) == 4:
                break
asyncio.run(main())
"""


def stop(process: subprocess.Popen[str], seconds: float) -> None:
    """Really stopped: the kernel says so."""
    os.kill(process.pid, signal.SIGSTOP)
    stat = Path(f"/proc/{process.pid}/stat")
    while stat.read_text().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.005)
    time.sleep(seconds)
    os.kill(process.pid, signal.SIGCONT)


def test_a_stopped_process_sees_no_outage(dns: ClusterDNS) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, SERVICE, dns.nameserver],
        stdout=subprocess.PIPE,
        text=True,
        env=bare_environment(),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "3 False 0\n"
        for _ in range(8):  # at whatever point of a lookup
            stop(process, 0.5)
            time.sleep(0.013)
        dns.statefulset("more", service="db", replicas=1)
        assert process.stdout.read() == "4 False 0\n"
        assert process.wait(20) == 0


def test_a_wait_that_times_out_while_the_process_is_stopped_makes_another_lookup(
    dns: ClusterDNS,
) -> None:
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "peerdisco", "wait", SERVICE, "--required", "4"),
            *("--nameserver", dns.nameserver, "--timeout", "2", "-v", "-o", "names"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=bare_environment(),
    ) as process:
        assert process.stderr is not None
        process.stderr.readline()  # it watches
        os.kill(process.pid, signal.SIGSTOP)
        dns.statefulset("more", service="db", replicas=1)
        time.sleep(2.5)
        os.kill(process.pid, signal.SIGCONT)
        out, err = process.communicate(timeout=20)
        assert process.returncode == 0, err
        assert out.count("\n") == 4


async def test_the_end_of_a_wait_decides_after_a_block(dns: ClusterDNS) -> None:
    async with watching(dns) as disco:
        await disco.wait(3, timeout=10)
        waiting = asyncio.create_task(disco.wait(4, timeout=0.3))
        await asyncio.sleep(0.01)
        dns.statefulset("more", service="db", replicas=1)
        time.sleep(0.6)
        assert len(await waiting) == 4


async def test_the_end_of_a_wait_still_comes_after_a_block(dns: ClusterDNS) -> None:
    async with watching(dns) as disco:
        await disco.wait(3, timeout=10)
        waiting = asyncio.create_task(disco.wait(4, timeout=0.3))
        await asyncio.sleep(0.01)
        time.sleep(0.6)
        start = time.monotonic()
        with pytest.raises(peerdisco.NotReady):
            await waiting
        assert time.monotonic() - start < TIMEOUT + 1


# Time limits.


async def test_a_limit_counts_the_time_in_which_the_loop_ran() -> None:
    start = time.monotonic()
    reached = False
    with pytest.raises(TimeoutError):  # noqa: PT012 - the limit is what is tested
        async with TimeLimit(0.3):
            await asyncio.sleep(0.01)
            time.sleep(0.6)
            await asyncio.sleep(0.15)
            reached = True
            await asyncio.sleep(60)
    assert reached
    assert 0.85 <= time.monotonic() - start < 5


async def test_no_limit_and_a_limit_that_is_not_reached() -> None:
    for seconds in (None, 60.0):
        async with TimeLimit(seconds):
            await asyncio.sleep(0.01)


async def test_short_stalls_that_follow_each_other_are_measured() -> None:
    """As on uvloop, where timers run between them."""
    with Stalls(TIMEOUT) as stalls:
        for _ in range(4):
            time.sleep(0.13)
            for _ in range(2):  # the timers run in the second round
                await asyncio.sleep(0)
        assert stalls.seconds > TIMEOUT


async def test_a_stall_is_measured_and_ordinary_work_is_none() -> None:
    with Stalls(1.0) as stalls:
        for _ in range(30):
            time.sleep(0.005)
            await asyncio.sleep(0)
        start = time.monotonic()
        time.sleep(0.5)
        assert 0.4 <= stalls.seconds <= time.monotonic() - start + 0.1


async def test_a_hook_is_not_ended_for_time_in_which_nobody_could_see_it() -> None:
    hook = CommandHook(["sleep", "1.3"], timeout=0.6)
    change = peerdisco.Change.between(None, peerdisco.Snapshot(SERVICE, peers("db", 1).peers))
    running = asyncio.create_task(hook(change))
    await asyncio.sleep(0.05)
    time.sleep(1.0)
    await running


async def test_a_probe_is_not_given_up_for_it() -> None:
    async def probe(peer: peerdisco.Peer) -> peerdisco.Probe:
        await asyncio.sleep(0.05)
        return peerdisco.Probe(peer.name, answered=True)

    async with blocked(0.0, 0.6):
        found = await peerdisco.probe_peers(peers("db", 3).peers, probe, timeout=0.4)
    assert [one.answered for one in found] == [True] * 3

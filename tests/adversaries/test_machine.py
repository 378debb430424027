"""Faults of the machine: no descriptors, no interface, clocks that jump, many watchers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import peerdisco
from peerdisco.hooks import CommandHook, HookFailed
from peerdisco.testing import ClusterDNS, ManualClock, ScriptedSource, failure, peers
from tests.contract.test_link_local import NAMESPACE

from .bounds import bounded
from .many_watchers import few_descriptors, watch_many

SERVICE = "db.default.svc.cluster.local"
DAY = 86_400.0


@pytest.fixture
def dns() -> Iterator[ClusterDNS]:
    with ClusterDNS() as server:
        server.statefulset("db", service="db", replicas=3)
        yield server


@asynccontextmanager
async def watching(
    dns: ClusterDNS,
) -> AsyncIterator[tuple[peerdisco.Discovery, list[peerdisco.Change]]]:
    """A watcher that knows its three peers, and the changes that it reports."""
    changes: list[peerdisco.Change] = []

    async def watch() -> None:
        async for change in disco.watch():
            changes.append(change)  # noqa: PERF401 - it is cancelled in between

    async with peerdisco.Discovery(
        SERVICE, nameservers=[dns.nameserver], timeout=0.5, interval=0.05, min_interval=0.02
    ) as disco:
        await disco.wait(3, timeout=20)
        task = asyncio.create_task(watch())
        while not changes:
            await asyncio.sleep(0)
        yield disco, changes
        task.cancel()
        await asyncio.wait({task})


async def until_stale(disco: peerdisco.Discovery, stale: bool) -> None:
    async with asyncio.timeout(20):
        while disco.snapshot.stale is not stale:
            await asyncio.sleep(0.01)


async def test_without_descriptors_lookups_fail_and_nobody_leaves(dns: ClusterDNS) -> None:
    async with watching(dns) as (disco, changes):
        async with bounded(20.4):
            with few_descriptors(0):
                await until_stale(disco, True)
                lookups = disco.lookups
                await asyncio.sleep(0.4)
                lookups = disco.lookups - lookups
            assert disco.lookups - lookups <= 0.4 / 0.02 + 1, (
                "it does not try again without a pause"
            )
            assert len(disco.snapshot) == 3
        async with asyncio.timeout(20):
            while len(changes) < 3:
                await asyncio.sleep(0.01)
    assert [change.degraded for change in changes] == [False, True, False]
    assert not [change for change in changes if change.left or change.replaced]


async def test_without_descriptors_a_lookup_says_so(dns: ClusterDNS) -> None:
    await peerdisco.discover(SERVICE, nameservers=[dns.nameserver], timeout=5)  # imports
    async with bounded(2):
        with few_descriptors(0), pytest.raises(peerdisco.DiscoveryError) as caught:
            await peerdisco.discover(SERVICE, nameservers=[dns.nameserver], timeout=2)
    assert "too many open files" in str(caught.value).lower()


async def test_without_descriptors_a_hook_fails_and_says_so() -> None:
    hook = CommandHook(["true"])
    change = peerdisco.Change.between(None, peerdisco.Snapshot(SERVICE, peers("db", 1).peers))
    await hook(change)
    with few_descriptors(0), pytest.raises(HookFailed, match="Too many open files"):
        await hook(change)
    await hook(change)


# Files.


async def test_a_mount_that_hangs_holds_no_lookup(
    dns: ClusterDNS, hangs: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    await peerdisco.discover(SERVICE, nameservers=[dns.nameserver], timeout=5)  # imports
    hangs.clear()
    async with bounded(0.6):
        found = await peerdisco.discover(SERVICE, nameservers=[dns.nameserver], timeout=0.6)
    assert len(found) == 3
    (message,) = caplog.messages
    assert message.startswith("cannot read within 0.3")
    async with bounded(0.4):
        with pytest.raises(peerdisco.DiscoveryError, match="name server"):
            await peerdisco.discover(SERVICE, timeout=0.4)


async def test_a_mount_that_hangs_holds_no_loop_that_starts_a_watcher(
    dns: ClusterDNS, hangs: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    await peerdisco.discover(SERVICE, nameservers=[dns.nameserver], timeout=5)  # imports
    hangs.clear()
    async with (
        bounded(20),
        peerdisco.Discovery(SERVICE, nameservers=[dns.nameserver]) as disco,
    ):
        assert len(await disco.wait(3, timeout=19)) == 3
    assert caplog.messages[0].startswith("cannot read within 1")
    async with bounded(1.2):
        watcher = peerdisco.Discovery("db", nameservers=[dns.nameserver])
        with pytest.raises(peerdisco.IdentityError, match="namespace"):
            await watcher.__aenter__()
    hangs.set()


async def test_a_mount_that_comes_back_in_time_tells_all(
    dns: ClusterDNS, hangs: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong with the options comes from the start; nothing else is later than usual."""
    monkeypatch.setenv("PEERDISCO_INTERVAL", "0.1")
    hangs.clear()
    watcher = peerdisco.Discovery(SERVICE, nameservers=[dns.nameserver], min_interval=0.05)
    asyncio.get_running_loop().call_later(0.1, hangs.set)
    async with watcher as disco:
        assert len(await disco.wait(3, timeout=20)) == 3


async def test_a_mount_that_hangs_holds_no_loop_that_asks_for_the_identity(
    dns: ClusterDNS, hangs: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POD_NAME", "db-1")
    monkeypatch.setenv("POD_NAMESPACE", "default")
    assert peerdisco.local_identity().pod_name == "db-1"
    watcher = peerdisco.Discovery(SERVICE, nameservers=[dns.nameserver])
    assert watcher.service == SERVICE
    hangs.clear()
    async with bounded(0.1):
        with pytest.raises(peerdisco.IdentityError) as caught:
            peerdisco.local_identity()
        await asyncio.sleep(0)
        watcher = peerdisco.Discovery(SERVICE, nameservers=[dns.nameserver])
        await asyncio.sleep(0)
        with pytest.raises(peerdisco.IdentityError, match="start with async with"):
            _ = watcher.service
    assert str(caught.value) == (
        "cannot determine the environment of this pod (checked: "
        "/var/run/secrets/kubernetes.io/serviceaccount/namespace, /etc/resolv.conf, /etc/hosts: "
        "not read within 20 ms); a mount may hang, and must not hold the event loop: "
        "use await asyncio.to_thread(peerdisco.local_identity)"
    )
    async with bounded(1.0):
        me = await asyncio.to_thread(peerdisco.local_identity)
    assert (me.pod_name, me.namespace) == ("db-1", "default")
    hangs.set()
    while True:  # a busy machine may take longer for the files
        with contextlib.suppress(peerdisco.IdentityError):
            assert watcher.service == SERVICE
            assert peerdisco.local_identity() == me
            break


CARES = """
import asyncio, peerdisco
from peerdisco.testing import ClusterDNS

async def main():
    with ClusterDNS() as dns:
        dns.statefulset("db", service="db", replicas=3)
        for resolver in ("builtin", "aiodns"):
            print(*await peerdisco.discover("db.default.svc.cluster.local", resolver=resolver,
                                            nameservers=[dns.nameserver], timeout=10))

asyncio.run(main())
"""


def test_a_resolv_conf_that_is_a_fifo_holds_no_resolver(tmp_path: Path) -> None:
    """c-ares would wait for it in the event loop, and for ever."""
    pytest.importorskip("aiodns")
    os.mkfifo(tmp_path / "fifo")
    isolated = ["unshare", "--user", "--map-root-user", "--mount"]
    mount = ["mount", "--bind", str(tmp_path / "fifo"), "/etc/resolv.conf"]
    tried = subprocess.run([*isolated, *mount], capture_output=True, check=False, text=True)
    if tried.returncode:
        pytest.skip(f"this machine makes no mount namespace: {tried.stderr.strip()}")
    script = shlex.join(mount) + " && exec " + shlex.join([sys.executable, "-c", CARES])
    ran = subprocess.run(
        [*isolated, "sh", "-c", script], capture_output=True, check=True, text=True, timeout=40
    )
    assert ran.stdout == "db-0 db-1 db-2\n" * 2


def test_without_an_event_loop_the_files_are_waited_for(hangs: threading.Event) -> None:
    hangs.clear()
    with pytest.raises(peerdisco.IdentityError):
        peerdisco.Discovery("db")
    hangs.set()


# Clocks.


class Jumping(ManualClock):
    """A clock whose date is set, and whose time stands still for a suspended machine."""

    jump = timedelta(0)

    def utcnow(self) -> datetime:
        return super().utcnow() + self.jump


@pytest.mark.parametrize("jump", [timedelta(days=-3650), timedelta(hours=-1), timedelta(days=3650)])
async def test_a_date_that_jumps_changes_no_membership(jump: timedelta) -> None:
    clock = Jumping()
    source = ScriptedSource("db", [peers("db", 3)])
    async with peerdisco.Discovery(source=source, clock=clock, interval=2) as disco:
        watch = disco.watch()
        await clock.advance(10)
        assert len((await anext(watch)).joined) == 3
        clock.jump = jump
        await clock.advance(600)
        assert len(disco.snapshot) == 3
        assert not disco.snapshot.stale
        assert 0 <= disco.snapshot.age <= 10, "ages are measured, not computed from dates"
        source.then(peers("db", 2))
        await clock.advance(600)
        change = await anext(watch)
        assert [peer.name for peer in change.left] == ["db-2"]
        assert change.snapshot.observed_at is not None
        assert change.snapshot.observed_at - jump > datetime(2000, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("seconds", [60.0, 7 * DAY])
async def test_a_machine_that_was_suspended_has_not_seen_anybody_leave(seconds: float) -> None:
    """Its monotonic clock goes on at once; the lookup that was in flight fails."""
    clock = ManualClock()
    source = ScriptedSource("db", [peers("db", 3)])
    async with peerdisco.Discovery(source=source, clock=clock, interval=2) as disco:
        watch = disco.watch()
        await clock.advance(10)
        assert len((await anext(watch)).joined) == 3
        source.then(failure(), peers("db", 2), peers("db", 3))
        clock._now += seconds
        await clock.advance(60)
        assert len(disco.snapshot) == 3
        waiting = asyncio.create_task(anext(watch))
        changes = []
        while (await asyncio.wait({waiting}, timeout=0.05))[0]:
            changes.append(waiting.result())
            waiting = asyncio.create_task(anext(watch))
        waiting.cancel()
        await asyncio.wait({waiting})
        assert not [change for change in changes if change.left or change.replaced]


# The network interface.

INTERFACE = """
import asyncio, subprocess, peerdisco
from peerdisco.testing import ClusterDNS

def lo(state):
    subprocess.run(["ip", "link", "set", "lo", state], check=True)

async def main():
    lo("up")
    with ClusterDNS() as dns:
        dns.statefulset("db", service="db", replicas=3)
        async with peerdisco.Discovery("db.default.svc.cluster.local", nameservers=[dns.nameserver],
                                       timeout=0.3, interval=0.05, min_interval=0.02) as disco:
            await disco.wait(3, timeout=20)
            watch = disco.watch()
            print(len((await anext(watch)).joined), "joined")
            lo("down")
            change = await anext(watch)
            print(change.degraded, len(change.left), len(disco.snapshot))
            lo("up")
            change = await anext(watch)
            print(change.recovered, len(change.left), len(disco.snapshot))

asyncio.run(main())
"""


def test_an_interface_that_goes_down_and_comes_back() -> None:
    tried = subprocess.run(
        [*NAMESPACE, "ip", "link", "set", "lo", "up"], capture_output=True, check=False, text=True
    )
    if tried.returncode:
        pytest.skip(f"this machine makes no network namespace: {tried.stderr.strip()}")
    ran = subprocess.run(
        [*NAMESPACE, sys.executable, "-W", "error", "-c", INTERFACE],
        capture_output=True,
        check=False,
        text=True,
        timeout=50,
    )
    assert ran.stdout == "3 joined\nTrue 0 3\nTrue 0 3\n", ran.stderr
    assert "Traceback" not in ran.stderr


# Many watchers.


async def test_many_watchers_under_loss_and_without_descriptors() -> None:
    """A part of what `python -m tests.adversaries.many_watchers` does with 1,500."""
    with ClusterDNS() as dns:
        found = await watch_many(dns, watchers=60, seconds=1.0, descriptors=0)
    assert found.false_changes == 0
    assert found.recovered == 60
    assert found.failed_lookups > 0

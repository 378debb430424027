"""Cancelled at every await, the public coroutines leave nothing behind.

No task, no socket, no thread and no child process; and what was cancelled can be used again, or
is closed. The servers are real ones on loopback, on a thread of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

import peerdisco
from peerdisco.dns import wire
from peerdisco.dns.resolver import Resolver
from peerdisco.hooks import CommandHook, HookRunner
from peerdisco.names import parse_nameserver, parse_service
from peerdisco.sources.headless_dns import HeadlessDNS
from peerdisco.testing import ClusterDNS, peers

from .stepping import cancel_everywhere

SERVICE = "my-database.default.svc.cluster.local"


@pytest.fixture
def dns() -> Iterator[ClusterDNS]:
    with ClusterDNS() as server:
        server.statefulset("mysql", service="my-database", replicas=3)
        server.statefulset("big", service="big", replicas=60)
        server.statefulset("bare", service="bare", replicas=2, ports=())
        server.delay(0.002)  # or the answer is there before anybody has to wait for it
        yield server


async def nothing() -> None:
    """There is nothing to check but what `cancel_everywhere` checks itself."""


@pytest.mark.parametrize(
    "service",
    [
        pytest.param(SERVICE, id="over UDP"),
        pytest.param(
            "big.default.svc.cluster.local", id="over TCP after a truncated answer over UDP"
        ),
        pytest.param("bare.default.svc.cluster.local", id="by address and PTR"),
    ],
)
async def test_discover(dns: ClusterDNS, service: str) -> None:
    dns.delay(0.02)  # a busy machine must not find the answer there already

    async def make() -> Coroutine[Any, Any, Any]:
        return peerdisco.discover(service, nameservers=[dns.nameserver], source="dns")

    assert await cancel_everywhere(make, nothing) >= 1


async def test_discover_with_failover(dns: ClusterDNS) -> None:
    with ClusterDNS() as broken:
        broken.fail("servfail")
        for server in (broken, dns):
            server.delay(0.02)

        async def make() -> Coroutine[Any, Any, Any]:
            servers = [broken.nameserver, dns.nameserver]
            return peerdisco.discover(SERVICE, nameservers=servers, source="dns")

        assert await cancel_everywhere(make, nothing) >= 2


async def test_a_resolver_can_be_used_after_each_cancellation(dns: ClusterDNS) -> None:
    resolvers: list[Resolver] = []
    name = wire.name_from_text("big.default.svc.cluster.local")
    names = [wire.name_from_text(f"big-{n}.big.default.svc.cluster.local") for n in range(5)]
    loop = asyncio.get_running_loop()

    async def make() -> Coroutine[Any, Any, Any]:
        resolvers.append(Resolver([parse_nameserver(dns.nameserver)]))
        return resolvers[-1].ask_many(
            [(n, wire.A) for n in names], deadline=loop.time() + 5, tcp=True
        )

    async def usable() -> None:
        resolver = resolvers[-1]
        reply = await resolver.ask(name, wire.SRV, deadline=loop.time() + 5)
        assert reply.message is not None
        assert not reply.truncated
        await resolver.aclose()

    assert await cancel_everywhere(make, usable) >= 1


async def test_closing_a_source(dns: ClusterDNS) -> None:
    opened: list[HeadlessDNS] = []

    async def make() -> Coroutine[Any, Any, Any]:
        service = parse_service("big.default.svc.cluster.local")
        source = HeadlessDNS(service, [parse_nameserver(dns.nameserver)])
        await source.observe(timeout=5)
        opened.append(source)
        return source.aclose()

    async def closed() -> None:
        await opened[-1].aclose()

    await cancel_everywhere(make, closed)


def watcher(dns: ClusterDNS, service: str = SERVICE) -> peerdisco.Discovery:
    return peerdisco.Discovery(
        service, nameservers=[dns.nameserver], source="dns", interval=0.02, min_interval=0.01
    )


async def test_the_whole_life_of_a_watcher(dns: ClusterDNS) -> None:
    async def live() -> None:
        async with watcher(dns, "big.default.svc.cluster.local") as disco:
            await disco.wait(60, timeout=5)
            async for change in disco.watch():
                assert len(change.joined) == 60
                break

    async def make() -> Coroutine[Any, Any, Any]:
        return live()

    assert await cancel_everywhere(make, nothing) >= 3


async def test_run(dns: ClusterDNS) -> None:
    discoveries: list[peerdisco.Discovery] = []

    async def live() -> None:
        disco = discoveries[-1]
        async with asyncio.TaskGroup() as group:
            group.create_task(disco.run())
            while not disco.lookups:
                await asyncio.sleep(0)
            await disco.aclose()

    async def make() -> Coroutine[Any, Any, Any]:
        discoveries.append(watcher(dns))
        return live()

    async def closed() -> None:
        await discoveries[-1].aclose()
        with pytest.raises(RuntimeError, match="started only once"):
            await discoveries[-1].run()

    assert await cancel_everywhere(make, closed, most=3000) >= 2


def all_tasks_but_lookups() -> set[asyncio.Task[object]]:
    return {task for task in asyncio.all_tasks() if "observe" not in str(task.get_coro())}


@pytest.mark.parametrize("what", ["wait", "watch"])
async def test_waiting_on_a_watcher_that_goes_on(dns: ClusterDNS, what: str) -> None:
    """One consumer is cancelled; the watcher, and every other consumer, go on."""
    async with watcher(dns) as disco:
        other = disco.watch()
        await anext(other)
        mine = disco.watch()
        await anext(mine)
        lost: list[peerdisco.Change] = []

        async def consume() -> None:
            if what == "wait":
                with pytest.raises(peerdisco.NotReady):
                    await disco.wait(9, timeout=0.1)
            else:
                async with asyncio.timeout(0.1):
                    lost.append(await anext(mine))

        async def usable() -> None:
            assert len(await disco.wait(3, timeout=5)) == 3

        # The lookups go on beside it, with descriptors and tasks of their own.
        for cancel_at in range(1, 6):
            tasks = all_tasks_but_lookups()
            task = asyncio.create_task(consume())
            for _ in range(cancel_at):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})
            await usable()
            assert all_tasks_but_lookups() == tasks
        assert not lost
        dns.statefulset("more", service="my-database", replicas=1)
        for watch in (mine, other):
            change = await anext(watch)
            assert [peer.name for peer in change.joined] == ["more-0"], "nothing was lost"


async def test_closing_during_a_lookup(dns: ClusterDNS) -> None:
    dns.fail("drop")
    before = asyncio.all_tasks()
    disco = watcher(dns)
    async with disco:
        waiting = asyncio.create_task(disco.wait(3))
        watching = asyncio.create_task(anext(disco.watch(), None))
        while not dns.queries:
            await asyncio.sleep(0)
        await asyncio.gather(disco.aclose(), disco.aclose())
        await disco.aclose()
        with pytest.raises(RuntimeError, match="not running"):
            await waiting
        assert await watching is None
    assert asyncio.all_tasks() == before


async def test_a_break_out_of_a_watch_leaves_no_task(dns: ClusterDNS) -> None:
    async with watcher(dns) as disco:
        await disco.wait(3)
        before = asyncio.all_tasks()
        async for _ in disco.watch():
            break
        assert asyncio.all_tasks() == before


MARK = f"cancelled-everywhere-{os.getpid()}"


def hooked() -> list[str]:
    """The processes of the hooks of this file that still run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            command = path.read_bytes()
            if MARK.encode() in command and b"pytest" not in command:
                found.append(command.decode())
    return found


async def no_hook_runs() -> None:
    assert hooked() == []


async def test_a_command_hook() -> None:
    answer = peers("mysql", 3)
    snapshot = peerdisco.Snapshot(SERVICE, answer.peers)
    change = peerdisco.Change(snapshot.peers, (), (), snapshot)
    # Long enough that it runs when it is waited for, on a busy machine, too.
    hook = CommandHook(["sh", "-c", "cat > /dev/null; sleep 0.3", MARK], grace=0.2)

    async def make() -> Coroutine[Any, Any, Any]:
        return hook(change, "change")

    assert await cancel_everywhere(make, no_hook_runs) >= 2


async def test_the_runner_of_hooks(dns: ClusterDNS) -> None:
    hook = CommandHook(["sh", "-c", "cat > /dev/null; sleep 0.01", MARK], grace=0.2)

    async def live() -> None:
        async with watcher(dns) as disco:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.3):
                    await HookRunner(disco, on_change=hook).run()

    async def make() -> Coroutine[Any, Any, Any]:
        return live()

    assert await cancel_everywhere(make, no_hook_runs) >= 3

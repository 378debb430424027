"""`Discovery` as applications use it, with a script for the cluster and a clock that is moved."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import peerdisco
import peerdisco.names
from peerdisco.model import Answered, Empty, Observation, Outcome
from peerdisco.names import parse_service
from peerdisco.pod.environment import ResolvConfFile
from peerdisco.sources.headless_dns import HeadlessDNS
from peerdisco.testing import ClusterDNS, ManualClock, ScriptedSource, failure, nxdomain, peers

SERVICE = "my-database.default.svc.cluster.local"


class Cluster:
    """A cluster that a test changes at any time; each lookup sees it as it is."""

    service = SERVICE

    def __init__(self, answer: Observation) -> None:
        self.answer = answer
        self.closed = 0

    async def observe(self, *, timeout: float) -> Observation:
        return self.answer

    async def aclose(self) -> None:
        self.closed += 1


def watching(cluster: Any, clock: ManualClock, **options: Any) -> peerdisco.Discovery:
    return peerdisco.Discovery(source=cluster, clock=clock, chance=lambda: 0.5, **options)


def names(found: Any) -> list[str]:
    return [peer.name for peer in found]


async def reported(clock: ManualClock, watch: peerdisco.Watch, seconds: float) -> peerdisco.Change:
    """The next change, which has to come within so many seconds."""
    task = asyncio.ensure_future(anext(watch))
    await clock.advance(seconds, until=task.done)
    assert task.done(), f"nothing was reported within {seconds} s"
    return await task


async def test_wait_returns_as_soon_as_there_are_enough() -> None:
    clock, cluster = ManualClock(), Cluster(peers("mysql", 1))
    async with watching(cluster, clock) as disco:
        waiting = asyncio.create_task(disco.wait(3, timeout=60))
        await clock.advance(10)
        assert not waiting.done()
        cluster.answer = peers("mysql", 3)
        await clock.advance(2.5)
        assert names(await waiting) == ["mysql-0", "mysql-1", "mysql-2"]


async def test_wait_says_what_was_there_and_what_was_required() -> None:
    clock = ManualClock()
    async with watching(Cluster(peers("mysql", 2)), clock) as disco:
        waiting = asyncio.create_task(disco.wait(peerdisco.quorum(5), timeout=30))
        await clock.advance(31)
        with pytest.raises(peerdisco.NotReady) as caught:
            await waiting
    assert caught.value.required == "3 peers"
    assert names(caught.value.snapshot) == ["mysql-0", "mysql-1"]
    assert str(caught.value) == "timed out after 30 s: needed 3 peers, saw 2 (mysql-0, mysql-1)"


async def test_wait_for_any_condition() -> None:
    def the_primary_is_there(snapshot: peerdisco.Snapshot) -> bool:
        return snapshot.primary is not None

    clock, cluster = ManualClock(), Cluster(peers("mysql", [1, 2]))
    async with watching(cluster, clock) as disco:
        waiting = asyncio.create_task(disco.wait(the_primary_is_there))
        late = asyncio.create_task(disco.wait(the_primary_is_there, timeout=1))
        await clock.advance(5)
        with pytest.raises(peerdisco.NotReady, match="the_primary_is_there"):
            await late
        cluster.answer = peers("mysql", 3)
        await clock.advance(3)
        assert (await waiting).primary.name == "mysql-0"


async def test_a_failed_lookup_is_never_enough_and_restarts_the_stability() -> None:
    clock, cluster = ManualClock(), Cluster(peers("mysql", 3))
    async with watching(cluster, clock) as disco:
        waiting = asyncio.create_task(disco.wait(3, stable_for=10))
        await clock.advance(8)
        cluster.answer = failure()
        await clock.advance(8)
        assert disco.snapshot.stale
        assert len(disco.snapshot) == 3
        assert not waiting.done()
        cluster.answer = peers("mysql", 3)
        await clock.advance(9)
        assert not waiting.done()
        await clock.advance(12)
        assert waiting.done()
        assert not (await waiting).stale


async def test_a_suspicion_restarts_the_stability() -> None:
    clock, cluster = ManualClock(), Cluster(peers("mysql", 3))
    async with watching(cluster, clock) as disco:
        await clock.advance(20)
        waiting = asyncio.create_task(disco.wait(2, stable_for=10))
        await clock.advance(0)
        assert waiting.done(), "it was stable for longer already"
        cluster.answer = peers("mysql", 2)
        await clock.advance(2.5)
        assert names(disco.snapshot) == ["mysql-0", "mysql-1", "mysql-2"]
        waiting = asyncio.create_task(disco.wait(2, stable_for=10))
        await clock.advance(9)
        assert not waiting.done()
        await clock.advance(10)
        assert len(await waiting) == 2


async def test_nothing_is_known_before_the_first_answer() -> None:
    clock, cluster = ManualClock(), Cluster(failure())
    async with watching(cluster, clock) as disco:
        assert disco.snapshot.observed_at is None
        assert len(disco.snapshot) == 0
        watch = disco.watch()
        change = await reported(clock, watch, 1)
        assert (change.degraded, change.joined) == (True, ())
        waiting = asyncio.create_task(disco.wait(0, timeout=5))
        await clock.advance(6)
        with pytest.raises(peerdisco.NotReady) as caught:
            await waiting
        assert caught.value.snapshot is None
        assert isinstance(caught.value.__cause__, peerdisco.ResolverUnavailable)
        cluster.answer = peers("mysql", 1)
        change = await reported(clock, watch, 20)
        assert (change.recovered, names(change.joined)) == (True, ["mysql-0"])


async def test_the_first_change_is_the_present_membership_also_if_nobody_is_there() -> None:
    clock, cluster = ManualClock(), Cluster(nxdomain())
    async with watching(cluster, clock) as disco:
        watch = disco.watch()
        change = await reported(clock, watch, 1)
        assert not change
        assert change.snapshot.complete
        cluster.answer = peers("mysql", 2)
        assert names((await reported(clock, watch, 2.5)).joined) == ["mysql-0", "mysql-1"]


async def test_a_slow_consumer_gets_one_change_that_holds_them_all() -> None:
    clock, cluster = ManualClock(), Cluster(peers("mysql", 3))
    async with watching(cluster, clock) as disco:
        quick, slow = disco.watch(), disco.watch()
        await reported(clock, quick, 1)
        await reported(clock, slow, 1)
        cluster.answer = peers("mysql", 5)
        await reported(clock, quick, 3)
        cluster.answer = peers("mysql", 5, addresses={1: "10.9.0.1"})
        await reported(clock, quick, 3)
        cluster.answer = peers("mysql", [0, 1, 2, 3], addresses={1: "10.9.0.1"})
        await reported(clock, quick, 9)
        change = await reported(clock, slow, 0)
        assert names(change.joined) == ["mysql-3"], "mysql-4 came and went"
        assert [(old.name, str(new.address)) for old, new in change.replaced] == [
            ("mysql-1", "10.9.0.1")
        ]
        assert change.left == ()


async def test_that_an_answer_is_truncated_is_reported_too() -> None:
    clock, cluster = ManualClock(), Cluster(peers("mysql", 3))
    async with watching(cluster, clock) as disco:
        watch = disco.watch()
        assert (await reported(clock, watch, 1)).snapshot.complete
        cluster.answer = peers("mysql", [0, 9], incomplete_reason="truncated")
        change = await reported(clock, watch, 3)
        assert names(change.joined) == ["mysql-9"]
        assert names(change.snapshot) == ["mysql-0", "mysql-1", "mysql-2", "mysql-9"]
        assert (change.snapshot.complete, change.snapshot.incomplete_reason) == (False, "truncated")


async def test_a_pod_that_is_leaving_receives_no_change_of_itself() -> None:
    clock, cluster = ManualClock(), Cluster(peers("mysql", 3))
    me = peerdisco.Identity("mysql-2", "default", 2, "mysql")
    async with watching(cluster, clock, identity=me) as disco:
        watch = disco.watch()
        await reported(clock, watch, 1)
        assert disco.local is disco.snapshot.peers[2]
        disco.leaving()
        cluster.answer = peers("mysql", 2)
        waiting = asyncio.ensure_future(anext(watch))
        await clock.advance(60)
        assert names(disco.snapshot) == ["mysql-0", "mysql-1"]
        cluster.answer = peers("mysql", 3, addresses={2: "10.9.0.1"})
        await clock.advance(60)
        assert not waiting.done()
        cluster.answer = peers("mysql", 4, addresses={2: "10.9.0.1"})
        await clock.advance(3)
        assert names((await waiting).joined) == ["mysql-3"]


async def test_refresh_makes_a_lookup_immediately_and_not_too_often() -> None:
    clock, source = ManualClock(), ScriptedSource(SERVICE, [peers("mysql", 3)])
    async with watching(source, clock, interval=60, min_interval=1) as disco:
        await clock.advance(10)
        assert source.lookups == 1
        disco.refresh()
        await clock.advance(0)
        assert source.lookups == 2
        for _ in range(100):
            disco.refresh()
            await clock.advance(0)
        assert source.lookups == 2
        await clock.advance(1)
        assert source.lookups == 3


async def test_the_age_is_that_of_the_newest_answer() -> None:
    clock, cluster = ManualClock(), Cluster(peers("mysql", 1))
    async with watching(cluster, clock) as disco:
        await clock.advance(1)
        assert disco.snapshot.age == pytest.approx(1)
        cluster.answer = failure()
        await clock.advance(60)
        snapshot = disco.snapshot
        assert snapshot.age == pytest.approx(61)
        assert (clock.utcnow() - snapshot.observed_at).total_seconds() == pytest.approx(61)
        assert isinstance(snapshot.last_error, peerdisco.ResolverUnavailable)
        assert names(snapshot) == ["mysql-0"]


async def test_a_source_that_is_given_is_closed_with_the_watcher() -> None:
    cluster = Cluster(peers("mysql", 1))
    async with watching(cluster, ManualClock()) as disco:
        assert cluster.closed == 0
    await disco.aclose()
    assert cluster.closed == 1
    with pytest.raises(RuntimeError, match="not running"):
        await disco.wait(1)
    assert [change async for change in disco.watch()] == []


async def test_an_error_that_is_a_bug_reaches_every_consumer() -> None:
    def broken() -> Observation:
        raise ZeroDivisionError("a bug")

    class Broken(Cluster):
        async def observe(self, *, timeout: float) -> Observation:
            return broken()

    clock = ManualClock()
    disco = watching(Broken(nxdomain()), clock)
    with pytest.raises(RuntimeError, match="a bug"):  # noqa: PT012 - it is the block that raises
        async with disco:
            waiting = asyncio.create_task(disco.wait(1))
            await clock.advance(1)
            with pytest.raises(RuntimeError, match="a bug"):
                await waiting
            with pytest.raises(RuntimeError, match="a bug"):
                await anext(disco.watch())


async def test_run_polls_in_the_task_of_the_caller() -> None:
    clock = ManualClock()
    disco = watching(Cluster(peers("mysql", 2)), clock)
    running = asyncio.create_task(disco.run())
    await clock.advance(5)
    assert names(disco.snapshot) == ["mysql-0", "mysql-1"]
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    with pytest.raises(RuntimeError, match="not running"):
        await disco.wait(1)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"interval": 0}, "interval"),
        ({"interval": float("nan")}, "interval"),
        ({"min_interval": -1}, "min_interval"),
        ({"leave_after": 0}, "leave_after"),
        ({"timeout": 0}, "timeout"),
        ({"service": "my-database"}, "service"),
        ({"nameservers": ["127.0.0.1"]}, "nameservers"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], what: str) -> None:
    with pytest.raises(peerdisco.ConfigurationError) as caught:
        peerdisco.Discovery(source=Cluster(nxdomain()), **options)
    assert caught.value.what == what


def test_the_interval_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEERDISCO_INTERVAL", "soon")
    with pytest.raises(peerdisco.ConfigurationError, match="PEERDISCO_INTERVAL: got 'soon'"):
        peerdisco.Discovery(source=Cluster(nxdomain()))


async def test_watchers_of_one_service_share_their_lookups(cluster_dns: ClusterDNS) -> None:
    cluster_dns.statefulset("mysql", service="my-database", replicas=3)
    everybody = asyncio.Barrier(7)  # nobody goes before the last one has come
    async with asyncio.TaskGroup() as group:
        ready = [
            group.create_task(_one_of_many(cluster_dns, count, everybody))
            for count in (1, 2, 3, 3, 3, 3, 3)
        ]
    assert [len(task.result()) for task in ready] == [3] * 7
    assert len(cluster_dns.queries) == 1


async def _one_of_many(
    dns: ClusterDNS, count: int, everybody: asyncio.Barrier
) -> peerdisco.Snapshot:
    disco = peerdisco.Discovery(SERVICE, nameservers=[dns.nameserver], source="dns")
    async with disco:
        snapshot = await disco.wait(count, timeout=20)
        await everybody.wait()
        return snapshot


async def test_a_resolv_conf_that_changes_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another name server from the next lookup on, without a restart."""
    monkeypatch.setattr("peerdisco.pod.environment.PATIENCE", 5.0)
    path = tmp_path / "resolv.conf"
    file = ResolvConfFile(str(path))
    assert file.nameservers() == ()
    path.write_text("nameserver 10.96.0.10\n")
    assert [str(server) for server in file.nameservers()] == ["10.96.0.10:53"]
    new = tmp_path / "new"
    new.write_text("nameserver 10.96.0.11\nnameserver fd00::a\n")
    new.rename(path)
    assert [str(server) for server in file.nameservers()] == ["10.96.0.11:53", "[fd00::a]:53"]
    path.write_text("# being written\n")
    assert [str(server) for server in file.nameservers()] == ["10.96.0.11:53", "[fd00::a]:53"]
    path.unlink()
    assert [str(server) for server in file.nameservers()] == ["10.96.0.11:53", "[fd00::a]:53"]


async def test_a_source_asks_the_name_servers_of_the_moment() -> None:
    with ClusterDNS() as old, ClusterDNS() as new:
        old.statefulset("mysql", service="my-database", replicas=1)
        new.statefulset("mysql", service="my-database", replicas=2)
        servers = [peerdisco.names.parse_nameserver(old.nameserver)]
        source = HeadlessDNS(parse_service(SERVICE), lambda: tuple(servers))
        first = await source.observe(timeout=5)
        servers[0] = peerdisco.names.parse_nameserver(new.nameserver)
        second = await source.observe(timeout=5)
        await source.aclose()
    assert isinstance(first, Answered)
    assert isinstance(second, Answered)
    assert (len(first.peers), len(second.peers)) == (1, 2)


async def test_a_service_without_ports_keeps_out_what_has_no_name(cluster_dns: ClusterDNS) -> None:
    """The address of a pod that has gone in the meantime is no new pod."""
    cluster_dns.statefulset("mysql", service="my-database", replicas=2, ports=())
    gone = cluster_dns.statefulset("gone", service="my-database", replicas=1, ports=())
    address = gone.pod(0).addresses[0]
    cluster_dns.fail("nxdomain", name=address.reverse_pointer, rtype="PTR")
    snapshot = await peerdisco.discover(SERVICE, nameservers=[cluster_dns.nameserver])
    assert names(snapshot) == ["mysql-0", "mysql-1"]
    assert "the names of 1 of 3 addresses are not known" in str(snapshot.incomplete_reason)


def test_an_empty_answer_is_no_failure() -> None:
    assert nxdomain() == Empty(Outcome.NXDOMAIN, 5.0)

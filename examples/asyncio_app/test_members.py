"""The application's own tests: a cluster DNS on loopback, or a script and a clock; no mocks."""

import contextlib

import pytest
from members import Members, describe

import peerdisco
from peerdisco.testing import ManualClock, ScriptedSource, failure, peers

pytestmark = pytest.mark.usefixtures("peerdisco_environment")


@contextlib.asynccontextmanager
async def members_of(required):
    """Over real DNS, as in a pod."""
    async with peerdisco.Discovery("my-database", interval=0.02) as disco:
        await disco.wait(required, timeout=10)
        yield Members(disco), disco


async def test_writes_go_to_the_primary_and_reads_to_the_replicas(cluster_dns):
    cluster_dns.statefulset("mysql", service="my-database", replicas=3)
    async with members_of(3) as (members, _):
        assert str(members.for_writing()) == "mysql-0"
        assert {str(members.for_reading()) for _ in range(4)} == {"mysql-1", "mysql-2"}


async def test_the_only_peer_takes_reads_too(cluster_dns):
    cluster_dns.statefulset("mysql", service="my-database", replicas=1)
    async with members_of(1) as (members, _):
        assert str(members.for_reading()) == "mysql-0"


async def test_nobody_is_written_to_while_the_primary_is_absent(cluster_dns):
    mysql = cluster_dns.statefulset("mysql", service="my-database", replicas=3)
    mysql.stop(0)
    async with members_of(2) as (members, disco):
        assert members.for_writing() is None
        assert "writes go to: nobody" in describe(await anext(disco.watch()))


async def test_a_restarted_peer_is_found_under_its_new_address(cluster_dns):
    mysql = cluster_dns.statefulset("mysql", service="my-database", replicas=2)
    async with members_of(2) as (members, disco):
        watch = disco.watch()
        await anext(watch)
        pod = mysql.restart(1)
        assert f"mysql-1 is at {pod.addresses[0]} now" in describe(await anext(watch))
        peer = members.for_reading()
        assert peer is not None
        assert peer.addresses == pod.addresses


async def test_an_outage_takes_nobody_away_and_a_scale_down_does():
    clock = ManualClock()
    source = ScriptedSource("my-database", [peers("mysql", 2), failure()])
    async with peerdisco.Discovery(source=source, clock=clock) as disco:
        members, watch = Members(disco), disco.watch()
        await clock.advance(0)
        await anext(watch)
        await clock.advance(3600)
        assert "nobody left" in describe(await anext(watch))
        assert str(members.for_writing()) == "mysql-0"
        assert str(members.for_reading()) == "mysql-1"
        source.then(peers("mysql", 1))
        await clock.advance(120)
        assert str(members.for_reading()) == "mysql-0"

"""The application's own tests: a cluster DNS on loopback instead of a cluster, and no mocks."""

import pytest
from members import Members, describe

pytestmark = pytest.mark.usefixtures("peerdisco_environment")


async def started() -> Members:
    members = Members("my-database")
    await members.start(interval=0.01)
    return members


async def test_writes_go_to_the_primary_and_reads_to_the_replicas(cluster_dns):
    cluster_dns.statefulset("mysql", service="my-database", replicas=3)
    members = await started()
    assert str(members.for_writing()) == "mysql-0"
    assert {str(members.for_reading()) for _ in range(4)} == {"mysql-1", "mysql-2"}


async def test_the_only_peer_takes_reads_too(cluster_dns):
    cluster_dns.statefulset("mysql", service="my-database", replicas=1)
    members = await started()
    assert str(members.for_reading()) == "mysql-0"


async def test_nobody_is_written_to_while_the_primary_is_absent(cluster_dns):
    mysql = cluster_dns.statefulset("mysql", service="my-database", replicas=3)
    mysql.stop(0)
    members = await started()
    assert members.for_writing() is None
    assert "writes go to: nobody" in describe(members.snapshot)


@pytest.mark.parametrize("kind", ["servfail", "refused", "nxdomain", "truncate"])
async def test_a_look_that_fails_changes_nothing(cluster_dns, kind):
    mysql = cluster_dns.statefulset("mysql", service="my-database", replicas=3)
    members = await started()
    mysql.scale(2)
    with cluster_dns.fail(kind):
        await members.look()
        assert len(members.snapshot) == 3
    await members.look()
    assert len(members.snapshot) == 2


async def test_a_restarted_peer_is_found_under_its_new_address(cluster_dns):
    mysql = cluster_dns.statefulset("mysql", service="my-database", replicas=3)
    members = await started()
    pod = mysql.restart(2)
    await members.look()
    peer = members.snapshot.by_ordinal(2)
    assert peer is not None
    assert peer.addresses == pod.addresses


async def test_it_starts_when_the_first_pods_do(cluster_dns):
    members = Members("my-database")
    await members.look()
    cluster_dns.statefulset("mysql", service="my-database", replicas=1)
    await members.start(interval=0.01)
    assert len(members.snapshot) == 1

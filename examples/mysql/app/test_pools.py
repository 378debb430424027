"""The pools against real servers: a cluster DNS on loopback, and no mocks."""

import asyncio
import contextlib
import sys

import pytest
from app import count, visit
from conftest import PASSWORD
from pools import Account, NoPrimary, NoServer, Pools

import peerdisco

pytestmark = [pytest.mark.usefixtures("peerdisco_environment"), pytest.mark.timeout(60)]


@contextlib.asynccontextmanager
async def pools_of(required, password=PASSWORD, **options):
    async with (
        peerdisco.Discovery("my-database", interval=0.05) as disco,
        Pools(disco, Account("app", password, "app"), **options) as pools,
    ):
        await disco.wait(required, timeout=10)
        yield pools, disco


async def changed(disco, condition):
    """Until the membership is so."""
    async with asyncio.timeout(20):
        async for change in disco.watch():
            if condition(change.snapshot):
                return


async def test_writes_go_to_the_primary_and_reads_over_the_replicas(servers):
    primary, *_ = servers(3)
    async with pools_of(3) as (pools, _):
        assert [await visit(pools) for _ in range(3)] == [1, 2, 3]
        assert primary.sql("SELECT COUNT(*) FROM app.visits") == 3
        seen = [await count(pools) for _ in range(4)]
        assert [host for _, host in seen] == ["mysql-2", "mysql-1", "mysql-2", "mysql-1"]


async def test_reads_go_to_the_primary_if_there_is_no_replica(servers):
    servers(1)
    async with pools_of(1) as (pools, _):
        await visit(pools)
        assert await count(pools) == (1, "mysql-0")


async def test_replica_that_is_down_is_passed_over_and_asked_last_for_a_while(servers, caplog):
    caplog.set_level("WARNING", "app")
    _, one, _ = servers(3)
    one.kill()
    async with pools_of(3) as (pools, _):
        assert {host for _, host in [await count(pools) for _ in range(6)]} == {"mysql-2"}
    (warning,) = caplog.messages
    assert warning.startswith("reading from mysql-2: mysql-1 at 127.0.0.1:")


async def test_writes_are_refused_while_the_primary_is_absent(servers):
    primary, replica = servers(2)
    async with pools_of(2) as (pools, disco):
        await visit(pools)
        primary.kill()  # listed still
        with pytest.raises(NoPrimary, match=r"mysql-0 at 127\.0\.0\.1:\d+ does not let us in"):
            await visit(pools)
        primary.unlist()
        await changed(disco, lambda snapshot: snapshot.primary is None)
        with pytest.raises(NoPrimary, match="the primary is not there: nothing can be written"):
            await visit(pools)
        assert (await count(pools))[1] == "mysql-1", "reads go on"
        assert replica.sql("SELECT COUNT(*) FROM app.visits") == 0, "nobody took its place"

        primary.start()  # on another port, as another address
        await changed(disco, lambda snapshot: snapshot.primary is not None)
        assert await visit(pools) == 2


async def test_primary_that_is_not_open_yet_takes_no_write(servers):
    primary, *_ = servers(1)
    primary.sql("SET GLOBAL read_only = ON")
    async with pools_of(1) as (pools, _):
        with pytest.raises(NoPrimary, match="is read-only now"):
            await visit(pools)
        primary.sql("SET GLOBAL read_only = OFF")
        assert await visit(pools) == 1


async def test_pools_follow_the_membership(servers):
    _, one, two = servers(3)
    connections = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'app'"
    async with pools_of(3) as (pools, disco):
        for _ in range(3):
            await count(pools)
        assert two.sql(connections) == 1
        two.unlist()
        await changed(disco, lambda snapshot: len(snapshot) == 2)
        assert {(await count(pools))[1] for _ in range(3)} == {"mysql-1"}
        await gone(two, connections)

        one.kill()
        one.unlist()
        one.start()
        await changed(disco, lambda snapshot: snapshot.by_ordinal(1).port == one.port)
        assert (await count(pools))[1] == "mysql-1"
    await gone(one, connections)


async def gone(server, connections):
    async with asyncio.timeout(10):
        while server.sql(connections) != 0:
            await asyncio.sleep(0.01)


async def test_nothing_is_lost_and_nobody_leaves_in_an_outage_of_the_dns(servers, cluster_dns):
    primary, _ = servers(2)
    async with pools_of(2) as (pools, disco):
        with cluster_dns.fail("servfail"):
            await changed(disco, lambda snapshot: snapshot.stale)
            assert await visit(pools) == 1
            assert (await count(pools))[1] == "mysql-1"
    assert primary.sql("SELECT COUNT(*) FROM app.visits") == 1


async def write_and_fail(pools):
    async with pools.writing() as connection, connection.cursor() as cursor:
        await cursor.execute("INSERT INTO visits (at) VALUES (NOW(3))")
        raise ZeroDivisionError


async def test_write_that_fails_is_rolled_back(servers):
    primary, *_ = servers(1)
    async with pools_of(1, size=1) as (pools, _):
        with pytest.raises(ZeroDivisionError):
            await write_and_fail(pools)
        assert await visit(pools) > 0
        assert primary.sql("SELECT COUNT(*) FROM app.visits") == 1


async def read_slowly(pools):
    async with pools.reading() as connection, connection.cursor() as cursor:
        await cursor.execute("SELECT 'too late', SLEEP(5)")


async def test_connection_that_was_cancelled_gives_nobody_its_answer(servers):
    servers(1)
    async with pools_of(1, size=1) as (pools, _):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(read_slowly(pools), 0.2)
        assert await count(pools) == (0, "mysql-0")


async def test_nobody_to_read_from_says_why_each(servers):
    servers(2)
    async with pools_of(2, password="another one") as (pools, _):
        with pytest.raises(
            NoServer, match=r"mysql-1 at .*Access denied.*; mysql-0 at .*Access denied"
        ):
            await count(pools)
    assert "another one" not in repr(Account("app", "another one", "app"))


async def test_program_runs_until_sigterm(servers, tmp_path):
    primary, _ = servers(2)
    password = tmp_path / "password"
    password.write_text(PASSWORD + "\n")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, f"{__file__.rpartition('/')[0]}/app.py", "my-database"),
        *("--password-file", str(password), "--interval", "0.05", "--pause", "0.05"),
        stdout=asyncio.subprocess.PIPE,
    )

    async def line(text):
        async with asyncio.timeout(20):
            while text not in (said := (await process.stdout.readline()).decode()):
                assert said, f"ended before {text!r}"

    try:
        await line("visit 1 was written")
        await line("visits, says mysql-1")
        primary.kill()
        await line("not written: mysql-0 at")
        await line("visits, says mysql-1")
        primary.unlist()
        primary.start()
        await line("was written")
        process.terminate()
        await line("stopped")
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

"""The driver's adapter, on a server that is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from peerdisco.mysql import Account, DatabaseError
from peerdisco.mysql.aiomysql import Connection, connect
from peerdisco.mysql.literals import literal

from .conftest import only
from .database import Database
from .mariadb import MariaDB


@pytest.fixture
def server(make: Callable[..., Database]) -> Iterator[MariaDB]:
    server = make(1).primary.server
    server.start()
    server.sql("CREATE USER 'somebody'@'localhost' IDENTIFIED BY 'something'")
    server.sql("GRANT ALL ON *.* TO 'somebody'@'localhost'")
    return server


async def connection(server: MariaDB, password: str = "something") -> Connection:
    return await connect(Account("somebody", password), socket=str(server.socket))


async def test_what_is_there_or_stopped_already_is_no_warning(server: MariaDB) -> None:
    async with await connection(server) as own:
        for _ in range(2):
            await own.execute("CREATE DATABASE IF NOT EXISTS twice")
            await own.execute("CREATE TABLE IF NOT EXISTS twice.twice (n INT)")
            await own.execute("STOP REPLICA")
        assert await own.execute("SELECT 1 / 0 AS n") == [{"n": None}]


async def test_rows_come_by_name(server: MariaDB) -> None:
    async with await connection(server) as own:
        assert await own.execute("SELECT 'ä' AS letter, NULL AS n") == [{"letter": "ä", "n": None}]
        assert await own.execute("SET @a = 1") == []


async def test_a_wrong_password_is_an_error_that_does_not_tell_it(server: MariaDB) -> None:
    with pytest.raises(DatabaseError) as error:
        await connection(server, "nothing-like-it")
    assert error.value.access_denied
    assert "somebody" in str(error.value)
    assert "nothing-like-it" not in str(error.value)
    assert error.value.__cause__ is None


async def test_a_refusal_leaves_the_connection_usable(server: MariaDB) -> None:
    async with await connection(server) as own:
        with pytest.raises(Exception, match="doesn't exist"):
            await own.execute("SELECT * FROM mysql.nothing")
        assert await own.execute("SELECT 1 AS n") == [{"n": 1}]


async def test_a_statement_that_is_cut_off_closes_the_connection(server: MariaDB) -> None:
    async with await connection(server) as own:
        asking = asyncio.create_task(own.execute("SELECT SLEEP(30) AS n"))
        while not any("SLEEP" in str(one["Info"]) for one in server.sql("SHOW PROCESSLIST")):
            await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert own.closed


async def test_a_statement_that_takes_too_long_closes_the_connection(server: MariaDB) -> None:
    account = Account("somebody", "something")
    async with await connect(account, socket=str(server.socket), timeout=1) as own:
        with pytest.raises(TimeoutError, match="no answer in 1 s"):
            await own.execute("SELECT SLEEP(30) AS n")
        assert own.closed


async def test_a_server_that_is_not_there(server: MariaDB) -> None:
    server.kill()
    with pytest.raises(DatabaseError) as error:
        await connection(server)
    assert not error.value.access_denied
    assert str(server.socket) in str(error.value)


@pytest.mark.parametrize(
    "password", ["q\\{7'x\"`$%s%%{y}; --", "päss-wörd-ß", "€-密码-ł", "a🔑b", "a1" * 50]
)
async def test_a_password_of_any_characters(server: MariaDB, password: str) -> None:
    server.sql(f"ALTER USER 'somebody'@'localhost' IDENTIFIED BY {literal(password)}")
    async with await connection(server, password) as own:
        assert await own.execute("SELECT 1 AS n") == [{"n": 1}]


@only("mariadb", "other-mariadb")
async def test_a_replicas_password_beyond_three_bytes_is_lost(server: MariaDB) -> None:
    """Why it is refused: the server keeps another one, and says nothing."""
    for password, kept in (("a€b", True), ("a🔑b", False)):
        server.sql("STOP SLAVE", f"CHANGE MASTER TO MASTER_PASSWORD = {literal(password)}")
        told = (server.datadir / "master.info").read_bytes()
        assert (password.encode() in told) is kept

"""The heartbeat of an open primary: when it is written, and what it notices."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Self

import pytest

from peerdisco.clock import SystemClock
from peerdisco.mysql import read_facts
from peerdisco.mysql.errors import DatabaseError
from peerdisco.mysql.sidecar.heart import Heart
from peerdisco.mysql.sidecar.peers import Connection

from ..servers import MARIADB, MYSQL, ORIGIN, UUID, Opened, Server, ServerError

DEADLINE = 10.0


class Beating:
    """A heart and the server that it beats in."""

    def __init__(self, version: str = MARIADB) -> None:
        self.server = Server(version, server_id=100, read_only=False, cluster=("an-id", "blank"))
        self.server.logged = "0-100-9" if version == MARIADB else f"{ORIGIN}:1-9"
        self.server._apply("INSERT INTO peerdisco.epochs (x) VALUES (1, 'an-epoch', NULL")
        self.server._apply("INSERT INTO peerdisco.heartbeat VALUES ('an-epoch', 1")
        self.links: list[Opened] = []
        self.heart = Heart(
            self._connect, SystemClock(), every=0.001, timeout=0.05, name="this pod's server"
        )

    async def _connect(self) -> Connection:
        self.links.append(Opened(self.server))
        return self.links[-1]

    @property
    def counter(self) -> int:
        assert self.server.beat is not None
        return int(self.server.beat["counter"])

    async def __aenter__(self) -> Self:
        self.heart.follow(await read_facts(self.server, "db-0"))
        self._task = asyncio.create_task(self.heart.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})
        assert all(link.closed for link in self.links)

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(DEADLINE):
            while not condition():
                await asyncio.sleep(0.001)


@pytest.mark.parametrize("version", [MARIADB, MYSQL])
async def test_it_beats_while_the_server_is_open(version: str) -> None:
    async with Beating(version) as it:
        await it.until(lambda: it.counter > 5)
        assert it.heart.last_at is not None
        assert it.heart.error is None
        it.heart.follow(None)
        await asyncio.sleep(0.01)
        before = it.counter
        await asyncio.sleep(0.02)
        assert it.counter == before
        assert it.heart.last_at is None


async def test_the_first_beat_of_an_epoch_does_not_wait() -> None:
    it = Beating()
    it.heart._every = 3600.0
    async with it:
        await it.until(lambda: it.counter == 2)
        it.heart.follow(None)
        await asyncio.sleep(0.01)
        it.heart.follow(await read_facts(it.server, "db-0"))
        await it.until(lambda: it.counter == 3)


async def test_nothing_is_written_before_there_is_an_epoch() -> None:
    it = Beating()
    it.server.epochs.clear()
    async with it:
        await asyncio.sleep(0.02)
        assert (it.counter, it.links) == (1, [])


@pytest.mark.parametrize(
    ("version", "before", "after"),
    [(MARIADB, "0-100-9", "0-100-3"), (MYSQL, f"{ORIGIN}:1-9", f"{UUID}:1-9,{ORIGIN}:1-3")],
)
async def test_a_reset_log_is_noticed_and_the_heartbeat_kept(
    version: str, before: str, after: str
) -> None:
    async with Beating(version) as it:
        await it.until(lambda: it.counter > 3)
        it.server.logged = after
        await it.until(lambda: it.heart.log_reset)
        assert it.server.beat is not None
        assert before.rpartition("-")[2] in it.server.beat["position"]


async def test_a_reset_log_that_has_outrun_the_old_one_has_a_lower_number() -> None:
    async with Beating() as it:
        await it.until(lambda: it.counter > 3)
        it.server.logged, it.server.log_number = "0-100-900", 1
        await it.until(lambda: it.heart.log_reset)


async def test_a_reset_in_the_middle_of_a_beat_is_noticed_at_the_next() -> None:
    """The beat itself then holds the position of after it."""
    it = Beating()
    apply = it.server._apply

    def reset_first(sql: str) -> None:
        if sql.startswith("UPDATE peerdisco.heartbeat") and it.counter == 5:
            it.server.logged = "0-100-2"
        apply(sql)

    it.server._apply = reset_first  # type: ignore[method-assign]
    async with it:
        await it.until(lambda: it.heart.log_reset)
        assert it.counter == 6


async def test_what_was_read_before_an_epoch_says_nothing_about_it() -> None:
    """The sidecar begins the epoch after a reset while the heart reads what was before."""
    it = Beating()
    reading, going_on = asyncio.Event(), asyncio.Event()

    class Slow(Opened):
        async def execute(self, sql: str, /) -> Sequence[Mapping[str, Any]]:
            rows = [dict(row) for row in await super().execute(sql)]
            if sql.startswith("SELECT epoch") and not reading.is_set():
                reading.set()
                await going_on.wait()
            return rows

    async def connect() -> Connection:
        return Slow(it.server)

    it.heart._connect = connect
    it.heart._timeout = DEADLINE
    assert it.server.beat is not None
    it.server.beat["position"] = "0-100-9|"
    async with it:
        await reading.wait()
        it.server.logged, it.server.log_number = "0-100-2", 1
        it.server._apply("INSERT INTO peerdisco.epochs (x) VALUES (2, 'another', NULL, 1)")
        it.server._apply("UPDATE peerdisco.heartbeat SET log_number = 1, epoch = 'another'")
        it.heart.follow(await read_facts(it.server, "db-0"))
        going_on.set()
        await it.until(lambda: it.counter > 4)
        assert not it.heart.log_reset


async def test_a_beat_that_is_refused_or_takes_too_long_is_told_and_tried_again() -> None:
    async with Beating() as it:
        it.server.fails["UPDATE peerdisco.heartbeat"] = ServerError(1142, "UPDATE denied")
        await it.until(lambda: it.heart.error is not None)
        assert "writing the heartbeat: error 1142" in str(it.heart.error)
        it.server.fails.clear()
        await it.until(lambda: it.heart.error is None)

        async def hangs(sql: str, /) -> Sequence[Mapping[str, Any]]:
            await asyncio.sleep(DEADLINE)
            return []

        execute, it.server.execute = it.server.execute, hangs  # type: ignore[method-assign]
        await it.until(lambda: it.heart.error is not None)
        assert "no answer in 0.05 s" in str(it.heart.error)
        it.server.execute = execute  # type: ignore[method-assign]
        await it.until(lambda: it.heart.error is None)


async def test_a_beat_that_waits_in_the_server_is_not_repeated() -> None:
    """Its statement goes on there after its connection was closed."""
    waiting: list[str] = []

    class Full(Opened):
        async def execute(self, sql: str, /) -> Sequence[Mapping[str, Any]]:
            if sql == "SHOW PROCESSLIST":
                return [{"Info": sql, "Time": 7, "State": "disk full"} for sql in waiting]
            if sql.startswith("UPDATE peerdisco.heartbeat") and full:
                waiting.append(sql)
                await asyncio.Event().wait()
            return await super().execute(sql)

    full = True
    it = Beating()

    async def connect() -> Connection:
        it.links.append(Full(it.server))
        return it.links[-1]

    it.heart._connect = connect
    async with it:
        await it.until(lambda: it.heart.stuck is not None)
        await it.until(lambda: "disk full" in str(it.heart.stuck))
        await asyncio.sleep(0.1)
        assert len(waiting) == 1
        assert len(it.links) == 2
        full = False
        waiting.clear()
        await it.until(lambda: it.heart.stuck is None)
        assert it.heart.error is None


async def test_a_connection_that_fails_says_nothing_about_writes() -> None:
    """As when all connections are used: those that clients have can write."""
    it = Beating()

    async def connect() -> Connection:
        raise DatabaseError("db-0", "connecting", 1040, "Too many connections")

    it.heart._connect = connect
    async with it:
        await it.until(lambda: it.heart.error is not None)
        assert it.heart.stuck is None


async def test_an_account_that_may_not_renew_the_heartbeat_says_nothing_about_writes() -> None:
    """One that an earlier version made: clients have accounts of their own."""

    class Denied(Opened):
        async def execute(self, sql: str, /) -> Sequence[Mapping[str, Any]]:
            if sql.startswith("UPDATE peerdisco.heartbeat"):
                raise DatabaseError("db-0", "writing", 1142, "UPDATE command denied")
            return await super().execute(sql)

    it = Beating()

    async def connect() -> Connection:
        return Denied(it.server)

    it.heart._connect = connect
    async with it:
        await it.until(lambda: it.heart.error is not None)
        assert it.heart.stuck is None


class Showing(Opened):
    """A connection on which the log can be read."""

    async def execute(self, sql: str, /) -> Sequence[Mapping[str, Any]]:
        if sql.startswith("SELECT BINLOG_GTID_POS"):
            return [{"shown": "0-100-9"}]
        return await super().execute(sql)


async def test_a_place_is_recorded_once_in_each_log() -> None:
    it = Beating()

    async def connect() -> Connection:
        return Showing(it.server)

    def marks() -> list[str]:
        return [sql for sql in it.server.sent if "INTO peerdisco.log_mark" in sql]

    it.heart._connect = connect
    async with it:
        await it.until(lambda: it.counter > 5)
        assert len(marks()) == 1
        assert "(1, 'an-epoch', 'binlog.000002', 400, '0-100-9')" in marks()[0]
        it.server.log_number = 3
        await it.until(lambda: len(marks()) == 2)
        assert "'binlog.000003'" in marks()[1]
        # An account of an earlier version may not: then only positions and numbers are compared.
        it.server.fails["INSERT INTO peerdisco.log_mark"] = ServerError(1142, "UPDATE denied")
        it.server.log_number, before = 4, it.counter
        await it.until(lambda: it.counter > before + 3)
        assert it.heart.error is None
        logged = [sql for sql in it.server.sent if "sql_log_bin" in sql]
        assert logged[-1] == "SET SESSION sql_log_bin = 1"

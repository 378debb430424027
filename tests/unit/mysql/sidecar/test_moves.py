"""Which pod a sidecar goes by while the role moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from peerdisco.mysql.errors import DatabaseError
from peerdisco.mysql.facts import read_facts
from peerdisco.mysql.setup import Account
from peerdisco.mysql.sidecar.moves import Aim, Moves, Wanted, WantedPrimary
from peerdisco.mysql.sidecar.pause import Observer
from peerdisco.mysql.sidecar.peers import Connection, PeerServers
from peerdisco.mysql.sidecar.report import Role
from peerdisco.mysql.sidecar.role_lock import WhileLocked
from peerdisco.names import Endpoint
from tests.unit.primary.test_verdicts import me, seen

from ..servers import MARIADB, MYSQL, ORIGIN, SOURCE_HOST, UUID, Opened, Server, ServerError

CLUSTER = ("an-id", "blank")


class Logged(Server):
    """A replica that has logged one transaction of its own: this statement."""

    statement = "FLUSH TABLES"
    reads = 0

    async def execute(self, sql: str, /) -> Sequence[Mapping[str, Any]]:
        if sql == "SHOW BINARY LOGS":
            return [{"Log_name": "binlog.000002"}]
        if not sql.startswith("SHOW BINLOG EVENTS"):
            return await super().execute(sql)
        self.reads += 1
        for beginning, error in self.fails.items():
            if sql.startswith(beginning):
                raise error
        events = [
            ("Format_desc", "Server ver: 8.4.3, Binlog ver: 4"),
            ("Previous_gtids", f"{UUID}:1-5"),
            ("Gtid", f"SET @@SESSION.GTID_NEXT= '{ORIGIN}:1'"),
            ("Query", self.statement),
        ]
        return [{"Event_type": kind, "Info": info, "Pos": 4} for kind, info in events]


class Move:
    """Ordinal 0 takes writes, ordinal 1 is wanted and has one transaction of its own."""

    def __init__(self, version: str = MYSQL) -> None:
        mariadb = version == MARIADB
        self.old = Server(version, 100, read_only=False, super_read_only=False, cluster=CLUSTER)
        self.new = Logged(version, 101, cluster=CLUSTER)
        self.old.logged = "0-100-9" if mariadb else f"{UUID}:1-9"
        self.new.logged = "0-100-9,0-101-10" if mariadb else f"{UUID}:1-9,{ORIGIN}:1"
        self.new.replica = self.new._row(SOURCE_HOST, 3306, "repl")
        self.new._apply("START REPLICA")
        peers = PeerServers(self._connect, lambda: Account("repl", "x"), 3306, 2.0)
        identity = me("db-0", "10.0.0.1")
        self.snapshot = seen("db-0=10.0.0.1", "db-1=10.0.0.2", identity=identity)
        self.now = 0.0
        self.moves = Moves(identity, peers, lambda: Wanted(1), "db-0", lambda: self.now)

    async def _connect(self, where: Endpoint | None, account: Account) -> Connection:
        return Opened(self.new)

    async def aim(self) -> Aim:
        own = await read_facts(self.old, "db-0")
        return await self.moves.aim(self.old, own, self.snapshot)


async def test_administrative_statements_do_not_keep_the_role_from_moving() -> None:
    """On MySQL they stay in the log, and the wanted pod's sidecar leaves them out."""
    move = Move()
    assert (await move.aim()).role is Role.REPLICA
    assert move.new.sent == [], "another pod's server is only read"


@pytest.mark.parametrize("statement", ["CREATE SCHEMA stray", "TRUNCATE TABLE `shop`.`orders`"])
async def test_changes_of_its_own_keep_it(statement: str) -> None:
    move = Move()
    move.new.statement = statement
    for _ in range(3):
        aim = await move.aim()
        assert aim.role is Role.PRIMARY
        assert "local-writes" in str(aim.problem)
    assert move.new.reads == 1, "the same log is not read again"


async def test_a_log_that_cannot_be_read_is_not_harmless() -> None:
    move = Move()
    move.new.fails["SHOW BINLOG EVENTS"] = ServerError(1227, "Access denied")
    assert "local-writes" in str((await move.aim()).problem)


async def test_a_pod_that_is_gone_meanwhile_cannot_be_asked() -> None:
    move = Move()
    move.new.fails["SHOW BINLOG EVENTS"] = DatabaseError("db-1", "reading", 2013, "gone")
    aim = await move.aim()
    assert aim.role is Role.PRIMARY
    assert "db-1 cannot be asked" in str(aim.problem)


async def test_mariadb_waits_until_the_pods_own_sidecar_has_dropped_them() -> None:
    move = Move(MARIADB)
    assert "local-writes" in str((await move.aim()).problem)
    assert (move.new.sent, move.new.reads) == ([], 0)
    move.new.logged, move.new.applied = "", "0-100-9"
    assert (await move.aim()).role is Role.REPLICA


@pytest.mark.parametrize("version", [MARIADB, MYSQL])
async def test_writes_do_not_wait_all_the_time_for_a_server_that_cannot_be_closed(
    version: str,
) -> None:
    """A client's lock keeps it from becoming read-only, and all writes wait for each attempt."""
    move = Move(version)
    move.new.logged, move.new.applied = ("", "0-100-9") if version == MARIADB else ("", "")
    name = "read_only" if version == MARIADB else "super_read_only"
    move.old.fails[f"SET GLOBAL {name} = ON"] = ServerError(1205, "Lock wait timeout exceeded")
    aim = await move.aim()
    assert aim.role is Role.PRIMARY
    assert "a statement or a lock of a client does not end within 3 s" in str(aim.problem)
    assert move.old.sent[-1] == "SET SESSION lock_wait_timeout = 3"
    # Soon at first, since a long statement has mostly ended by then; a lock may stay for long.
    for pause in (2, 4, 8, 16, 30, 30):
        assert f"it is tried again in {pause} s" in str(aim.problem)
        tried = len(move.old.sent)
        move.now += pause - 0.1
        assert (await move.aim()).problem == aim.problem
        assert len(move.old.sent) == tried
        move.now += 0.1
        aim = await move.aim()
        assert aim.role is Role.PRIMARY
        assert len(move.old.sent) > tried
    move.old.fails.clear()
    move.now += 30
    assert (await move.aim()).role is Role.REPLICA
    assert move.old.read_only


async def test_a_paused_sidecar_keeps_the_role() -> None:
    move = Move()
    own = await read_facts(move.old, "db-0")
    aim = await move.moves.aim(Observer(move.old), own, move.snapshot)
    assert aim.role is Role.PRIMARY
    assert "is paused" in str(aim.problem)
    assert not move.old.read_only


@pytest.mark.parametrize(
    "text", ["", "-1", "1.0", "1 0", "\u0661", "1 without", "\ufeff1", "1" * 11]
)
def test_what_is_no_ordinal_moves_nothing(tmp_path: Path, text: str) -> None:
    file = tmp_path / "primary"
    file.write_text(" 2\n", encoding="utf-8")
    wanted = WantedPrimary(0, file)
    assert wanted.read() == Wanted(2)
    file.write_text(text, encoding="utf-8")
    assert wanted.read() == Wanted(2)
    assert wanted.problem is not None
    assert "the last value, 2, stays" in wanted.problem.detail


# The pod that is wanted.


def opened(version: str, server_id: int, epochs: int, **given: Any) -> Server:
    """A server with this many epochs."""
    server = Server(version, server_id, cluster=CLUSTER, **given)
    server.epochs = [server._epoch(number, f"e{number}", reset=False) for number in (1, 2)][:epochs]
    return server


@pytest.mark.parametrize("version", [MARIADB, MYSQL])
async def test_a_second_move_waits_until_the_pod_of_the_first_is_followed(version: str) -> None:
    """db-1 was opened after db-0, and before db-2 followed it, db-2 was wanted."""
    old, between, own = (
        opened(version, 100, 1),
        opened(version, 101, 2, read_only=False, super_read_only=False),
        opened(version, 102, 1),
    )
    own.replica = own._row(SOURCE_HOST, 3306, "repl")
    own._apply("START REPLICA")
    servers: dict[str, Server] = {"10.0.0.1": old, "10.0.0.2": between}

    async def connect(where: Endpoint | None, account: Account) -> Connection:
        assert where is not None
        return Opened(servers[str(where.address)])

    identity = me("db-2", "10.0.0.3")
    snapshot = seen("db-0=10.0.0.1", "db-1=10.0.0.2", "db-2=10.0.0.3", identity=identity)
    peers = PeerServers(connect, lambda: Account("repl", "x"), 3306, 2.0)
    moves = Moves(identity, peers, lambda: Wanted(2), "db-2", lambda: 0.0)

    async def aim() -> Aim:
        return await moves.aim(own, await read_facts(own, "db-2"), snapshot)

    found = await aim()
    assert found.role is Role.REPLICA
    assert found.snapshot.primary is not None
    assert found.snapshot.primary.name == "db-1"
    assert found.problem is not None
    assert "db-1 was opened in between" in found.problem.detail
    # It follows it, and db-1 hands the role over.
    own.replica = own._row(SOURCE_HOST.replace("db-0", "db-1"), 3306, "repl")
    own.epochs = list(between.epochs)
    assert "db-1 still takes writes" in str((await aim()).problem)
    between.read_only = between.super_read_only = True
    assert (await aim()).role is Role.PRIMARY


class Return:
    """Ordinal 0 is read-only and wanted again, and ordinal 1, which was wanted, is beside it."""

    def __init__(self, version: str, **new: Any) -> None:
        self.own = opened(version, 100, 1)
        self.new = opened(version, 101, 2, **new)
        self.links: list[Opened] = []
        identity = me("db-0", "10.0.0.1")
        self.snapshot = seen("db-0=10.0.0.1", "db-1=10.0.0.2", identity=identity)
        peers = PeerServers(self._connect, lambda: Account("repl", "x"), 3306, 2.0)
        self.wanted = Wanted(0)
        self.moves = Moves(identity, peers, lambda: self.wanted, "db-0", lambda: 0.0)

    async def _connect(self, where: Endpoint | None, account: Account) -> Connection:
        self.links.append(Opened(self.new))
        return self.links[-1]

    async def aim(self) -> Aim:
        return await self.moves.aim(self.own, await read_facts(self.own, "db-0"), self.snapshot)


@pytest.mark.parametrize("version", [MARIADB, MYSQL])
async def test_a_pod_that_was_opened_meanwhile_is_followed_first(version: str) -> None:
    back = Return(version, read_only=False, super_read_only=False)
    aim = await back.aim()
    assert aim.role is Role.REPLICA
    assert aim.snapshot.primary is not None
    assert aim.snapshot.primary.name == "db-1"
    assert "db-1 was opened in between" in str(aim.problem)
    # Closed, it is nobody's primary.
    back.new.read_only = back.new.super_read_only = True
    assert (await back.aim()).role is Role.PRIMARY


@pytest.mark.parametrize("version", [MARIADB, MYSQL])
async def test_the_lock_of_the_old_primary_is_held_until_this_pod_is_open(version: str) -> None:
    back = Return(version)
    back.own.replica = back.own._row(SOURCE_HOST.replace("db-0", "db-1"), 3306, "repl")
    logged, back.own.logged = back.own.logged, ""
    back.new.logged = "0-101-9" if version == MARIADB else f"{UUID}:1-9"
    assert "has transactions that this pod does not have yet" in str((await back.aim()).problem)
    assert all(one.closed for one in back.links)
    back.own.logged = back.new.logged = logged
    back.links.clear()
    aim = await back.aim()
    assert aim.role is Role.PRIMARY
    (link,) = back.links
    assert not link.closed
    await back.moves.lock.check()
    # The server has taken it back: this pod is not opened.
    back.new.locked = True
    with pytest.raises(DatabaseError, match="the server has taken it back"):
        await WhileLocked(back.own, back.moves.lock).execute("SET GLOBAL read_only = OFF")
    assert back.own.read_only
    back.moves.lock.release()
    assert link.closed
    # The source is forgotten by then, and the other pod is asked all the same.
    back.own.replica = None
    aim = await back.aim()
    assert aim.role is Role.REPLICA
    assert "db-1, or another pod in its place, is being opened" in str(aim.problem)
    assert all(one.closed for one in back.links)
    # Also if it is given up: what is being opened is not gone.
    back.wanted = Wanted(0, "db-1")
    assert (await back.aim()).role is Role.REPLICA
    back.new.locked = False
    assert (await back.aim()).role is Role.PRIMARY

"""Asking a server what it is, and making it what it has to be: again, and cut off anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from peerdisco.mysql import (
    Account,
    DatabaseError,
    Ensured,
    Flavour,
    Receiver,
    ReplicationSource,
    Unanswered,
    ensure_account,
    ensure_closed,
    ensure_primary,
    ensure_replica,
    nudge,
    read_facts,
)
from peerdisco.mysql.dialects import Step
from peerdisco.mysql.ensure import ensure_epoch_after_reset
from peerdisco.mysql.literals import SESSION
from tests.unit.primary.test_verdicts import me, seen

from .servers import MARIADB, MYSQL, SOURCE_HOST, Server, ServerError, doings

REPLICATION = Account("repl", "it's secret")
SOURCE = ReplicationSource(SOURCE_HOST, 3306, REPLICATION)


async def as_primary(server: Server, **said: object) -> Ensured:
    own = await read_facts(server, "db-0")
    return await ensure_primary(
        server,
        "db-0",
        own,
        {},
        seen("db-0=10.0.0.1"),
        me(),
        expected=1,
        **said,  # type: ignore[arg-type]
    )


async def as_replica(server: Server, primary: Server | None) -> Ensured:
    own = await read_facts(server, "db-1")
    found = await read_facts(primary, "db-0") if primary else None
    return await ensure_replica(server, "db-1", own, found, SOURCE if primary else None)


# Facts.


@pytest.mark.parametrize("version", [MARIADB, MYSQL])
async def test_facts_of_a_blank_server(version: str) -> None:
    found = await read_facts(Server(version), "db-0")
    assert found.flavour is (Flavour.MARIADB if version == MARIADB else Flavour.MYSQL)
    assert found.blank
    assert (found.read_only, found.closed, found.status) == (True, True, None)
    assert found.position.empty


async def test_what_a_server_makes_for_itself_is_no_data() -> None:
    schemas = ["sys", "performance_schema", "lost+found", "#mysql50#lost+found", "peerdisco"]
    assert (await read_facts(Server(schemas=schemas), "db-0")).blank
    assert (await read_facts(Server(schemas=[*schemas, "shop"]), "db-0")).schemas == ("shop",)


async def test_an_account_that_may_not_see_the_schemas_does_not_see_none() -> None:
    class Blind(Server):
        async def execute(self, sql: str, /):  # type: ignore[no-untyped-def]
            if sql == "SHOW DATABASES":
                return [{"Database": "information_schema"}]
            return await super().execute(sql)

    found = await read_facts(Blind(), "db-0")
    assert (found.schemas, found.holds_data, found.blank) == (None, None, False)


@pytest.mark.parametrize("errno", [1146, 1049])
async def test_a_table_that_was_not_made_yet_is_no_row(errno: int) -> None:
    server = Server(schemas=["peerdisco"], fails={"SELECT id, origin": ServerError(errno, "x")})
    assert (await read_facts(server, "db-0")).cluster is None


async def test_a_row_that_may_not_be_read_is_an_error() -> None:
    server = Server(schemas=["peerdisco"], fails={"SELECT id, origin": ServerError(1142, "no")})
    with pytest.raises(DatabaseError, match=r"db-0: reading to which cluster .* error 1142: no"):
        await read_facts(server, "db-0")


async def test_a_server_that_is_away_is_an_error_that_says_what_was_asked() -> None:
    gone = ServerError(2013, "Lost connection")
    server = Server(fails={"SHOW REPLICA": gone})
    with pytest.raises(
        DatabaseError, match="asking for its state as a replica: error 2013"
    ) as told:
        await read_facts(server, "db-0")
    assert told.value.__cause__ is gone


async def test_mysqls_empty_row_is_no_replica() -> None:
    server = Server(MYSQL)
    server.replica = server._row("", 3306, "")
    assert (await read_facts(server, "db-0")).status is None


# The primary.


@pytest.mark.parametrize("version", [MARIADB, MYSQL])
async def test_a_blank_primary_gets_a_cluster_and_is_opened(version: str) -> None:
    server = Server(version, logged="0-100-3" if version == MARIADB else "")
    ensured = await as_primary(server)
    assert ensured.verdict
    assert ensured.done[-1] == "opening it for writes"
    assert server.cluster is not None
    assert server.cluster[1] == "blank"
    assert (server.read_only, server.super_read_only) == (False, False)
    assert server.sent[0] == SESSION


@pytest.mark.parametrize("version", [MARIADB, MYSQL])
async def test_a_second_run_does_nothing(version: str) -> None:
    server = Server(version)
    await as_primary(server)
    cluster, sent = server.cluster, len(server.sent)
    again = await as_primary(server)
    assert again.verdict
    assert (again.done, server.cluster, len(server.sent)) == ((), cluster, sent)
    replica = Server(version, server_id=102)
    server.server_id = 100
    assert (await as_replica(replica, server)).done
    sent = len(replica.sent)
    assert (await as_replica(replica, server)).done == ()
    assert len(replica.sent) == sent


async def test_a_primary_that_may_not_be_is_closed() -> None:
    server = Server(read_only=False)
    own = await read_facts(server, "db-0")
    peers = {"db-1": Unanswered("away")}
    snapshot = seen("db-0=10.0.0.1", "db-1=10.0.0.2")
    ensured = await ensure_primary(server, "db-0", own, peers, snapshot, me(), expected=2)
    assert ensured.verdict.waits
    assert ensured.done == ("making it read-only",)
    assert server.read_only


class Cut(Exception):
    """The process ends here."""


class Cutting(Server):
    """A server whose client ends before, or after, so many statements that change something."""

    left: int = 0
    after: bool = False

    def _apply(self, sql: str) -> None:
        self.left -= 1
        if self.left < 0 and not self.after:
            self.sent.pop()
            raise Cut
        super()._apply(sql)
        if self.left < 0:
            raise Cut


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("version", [MARIADB, MYSQL])
async def test_a_primary_that_is_cut_off_at_any_step_is_finished_by_the_next_run(
    version: str, after: bool
) -> None:
    whole = Cutting(version)
    whole.left = 10**6
    await as_primary(whole)
    assert len(whole.sent) > 5
    for step in range(len(whole.sent)):
        server = Cutting(version)
        server.left, server.after = step, after
        with pytest.raises(DatabaseError):
            await as_primary(server)
        if not server.read_only:
            assert server.cluster is not None, "it was opened before the rest was done"
        cluster = server.cluster
        server.left = 10**6
        assert (await as_primary(server)).verdict
        assert server.cluster == cluster or cluster is None, "a cluster is made once"
        assert not server.read_only


# A replica.


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("version", [MARIADB, MYSQL])
async def test_a_replica_that_is_cut_off_at_any_step_is_finished_by_the_next_run(
    version: str, after: bool
) -> None:
    primary = Server(version, server_id=100, cluster=("an-id", "blank"))
    blank = {"logged": "0-101-2" if version == MARIADB else "", "read_only": False}
    whole = Cutting(version, super_read_only=False, **blank)  # type: ignore[arg-type]
    whole.left = 10**6
    await as_replica(whole, primary)
    for step in range(len(whole.sent)):
        server = Cutting(version, super_read_only=False, **blank)  # type: ignore[arg-type]
        server.left, server.after = step, after
        with pytest.raises(DatabaseError):
            await as_replica(server, primary)
        server.left = 10**6
        assert (await as_replica(server, primary)).verdict
        status = (await read_facts(server, "db-1")).status
        assert status is not None
        assert (status.source_host, status.running) == (SOURCE_HOST, True)
        assert server.read_only


async def test_while_the_primary_is_away_replication_is_left_as_it_is() -> None:
    primary = Server(server_id=100, cluster=("an-id", "blank"))
    server = Server()
    await as_replica(server, primary)
    before = list(server.sent)
    for away in (None, Unanswered("nobody listens")):
        own = await read_facts(server, "db-1")
        source = SOURCE if away is not None else None
        assert (await ensure_replica(server, "db-1", own, away, source)).done == ()
    assert server.sent == before


async def test_a_replica_of_another_cluster_stops() -> None:
    server = Server()
    await as_replica(server, Server(server_id=100, cluster=("an-id", "blank")))
    server.cluster = ("an-id", "blank")
    ensured = await as_replica(server, Server(server_id=100, cluster=("another-id", "blank")))
    assert not ensured.verdict
    assert ensured.done == ("stopping replication",)
    status = (await read_facts(server, "db-1")).status
    assert status is not None
    assert status.receiver is Receiver.STOPPED


async def test_a_statement_that_is_refused_tells_no_password() -> None:
    sql = "near 'MASTER_PASSWORD = 'it\\'s secret'' at line 1"
    server = Server(fails={"CHANGE MASTER": ServerError(1064, sql)})
    with pytest.raises(DatabaseError) as told:
        await as_replica(server, Server(server_id=100, cluster=("an-id", "blank")))
    assert told.value.errno == 1064
    assert "secret" not in str(told.value)
    assert "secret" not in repr(told.value)
    assert told.value.__cause__ is None
    assert told.value.__suppress_context__


@pytest.mark.parametrize(("version", "errno"), [(MARIADB, 1201), (MYSQL, 1872)])
async def test_relay_logs_that_cannot_be_read_are_received_again(version: str, errno: int) -> None:
    class Broken(Server):
        async def execute(self, sql: str, /) -> Sequence[Mapping[str, Any]]:
            if sql == "RESET REPLICA":
                self.fails.clear()
                self.sent.append(sql)
                return []
            return await super().execute(sql)

    primary = Server(version, server_id=100, cluster=("an-id", "blank"))
    server = Broken(version)
    await as_replica(server, primary)
    assert server.replica is not None
    server.replica |= dict.fromkeys(
        [key for key in server.replica if key.endswith(("IO_Running", "SQL_Running"))], "No"
    )
    server.fails = {"START REPLICA": ServerError(errno, "Could not initialize")}
    ensured = await as_replica(server, primary)
    assert ensured.verdict
    assert ensured.done == ("discarding relay logs that cannot be read", "starting replication")
    assert server.sent[-1] == "START REPLICA"


async def test_relay_logs_are_kept_where_replication_may_not_start() -> None:
    server = Server()
    await as_replica(server, Server(server_id=100, cluster=("an-id", "blank")))
    server.cluster = ("an-id", "blank")
    server.fails = {"STOP REPLICA": ServerError(1201, "Could not initialize")}
    with pytest.raises(DatabaseError):
        await as_replica(server, Server(server_id=100, cluster=("another-id", "blank")))
    assert "RESET REPLICA" not in server.sent


# The rest.


@pytest.mark.parametrize("version", [MARIADB, MYSQL])
async def test_closing(version: str) -> None:
    server = Server(version, read_only=False, super_read_only=False)
    assert await ensure_closed(server, "db", await read_facts(server, "db"))
    assert server.read_only
    assert await ensure_closed(server, "db", await read_facts(server, "db")) == ()


BEAT = "UPDATE peerdisco.heartbeat SET counter = counter + 1"


def sessions(waits: str = "") -> list[dict[str, Any]]:
    """A heartbeat, and a client; one of them may wait for the commits of both."""
    shown = {"heartbeat": ("peerdisco", BEAT), "client": ("shop", "COMMIT"), "": ("shop", None)}
    return [
        {"Id": number, "User": user, "Command": "Query" if info else "Sleep", "Info": info}
        | {"State": "Waiting for semi-sync ACK from slave" if what and what == waits else "Commit"}
        for number, (what, (user, info)) in enumerate(shown.items(), 7)
    ]


async def after_reset(server: Server) -> list[str]:
    """What is done after the log of an open primary was reset, but for the epoch."""
    await ensure_epoch_after_reset(server, "db-0", 0, semi_sync=True)
    found = [sql for sql in server.sent if sql.startswith(("KILL", "SET GLOBAL", "COMMIT"))]
    assert "COMMIT" in found
    assert not server.read_only
    return found


def opened(version: str = MARIADB) -> Server:
    return Server(version, read_only=False, super_read_only=False, cluster=("an-id", "blank"))


@pytest.mark.parametrize("version", [MARIADB, MYSQL])
@pytest.mark.parametrize("waits", ["heartbeat", "client"])
async def test_the_end_of_a_heartbeat_that_waits_acknowledges_no_write_of_its_group(
    version: str, waits: str
) -> None:
    """It is ended by making the server read-only, which keeps others from joining the group."""
    server = opened(version)
    server.sessions, server.waiting = sessions(waits), True
    closing = f"SET GLOBAL {'' if version == MARIADB else 'super_'}read_only = ON"
    # Without clients nobody can take a write for an acknowledged one, and MySQL waits no more.
    enabling = [] if version == MARIADB else ["SET GLOBAL rpl_semi_sync_source_enabled = ON"]
    opening = "SET GLOBAL read_only = OFF"
    assert await after_reset(server) == [closing, "COMMIT", *enabling, opening]


def reset_behind_a_client() -> Server:
    """An open primary whose log was reset, and whose heartbeat waits behind a client's commit."""
    made = opened()
    made._apply("INSERT INTO peerdisco.epochs (x) VALUES (1, 'an-epoch', NULL")
    made._apply("INSERT INTO peerdisco.heartbeat VALUES ('an-epoch', 1")
    made.epochs[0]["server"] = "101"
    assert made.beat is not None
    made.beat["position"] = "0-101-9|"
    made.sessions, made.waiting = sessions("client"), True
    return made


async def test_a_server_that_was_closed_for_its_waiting_heartbeat_is_opened_again() -> None:
    """Also by a sidecar that has just been started, and then by its successor."""
    made = reset_behind_a_client()
    made.fails = {"START TRANSACTION": ServerError(2013, "lost")}
    with pytest.raises(DatabaseError):
        await as_primary(made)
    assert made.read_only
    made.fails.clear()
    await as_primary(made)
    assert not made.read_only
    assert [row["log_reset"] for row in made.epochs] == [0, 1]


async def test_a_server_that_was_closed_for_its_waiting_heartbeat_waits_again() -> None:
    made = reset_behind_a_client()
    off, on = (Step("waiting", f"SET GLOBAL rpl = {value}") for value in ("OFF", "ON"))
    await as_primary(made, before_epoch=[off], before_open=[on])
    said = [sql for sql in made.sent if sql.startswith("SET GLOBAL")]
    assert said[-2:] == [on.sql, "SET GLOBAL read_only = OFF"]
    assert made.epochs[-1]["log_reset"] == 1


@pytest.mark.parametrize(
    ("version", "waits", "others"),
    [(MARIADB, "", True), (MYSQL, "", True), (MYSQL, "heartbeat", False)],
)
async def test_a_heartbeat_that_acknowledges_nothing_ends_alone(
    version: str, waits: str, others: bool
) -> None:
    server = opened(version)
    server.sessions, server.waiting = sessions(waits), True
    if not others:
        server.sessions = [one for one in server.sessions if one["Info"] != "COMMIT"]
        server.sessions.append({"Id": 1, "User": "peerdisco", "Command": "Query", "State": "init",
                                "Info": "SHOW PROCESSLIST"})  # fmt: skip
    assert await after_reset(server) == ["KILL 7", "COMMIT"]


@pytest.mark.parametrize("version", [MARIADB, MYSQL])
async def test_the_account_is_made_without_a_trace(version: str) -> None:
    server = Server(version)
    await ensure_account(server, "db", await read_facts(server, "db"), REPLICATION)
    done = doings(server.sent)
    first = done.index("SET SESSION sql_log_bin")
    assert done[first + 1] == "CREATE USER IF NOT EXISTS"
    assert done[first:].index("SET SESSION sql_log_bin") == 0
    assert server.super_read_only, "it is left as it was"


async def test_a_nudge_stops_and_starts_the_receiver_alone() -> None:
    server = Server()
    assert await nudge(server, "db", await read_facts(server, "db")) == ()
    await as_replica(server, Server(server_id=100, cluster=("an-id", "blank")))
    del server.sent[:]
    assert await nudge(server, "db", await read_facts(server, "db"))
    assert server.sent == [SESSION, "STOP REPLICA IO_THREAD", "START REPLICA IO_THREAD"]


async def test_what_is_cancelled_goes_on_next_time() -> None:
    class Hanging(Server):
        async def execute(self, sql: str, /):  # type: ignore[no-untyped-def]
            if sql.startswith("CHANGE") and not released.is_set():
                reached.set()
                await asyncio.Event().wait()
            return await super().execute(sql)

    released, reached = asyncio.Event(), asyncio.Event()
    primary = Server(server_id=100, cluster=("an-id", "blank"))
    server = Hanging()
    doing = asyncio.create_task(as_replica(server, primary))
    await reached.wait()
    doing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await doing
    released.set()
    assert (await as_replica(server, primary)).verdict
    assert server.replica is not None

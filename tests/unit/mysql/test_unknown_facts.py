"""Facts that a server does not give: unknown is not empty, and no reason to follow."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest

from peerdisco.mysql.decisions import judge_replica
from peerdisco.mysql.dialects import ReplicationSource
from peerdisco.mysql.errors import DatabaseError
from peerdisco.mysql.facts import _history, _on, _user_schemas, read_facts, read_mark
from peerdisco.mysql.setup import Account, accounts_sql
from peerdisco.mysql.status import ReplicaStatus
from peerdisco.mysql.tables import CLUSTER_SCHEMA
from peerdisco.mysql.versions import Flavour
from peerdisco.primary.verdicts import Decision

from .servers import CLUSTER, MARIADB, MYSQL, SOURCE_HOST, Server, ServerError, facts


def test_a_server_that_is_no_replica_has_received_nothing() -> None:
    assert facts().received is None


def test_a_replica_whose_schemas_are_hidden_is_not_connected() -> None:
    source = ReplicationSource(SOURCE_HOST, 3306, Account("repl", "secret"))
    primary = facts(schemas=("shop",), cluster=CLUSTER, read_only=False, server_id=100)
    verdict = judge_replica(facts(schemas=None), primary, source)
    assert verdict.decision is not Decision.ALLOWED
    assert "GRANT SHOW DATABASES" in str(verdict)


def test_a_status_without_a_column_names_it() -> None:
    with pytest.raises(KeyError, match="Replica_IO_Running"):
        ReplicaStatus.of_row({})


@pytest.mark.parametrize("version", [MARIADB, MYSQL])
async def test_received_transactions_that_are_not_understood(version: str) -> None:
    server = Server(version)
    server._apply("CHANGE MASTER TO MASTER_HOST = 'db-0', MASTER_PORT = 3306, MASTER_USER = 'repl'")
    assert server.replica is not None
    assert (await read_facts(server, "db-1")).received is not None
    server.replica["Gtid_IO_Pos" if server.mariadb else "Retrieved_Gtid_Set"] = "0-1-2,seven"
    with pytest.raises(DatabaseError, match="db-1: reading its state"):
        await read_facts(server, "db-1")


@pytest.mark.parametrize("version", [MARIADB, MYSQL])
@pytest.mark.parametrize(
    ("question", "rows"),
    [
        ("SELECT VERSION()", []),
        ("SELECT VERSION()", [{"version": MARIADB}]),
        ("SELECT @@global", []),
        ("SELECT @@global", [{"server_id": None}]),
        ("SELECT @@global", [{"server_id": "9" * 5000, "read_only": 1, "log_bin": 1}]),
        ("SELECT @@global", [{"server_id": Decimal("1E+1000000"), "read_only": 1, "log_bin": 1}]),
        ("SELECT @@global", [{"server_id": float("inf"), "read_only": 1, "log_bin": 1}]),
        ("SHOW DATABASES", [{"Database": "mysql", "Owner": "root"}]),
        ("SHOW REPLICA STATUS", [{"Source_Host": "db-0"}]),
        ("SHOW REPLICA STATUS", [{}]),
    ],
)
async def test_an_answer_that_is_not_understood_is_an_error_of_the_server(
    version: str, question: str, rows: list[dict[str, Any]]
) -> None:
    class Odd(Server):
        async def execute(self, sql: str, /) -> Sequence[Mapping[str, Any]]:
            return rows if sql.startswith(question) else await super().execute(sql)

    with pytest.raises(DatabaseError, match="db-1: reading") as caught:
        await read_facts(Odd(version), "db-1")
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("flavour", Flavour)
def test_accounts_without_one_of_the_sidecar(flavour: Flavour) -> None:
    statements = accounts_sql(flavour, replication=Account("repl", "secret"))
    accounts = [one for one in statements if one.startswith("CREATE USER")]
    assert len(accounts) == 1
    assert "'repl'" in accounts[0]


@pytest.mark.parametrize("flavour", Flavour)
def test_accounts_of_the_sidecar_alone(flavour: Flavour) -> None:
    statements = accounts_sql(flavour, local=Account("sidecar", "secret"))
    accounts = [one for one in statements if one.startswith("CREATE USER")]
    assert accounts
    assert all("'sidecar'@" in one and "'%'" not in one for one in accounts)


def test_schemas_are_known_only_to_an_account_that_is_shown_all_of_them() -> None:
    """Without SHOW DATABASES an account sees its own schemas only: never "no data"."""
    assert _user_schemas(["information_schema", "shop"]) is None
    assert _user_schemas([]) is None
    assert _user_schemas(["information_schema", "mysql", "performance_schema", "sys"]) == ()
    assert _user_schemas(["mysql", "shop", CLUSTER_SCHEMA]) == ("shop",)


@pytest.mark.parametrize(
    ("value", "on"), [(b"ON", True), (b"OFF", False), ("NO_LOCK", True), (0, False), (None, False)]
)
def test_a_variable_is_on_whatever_type_the_driver_returns(value: object, on: bool) -> None:
    assert _on(value) is on


@pytest.mark.parametrize("row", [{}, {"number": "one"}])
async def test_a_history_that_cannot_be_read_is_an_error_and_not_an_empty_one(
    row: dict[str, str],
) -> None:
    with pytest.raises(DatabaseError, match="reading the tables of"):
        await _history("db-0", [row], [])


async def test_more_epochs_than_were_asked_for_are_refused() -> None:
    server = Server(cluster=("a", "blank"))
    server.epochs = [server._epoch(number, f"e-{number}", reset=False) for number in range(1, 129)]
    assert len((await read_facts(server, "db-1")).history.epochs) == 128
    server.epochs *= 2
    with pytest.raises(DatabaseError, match="256 epochs, although 128 were asked for"):
        await read_facts(server, "db-1")


async def test_others_run_while_long_positions_are_read() -> None:
    """A peer may send 4 MiB of them, which take a second."""
    server = Server(cluster=("a", "blank"))
    server.epochs = [server._epoch(number, f"e-{number}", reset=False) for number in range(1, 101)]
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count())
    await read_facts(server, "db-1")
    counting.cancel()
    assert turns > 100


@pytest.mark.parametrize(("version", "value"), [(MARIADB, "0-1"), (MYSQL, "uuid")])
async def test_a_position_that_is_not_understood_names_the_server(version: str, value: str) -> None:
    server = Server(version)
    sound = await read_facts(server, "db-1")
    server.logged = value
    with pytest.raises(DatabaseError, match=r"db-1: reading its state: .*cannot be understood"):
        await read_mark(server, "db-1", sound)


@pytest.mark.parametrize("version", [MARIADB, MYSQL])
async def test_a_server_that_fails_while_its_position_is_read_is_named(version: str) -> None:
    server = Server(version)
    sound = await read_facts(server, "db-1")
    server.fails["SELECT @@global"] = ServerError(2013, "Lost connection during query")
    with pytest.raises(
        DatabaseError, match=r"db-1: asking how far it is.*Lost connection"
    ) as caught:
        await read_mark(server, "db-1", sound)
    assert caught.value.errno == 2013


async def test_a_server_that_ends_while_its_log_is_compared() -> None:
    server = Server(MARIADB, server_id=100, read_only=False, cluster=("an-id", "blank"))
    server._apply("INSERT INTO peerdisco.epochs (x) VALUES (1, 'an-epoch', NULL")
    server._apply("INSERT INTO peerdisco.heartbeat VALUES ('an-epoch', 1")
    server.fails["SELECT log_name"] = ServerError(1053, "Server shutdown in progress")
    with pytest.raises(DatabaseError, match="comparing its binary log"):
        await read_facts(server, "db-0")

"""Both dialects as real servers were heard speaking them, where there is no such server."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from typing import Any

import pytest

from peerdisco.mysql import (
    Account,
    Action,
    Flavour,
    Receiver,
    ReplicaStatus,
    ReplicationSource,
    ServerFacts,
    Version,
    accounts_sql,
    classify,
    read_facts,
)
from peerdisco.mysql.dialects import Dialect, Step

from . import mariadb
from .accounts import TRIALS
from .record import two
from .recorded import Recorded, grants, recorded
from .situations import SITUATIONS
from .statements import outcomes

FLAVOURS = ("mariadb", "mysql")
RUNNING, CONNECTING, STOPPED = Receiver.RUNNING, Receiver.CONNECTING, Receiver.STOPPED

REPLICAS: dict[str, tuple[Receiver, bool, tuple[int, int], tuple[int, int]]] = {
    # receiver, whether the applier runs, the errors of the one and the other (MariaDB, MySQL)
    "configured": (STOPPED, False, (0, 0), (0, 0)),
    "replicating": (RUNNING, True, (0, 0), (0, 0)),
    "stopped": (STOPPED, False, (0, 0), (0, 0)),
    "receiver-stopped": (STOPPED, True, (0, 0), (0, 0)),
    "applier-stopped": (RUNNING, False, (0, 0), (0, 0)),
    "name-unknown": (CONNECTING, True, (2005, 2005), (0, 0)),
    "wrong-password": (CONNECTING, True, (1045, 1045), (0, 0)),
    "not-granted": (CONNECTING, True, (1597, 13120), (0, 0)),
    "same-server-id": (STOPPED, True, (1593, 13117), (0, 0)),
    "duplicate-key": (RUNNING, False, (0, 0), (1062, 1062)),
    "row-missing": (RUNNING, False, (0, 0), (1032, 1032)),
    "table-missing": (RUNNING, False, (0, 0), (1146, 1146)),
    "user-exists": (RUNNING, False, (0, 0), (1396, 1396)),
    "logs-purged": (STOPPED, True, (1236, 13114), (0, 0)),
    "logs-reset": (STOPPED, True, (1236, 13114), (0, 0)),
    "source-wiped-and-ahead": (RUNNING, True, (0, 0), (0, 0)),
    "primary-down": (CONNECTING, True, (2003, 2003), (0, 0)),
}
ONLY: dict[str, dict[str, tuple[Receiver, bool, int, int]]] = {
    "mariadb": {
        # DDL that has happened already is applied as if nothing had been there.
        "schema-exists": (RUNNING, True, 0, 0),
        "own-write": (RUNNING, False, 0, 1950),
        "source-wiped": (STOPPED, True, 1236, 0),
    },
    "mysql": {
        "schema-exists": (RUNNING, False, 0, 1007),
        # Neither is noticed: the transactions of another server are just others.
        "own-write": (RUNNING, True, 0, 0),
        "source-wiped": (RUNNING, True, 0, 0),
        "public-key-missing": (CONNECTING, True, 2061, 0),
        "retries-exhausted": (STOPPED, True, 2003, 0),
    },
}

WAITS = {2003, 2005}
MENDS = {1593, 1045, 1597, 13120, 2061}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_every_situation_was_recorded(flavour: str) -> None:
    names = {situation.__name__.replace("_", "-") for situation in SITUATIONS[flavour]}
    assert set(recorded(flavour).replica_status) == names
    assert names == {"not-a-replica", *REPLICAS, *ONLY[flavour]}
    assert recorded(flavour).replica_status["not-a-replica"] == ()


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_both_families_are_read_alike(flavour: str) -> None:
    index = FLAVOURS.index(flavour)
    expected = ONLY[flavour] | {
        name: (receiver, applies, receiving[index], applying[index])
        for name, (receiver, applies, receiving, applying) in REPLICAS.items()
    }
    found = {
        name: (status.receiver, status.applier_running, status.receiver_errno, status.applier_errno)
        for name, status in statuses(recorded(flavour)).items()
    }
    assert found == expected


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_no_lag_is_told_where_none_can_be_known(flavour: str) -> None:
    """MySQL says 0 of a receiver that has no connection."""
    for name, status in statuses(recorded(flavour)).items():
        assert (status.lag is not None) == status.running, name
        assert status.gtid, name
        assert (status.source_user, status.source_port > 0) in {
            ("replication", True), ("probe", True),
        }  # fmt: skip
        assert status.source_host == ("mysql-0.invalid" if name == "name-unknown" else "127.0.0.1")


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_every_error_that_was_heard_asks_for_something(flavour: str) -> None:
    for name, status in statuses(recorded(flavour)).items():
        if errno := status.receiver_errno:
            wanted = (
                Action.WAIT if errno in WAITS
                else Action.MEND if errno in MENDS
                else Action.REFUSE
            )  # fmt: skip
            assert classify(errno) is wanted, name
        if errno := status.applier_errno:
            assert classify(errno, applying=True) is Action.REFUSE, name


def statuses(recording: Recorded) -> dict[str, ReplicaStatus]:
    return {
        name: ReplicaStatus.of_row(rows[0])
        for name, rows in recording.replica_status.items()
        if rows
    }


# Statements.

SOURCE = ReplicationSource("mysql-0.invalid", 3306, Account("r", "p"))


def version(recording: Recorded) -> Version:
    row = recording.variables["not-a-replica, replica"]
    return Version.parse(row["VERSION()"], row["@@version_comment"])


def steps(words: Dialect) -> list[Step]:
    return [
        words.follow(SOURCE), words.start(), words.stop(), words.start_receiver(),
        words.stop_receiver(), words.forget_source(), *words.forget_own_log(), words.close(),
        *words.open_to_some(),
    ]  # fmt: skip


def plain(sql: str) -> str:
    """Without what is written in one way or another."""
    return re.sub(r"\s*=\s*", "=", sql).split(" TO ", maxsplit=1)[0]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_family_takes_what_is_said_to_it(flavour: str) -> None:
    recording = recorded(flavour)
    assert version(recording).flavour is Flavour(flavour)
    for step in steps(Dialect(version(recording))):
        assert recording.takes(plain(step.sql)), step.sql


@pytest.mark.parametrize(("flavour", "other"), [FLAVOURS, FLAVOURS[::-1]])
def test_the_other_family_does_not(flavour: str, other: str) -> None:
    """Which is why it has to be asked first who it is."""
    words = Dialect(version(recorded(flavour)))
    for step in (words.follow(SOURCE), words.forget_own_log()[0]):
        assert recorded(other).errno(plain(step.sql)) == 1064


# Facts.


class Replay:
    """A server that says what was recorded."""

    def __init__(self, recording: Recorded, situation: str, server: str, account: str) -> None:
        self.recording = recording
        self.situation = situation
        self.variables = recording.variables[f"{situation}, {server}"]
        self.status = recording.replica_status[situation] if server == "replica" else ()
        self.account = account

    async def execute(self, sql: str, /) -> Sequence[dict[str, Any]]:
        if sql == "SHOW DATABASES":
            return [dict(row) for row in self.recording.databases[self.account]]
        if sql == "SHOW REPLICA STATUS":
            return [dict(row) for row in self.status]
        if "FROM peerdisco." in sql:
            raise LookupError(1146, "Table 'peerdisco.cluster' doesn't exist")
        if sql.startswith(("SHOW GLOBAL STATUS LIKE 'Binlog_", "SHOW BINARY LOG STATUS")):
            return []
        columns = re.findall(r"(\S+) AS (\w+)", sql)
        assert columns, sql
        return [
            {name: self.variables[column.replace("@@global.", "@@")] for column, name in columns}
        ]


async def facts(flavour: str, situation: str, server: str, account: str = "root") -> ServerFacts:
    return await read_facts(Replay(recorded(flavour), situation, server, account), "recorded")


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_facts_are_read_from_what_a_server_says(flavour: str) -> None:
    source = await facts(flavour, "replicating", "source")
    replica = await facts(flavour, "replicating", "replica")
    assert (source.server_id, replica.server_id) == (100, 101)
    assert source.status is None
    assert replica.status is not None
    assert replica.status.running
    assert source.log_bin
    assert source.gtid_mode
    assert not source.read_only
    assert source.schemas == ("shop-2",)
    assert source.cluster is None
    assert not source.position.empty
    assert not replica.position.beyond(source.position)
    assert not source.position.beyond(replica.position)
    blank = await facts(flavour, "not-a-replica", "replica")
    assert blank.position.empty
    assert blank.status is None


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_an_account_that_may_not_see_the_schemas_knows_nothing_of_them(flavour: str) -> None:
    seen = await facts(flavour, "replicating", "source", "least")
    assert seen.schemas is None
    assert seen.holds_data is None


# Privileges.

PRIVILEGE = re.compile(r"GRANT (.*) ON (\S+) TO '(\w+)'@")
ACCOUNTS = {"peerdisco": "sidecar", "peerdisco_replication": "replication"}
RESERVED = {
    ("mariadb", "peerdisco"): {"CONNECTION ADMIN ON *.*", "PROCESS ON *.*"},
    ("mysql", "peerdisco"): {"PROCESS ON *.*"},
}
"""What no statement of the trial needs: the first the login when all connections are used, the
other the closing of a server on which writes wait for a replica."""


def granted(flavour: str) -> dict[str, set[str]]:
    """What the accounts get that this package makes."""
    found: dict[str, set[str]] = {}
    statements = accounts_sql(
        Flavour(flavour),
        local=Account("peerdisco", "p"),
        replication=Account("peerdisco_replication", "p"),
        backup=Account("peerdisco_backup", "p"),
    )
    for match in filter(None, map(PRIVILEGE.match, statements)):
        privileges = match[1].split(", ")
        found.setdefault(match[3], set()).update(f"{one} ON {match[2]}" for one in privileges)
    return found


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_accounts_get_what_they_were_found_to_need_and_no_more(flavour: str) -> None:
    for user, account in ACCOUNTS.items():
        reserved: set[str] = RESERVED.get((flavour, user), set())
        assert granted(flavour)[user] - reserved == set(grants(flavour, account))
        assert reserved <= granted(flavour)[user]


FILES = {
    f"{privilege} ON *.*" for privilege in ("PROCESS", "RELOAD", "LOCK TABLES", "BINLOG MONITOR")
}
"""For mariadb-backup, whose copies tests/examples tests; PROCESS shows ALTER TABLE in progress."""


def test_the_backup_account_can_make_a_whole_dump() -> None:
    assert granted("mariadb")["peerdisco_backup"] == {*grants("mariadb", "dump"), *FILES}
    needed = {*grants("mysql", "dump"), *grants("mysql", "clone")}
    # RELOAD holds FLUSH_TABLES, which MySQL has since 8.0.23 only.
    assert needed - granted("mysql")["peerdisco_backup"] <= {"FLUSH_TABLES ON *.*"}


@pytest.mark.timeout(180)
def test_a_server_here_says_what_was_recorded() -> None:
    """So does whoever records again."""
    if (reason := mariadb.missing()) is not None:
        pytest.skip(reason)
    program = shutil.which("mariadbd")
    assert program is not None
    with two(program) as pair:
        said = outcomes(pair.replica)
        heard = recorded("mariadb").statements
        assert [numbered(one) for one in said] == [numbered(one) for one in heard]
        pair.reset()
        for trial in TRIALS["mariadb"][:2]:
            needed = grants("mariadb", trial.account.removeprefix("trial_"))
            found = trial.attempt(
                pair.source, pair.replica,
                [one for one in trial.candidates if str(one) in needed],
            )  # fmt: skip
            assert set(found.values()) == {"ok"}


def numbered(statement: Any) -> tuple[str, str, int | None]:
    return statement["as"], statement["sql"], statement.get("errno")

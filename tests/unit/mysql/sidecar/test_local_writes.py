"""What a replica wrote into its own log, in logs that are read with several statements."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from peerdisco.mysql.facts import read_facts
from peerdisco.mysql.own_log import MOST_EVENTS
from peerdisco.mysql.sidecar.local_writes import LocalWrites

from ..servers import MARIADB, Server
from .test_moves import CLUSTER

TRANSACTIONS = MOST_EVENTS
"""Of the primary; each is four events."""
EVENT_SIZE = 10


class LongLog(Server):
    """A replica with many transactions of its primary, and one of its own at the end.

    As MariaDB 11 does, it says 0 for the end of an event that is not the last of its transaction.
    """

    statement = "FLUSH TABLES"
    read: list[int]

    def events(self) -> list[tuple[str, str, bool]]:
        own = ("Gtid", f"GTID 0-101-{TRANSACTIONS + 1}", False), ("Query", self.statement, True)
        return [
            ("Format_desc", "Server ver: 11.8.9-MariaDB, Binlog ver: 4", True),
            ("Gtid_list", "[]", True),
            *(
                event
                for number in range(1, TRANSACTIONS + 1)
                for event in (
                    ("Gtid", f"BEGIN GTID 0-100-{number}", True),
                    ("Annotate_rows", "INSERT INTO shop.orders VALUES (1)", False),
                    ("Write_rows_v1", "table_id: 18 flags: STMT_END_F", False),
                    ("Xid", "COMMIT /* xid=9 */", True),
                )
            ),
            *own,
        ]

    async def execute(self, sql: str, /) -> Sequence[Mapping[str, Any]]:
        if sql == "SHOW BINARY LOGS":
            return [{"Log_name": "binlog.000001"}]
        found = re.fullmatch(r"SHOW BINLOG EVENTS IN '(.*)' FROM (\d+) LIMIT (\d+)", sql)
        if found is None:
            return await super().execute(sql)
        first, most = max(0, int(found[2]) - 4) // EVENT_SIZE, int(found[3])
        self.read.append(first)
        return [
            {
                "Event_type": kind,
                "Info": info,
                "Pos": 4 + number * EVENT_SIZE,
                "End_log_pos": 4 + (number + 1) * EVENT_SIZE if is_last else 0,
            }
            for number, (kind, info, is_last) in enumerate(self.events())
        ][first : first + most]


@pytest.mark.parametrize(
    ("statement", "harmless"), [("FLUSH TABLES", True), ("DELETE FROM shop.orders", False)]
)
async def test_a_log_is_read_to_its_end(statement: str, harmless: bool) -> None:
    primary = Server(MARIADB, 100, read_only=False, cluster=CLUSTER)
    replica = LongLog(MARIADB, 101, cluster=CLUSTER)
    replica.read, replica.statement = [], statement
    primary.logged = f"0-100-{TRANSACTIONS}"
    replica.logged = f"0-100-{TRANSACTIONS},0-101-{TRANSACTIONS + 1}"
    replica.applied = f"0-100-{TRANSACTIONS}"
    own, its = await read_facts(replica, "db-1"), await read_facts(primary, "db-0")
    _, done = await LocalWrites("db-1").drop(replica, own, its)
    assert bool(done) is harmless
    assert replica.read == sorted(set(replica.read)), "no part is read twice"
    assert len(replica.read) == 5


async def test_no_log_is_dropped_while_the_relay_log_has_what_the_primary_does_not_have() -> None:
    """Replication starts again for that, and discards the relay log."""
    primary = Server(MARIADB, 100, read_only=False, cluster=CLUSTER, logged=f"0-100-{TRANSACTIONS}")
    replica = LongLog(MARIADB, 101, cluster=CLUSTER)
    replica.read = []
    replica.logged = f"0-100-{TRANSACTIONS},0-101-{TRANSACTIONS + 1}"
    replica.applied = f"0-100-{TRANSACTIONS}"
    replica.replica = {**replica._row("db-0", 3306, "repl"), "Slave_SQL_Running": "Yes"}
    for received, dropped in ((TRANSACTIONS + 50, False), (TRANSACTIONS, True)):
        replica.replica["Gtid_IO_Pos"] = f"0-100-{received}"
        own, its = await read_facts(replica, "db-1"), await read_facts(primary, "db-0")
        _, done = await LocalWrites("db-1").drop(replica, own, its)
        assert bool(done) is dropped

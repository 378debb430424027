"""A server that answers questions from a few values, and applies the statements it is sent to them.

It stands where what is tested is which statements are sent and in what order; that real servers
take them is shown in ``tests/mysql``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from peerdisco.mysql.facts import ClusterRow, ServerFacts
from peerdisco.mysql.positions import GtidSet, MariaDBPosition
from peerdisco.mysql.status import Receiver, ReplicaStatus
from peerdisco.mysql.versions import Version

MARIADB = "10.11.19-MariaDB"
MYSQL = "8.4.3"
UUID = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
ORIGIN = "5e11fa47-71ca-11e1-9e33-c80aa9429562"
"""The UUID of a MySQL server that is tested; `UUID` is that of its source."""
CLUSTER = ClusterRow("5f0c2a4e-0000-4000-8000-000000000001", from_blank=True)
SOURCE_HOST = "db-0.db.shop.svc.cluster.local"


def uuid_of(server_id: int) -> str:
    """The ``server_uuid`` of a MySQL server: each has its own."""
    known = {100: UUID, 101: ORIGIN}
    return known.get(server_id, f"{server_id:08x}{UUID[8:]}")


def facts(version: str = MARIADB, **given: Any) -> ServerFacts:
    """A blank, read-only server, but for what is given."""
    parsed = Version.parse(version)
    mariadb = parsed.flavour.value == "mariadb"
    position = given.pop("position", "")
    found: dict[str, Any] = {
        "version": parsed,
        "server_id": 101,
        "origin": "101" if mariadb else uuid_of(given.get("server_id", 101)),
        "read_only": True,
        "closed": True,
        "log_bin": True,
        "gtid_mode": True,
        "schemas": (),
        "cluster": None,
        "position": MariaDBPosition.parse(position, "") if mariadb else GtidSet.parse(position),
        "purged": None if mariadb else GtidSet.parse(given.pop("purged", "")),
        "status": None,
    }
    return ServerFacts(**{**found, **given})


def status(**given: Any) -> ReplicaStatus:
    """A replica that replicates from db-0, but for what is given."""
    found: dict[str, Any] = {
        "source_host": SOURCE_HOST,
        "source_port": 3306,
        "source_user": "repl",
        "gtid": True,
        "receiver": Receiver.RUNNING,
        "applier_running": True,
        "lag": 0,
    }
    return ReplicaStatus(**{**found, **given})


def primary_at(version: str, last: int, **given: Any) -> ServerFacts:
    """An open primary that has written this many transactions, but for what is given."""
    mariadb = version == MARIADB
    found = facts(
        version,
        position=f"0-100-{last}" if mariadb else f"{UUID}:1-{last}",
        cluster=CLUSTER,
        origin="100" if mariadb else UUID,
        read_only=False,
    )
    return replace(found, **given)


def replica_at(version: str, last: int, **given: Any) -> ServerFacts:
    """A replica that has applied this many of them, but for what is given."""
    own = {"origin": "101", "read_only": True, "status": status()}
    return primary_at(version, last, **{**own, **given})


class ServerError(Exception):
    """As drivers of PyMySQL's kind raise it."""


@dataclass
class Server:
    """A MariaDB server, or a MySQL one.

    Attributes:
        sent: The statements that it was sent, questions left out.
        fails: What is raised for a statement that begins so.
        locked: Whether somebody else has the lock of the primary's role.
    """

    version: str = MARIADB
    server_id: int = 101
    read_only: bool = True
    super_read_only: bool = True
    schemas: list[str] = field(default_factory=list)
    cluster: tuple[str, str] | None = None
    logged: str = ""
    applied: str = ""
    owned: str = ""
    replica: dict[str, Any] | None = None
    log_number: int = 2
    epochs: list[dict[str, Any]] = field(default_factory=list)
    beat: dict[str, Any] | None = None
    sessions: list[dict[str, Any]] = field(default_factory=list)
    waiting: bool = False
    sees_sessions: bool = True
    locked: bool = False
    sent: list[str] = field(default_factory=list)
    fails: dict[str, Exception] = field(default_factory=dict)

    @property
    def mariadb(self) -> bool:
        return "MariaDB" in self.version

    async def execute(self, sql: str, /) -> Sequence[Mapping[str, Any]]:
        for beginning, error in self.fails.items():
            if sql.startswith(beginning):
                raise error
        if sql.startswith("SELECT VERSION()"):
            return [{"version": self.version, "comment": ""}]
        if sql.startswith("SELECT @@global"):
            return [self._variables()]
        if sql == "SHOW DATABASES":
            ours = ["peerdisco"] if "peerdisco" in self.schemas or self.cluster else []
            names = {"mysql", "information_schema", *self.schemas, *ours}
            return [{"Database": name} for name in sorted(names)]
        if sql.startswith("SELECT id, origin"):
            return [dict(zip(("id", "origin"), self.cluster, strict=True))] if self.cluster else []
        if sql.startswith("SELECT number"):
            return list(self.epochs)
        if sql.startswith("SELECT epoch"):
            return [self.beat] if self.beat else []
        log = ("SHOW GLOBAL STATUS LIKE 'Binlog_", "SHOW BINARY LOG STATUS", "SHOW MASTER STATUS")
        if sql.startswith(log):
            name = f"binlog.{self.log_number:06}"
            if not self.mariadb:
                return [{"File": name, "Position": 400}]
            snapshot = {"Binlog_snapshot_file": name, "Binlog_snapshot_position": "400"}
            return [{"Variable_name": one, "Value": value} for one, value in snapshot.items()]
        if sql.startswith("SELECT BINLOG_GTID_POS"):
            return [{"shown": None}]
        if sql.startswith("SHOW") and "_semi_sync_" in sql and self.waiting:
            return [{"Variable_name": "Rpl_semi_sync_master_wait_sessions", "Value": "1"}]
        if "USER_PRIVILEGES" in sql:
            return [{"sees": 1}] if self.sees_sessions else []
        if "_LOCK('peerdisco.role'" in sql:
            return [{"found": 0 if self.locked else 1}]
        if sql.startswith("SELECT CONNECTION_ID"):
            return [{"id": 1}]
        if sql.startswith(("SHOW GLOBAL", "SELECT 1", "SELECT log_name", "SHOW BINLOG EVENTS")):
            return []
        if sql == "SHOW REPLICA STATUS":
            return [self.replica] if self.replica else []
        if sql == "SHOW PROCESSLIST":
            return list(self.sessions)
        self.sent.append(sql)
        self._apply(sql)
        return []

    @property
    def position(self) -> str:
        return f"{self.logged}|{self.applied}" if self.mariadb else self.logged

    def _variables(self) -> dict[str, Any]:
        common = {"server_id": self.server_id, "read_only": int(self.read_only), "log_bin": 1}
        if self.mariadb:
            return {**common, "logged": self.logged, "applied": self.applied}
        closed = int(self.super_read_only)
        gtids = {"gtid_mode": "ON", "owned": self.owned, "executed": self.logged, "purged": ""}
        return {
            **common,
            "server_uuid": uuid_of(self.server_id),
            "super_read_only": closed,
            **gtids,
        }

    def _apply(self, sql: str) -> None:
        if sql == "SET GLOBAL read_only = OFF":
            self.read_only = self.super_read_only = False
        elif sql in ("SET GLOBAL read_only = ON", "SET GLOBAL super_read_only = ON"):
            self.read_only = self.super_read_only = True
        elif sql == "SET GLOBAL super_read_only = OFF":
            self.super_read_only = False
        elif sql in ("RESET MASTER", "RESET BINARY LOGS AND GTIDS"):
            self.logged, self.log_number = "", 1
        elif found := re.match(r"SET GLOBAL gtid_binlog_state = '(.*)'", sql):
            self.logged = found[1]
        elif sql == "FLUSH BINARY LOGS":
            self.log_number += 1
        elif found := re.match(r"INSERT INTO peerdisco.epochs .* VALUES \((\d+), '(.*?)'", sql):
            self.epochs.append(self._epoch(int(found[1]), found[2], reset=sql.endswith("1)")))
        elif "INTO peerdisco.heartbeat" in sql or sql.startswith("UPDATE peerdisco.heartbeat"):
            self._renew(sql)
        elif found := re.match(r"INSERT INTO peerdisco.cluster .*\(1, '(.*?)', '(.*?)'", sql):
            self.cluster = (found[1], found[2])
        elif sql == "RESET REPLICA ALL":
            self.replica = None
        elif found := re.match(
            r"CHANGE .* TO \w+_HOST = '(.*?)', \w+_PORT = (\d+), \w+_USER = '(.*?)'", sql
        ):
            self.replica = self._row(found[1], int(found[2]), found[3])
        elif self.replica is not None and sql.startswith(("START REPLICA", "STOP REPLICA")):
            runs = "Yes" if sql.startswith("START") else "No"
            word = "Slave" if self.mariadb else "Replica"
            if "SQL_THREAD" not in sql:
                self.replica[f"{word}_IO_Running"] = runs
                if runs == "Yes":
                    self.replica["Last_IO_Errno"] = 0
            if "IO_THREAD" not in sql:
                self.replica[f"{word}_SQL_Running"] = runs

    def _epoch(self, number: int, name: str, *, reset: bool) -> dict[str, Any]:
        beat = self.beat or {"counter": None, "beat_at": None}
        return {
            "number": number, "id": name, "ordinal": 0, "opened_at": "2026-01-01 00:00:00",
            "predecessor": self.epochs[-1]["id"] if self.epochs else None,
            "server": str(self.server_id) if self.mariadb else ORIGIN, "log_reset": int(reset),
            "left_position": self.position, "left_beat": beat["counter"],
            "left_beat_at": beat["beat_at"],
        }  # fmt: skip

    def _renew(self, sql: str) -> None:
        if "WHERE" in sql and self.read_only:
            return
        before = self.beat or {"epoch": "", "counter": 0}
        log = re.search(r"log_number = (\d+)", sql)
        found = re.search(r"epoch = '(.*?)'|VALUES \('(.*?)'", sql.partition("WHERE")[0])
        self.beat = {
            "epoch": (found[1] or found[2]) if found else before["epoch"],
            "counter": before["counter"] + 1, "beat_at": "2026-01-01 00:00:00",
            "position": self.position,
            "log_number": int(log[1]) if log else self.log_number,
        }  # fmt: skip

    def _row(self, host: str, port: int, user: str) -> dict[str, Any]:
        mariadb = self.mariadb
        source, replica = ("Master", "Slave") if mariadb else ("Source", "Replica")
        gtid = {"Using_Gtid": "Slave_Pos"} if mariadb else {"Auto_Position": 1}
        errors = {
            f"Last_{thread}_{what}": 0 if what == "Errno" else ""
            for thread in ("IO", "SQL")
            for what in ("Errno", "Error")
        }
        return {
            f"{source}_Host": host,
            f"{source}_Port": port,
            f"{source}_User": user,
            f"{replica}_IO_Running": "No",
            f"{replica}_SQL_Running": "No",
            f"Seconds_Behind_{source}": 0,
            "Gtid_IO_Pos" if mariadb else "Retrieved_Gtid_Set": "",
            **gtid,
            **errors,
        }


class Opened:
    """A connection to such a server."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.closed = False

    def close(self) -> None:
        self.closed = True

    async def execute(self, sql: str, /) -> Sequence[Mapping[str, Any]]:
        assert not self.closed
        return await self.server.execute(sql)


def doings(sent: Sequence[str]) -> list[str]:
    """What statements do, by their first words."""
    return [re.sub(r"('.*|\(.*|[=,].*)", "", statement).strip() for statement in sent]

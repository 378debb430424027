"""Situations that a replica gets into, brought about on two real servers, and what it says then."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pymysql

from tests.mysql.daemon import Daemon
from tests.mysql.trials import rows

Row = dict[str, Any]
PASSWORD = "recorded"
WITHIN = 30.0


@dataclass
class Pair:
    """A source and its replica, blank at the start of each situation."""

    source: Daemon
    replica: Daemon

    @property
    def mariadb(self) -> bool:
        return self.replica.flavour == "mariadb"

    def on_source(self, *statements: str) -> None:
        with self.source.connect() as root:
            for sql in statements:
                rows(root, sql)

    def on_replica(self, *statements: str) -> None:
        with self.replica.connect() as root:
            for sql in statements:
                rows(root, sql)

    def unseen_on_replica(self, *statements: str) -> None:
        """What leaves no trace in the binary log."""
        self.on_replica("SET SESSION sql_log_bin=0", *statements)

    def change(self, **options: object) -> str:
        """The statement that points the replica to its source, in the words of its flavour."""
        if self.mariadb:
            given: dict[str, object] = {
                "MASTER_HOST": "127.0.0.1", "MASTER_PORT": self.source.port,
                "MASTER_USER": "replication", "MASTER_PASSWORD": PASSWORD,
                "MASTER_CONNECT_RETRY": 1, "MASTER_HEARTBEAT_PERIOD": 2,
            }  # fmt: skip
            prefix, words = "CHANGE MASTER TO ", "MASTER_USE_GTID=slave_pos"
        else:
            given = {
                "SOURCE_HOST": "127.0.0.1", "SOURCE_PORT": self.source.port,
                "SOURCE_USER": "replication", "SOURCE_PASSWORD": PASSWORD,
                "SOURCE_CONNECT_RETRY": 1, "SOURCE_RETRY_COUNT": 86400,
                "SOURCE_HEARTBEAT_PERIOD": 2, "GET_SOURCE_PUBLIC_KEY": 1,
            }  # fmt: skip
            prefix, words = "CHANGE REPLICATION SOURCE TO ", "SOURCE_AUTO_POSITION=1"
        word = "MASTER_" if self.mariadb else "SOURCE_"
        given |= {word + name: value for name, value in options.items()}
        return prefix + ", ".join(
            [*(f"{name}={value!r}" for name, value in given.items() if value is not None), words]
        )

    def replicate(self, **options: object) -> None:
        self.on_replica(self.change(**options), "START REPLICA")

    def status(self) -> list[Row]:
        with self.replica.connect() as root:
            return rows(root, "SHOW REPLICA STATUS")

    def wait(self, holds: Callable[[Row], bool]) -> None:
        deadline = time.monotonic() + WITHIN
        while not holds(read(self.status()[0])):
            if time.monotonic() > deadline:
                raise AssertionError(self.status()[0])
            time.sleep(0.05)

    def reset(self) -> None:
        # The replica first: while it tries to connect, MySQL keeps the password's hash for it.
        for daemon in (self.replica, self.source):
            if daemon.process is None:
                daemon.start()
            mariadb = daemon.flavour == "mariadb"
            with daemon.connect() as root:
                for sql in ("STOP REPLICA", "RESET REPLICA ALL", "SET SESSION sql_log_bin=0"):
                    rows(root, sql)
                for row in rows(root, "SHOW DATABASES"):
                    if row["Database"] not in SYSTEM:
                        rows(root, f"DROP DATABASE `{row['Database']}`")
                for user in ("replication", "probe", "both"):
                    rows(root, f"DROP USER IF EXISTS '{user}'@'%'")
                for sql in ACCOUNTS:
                    rows(root, sql)
                rows(root, "RESET MASTER" if mariadb else "RESET BINARY LOGS AND GTIDS")
                if mariadb:
                    rows(root, "SET GLOBAL gtid_slave_pos=''")


SYSTEM = {"information_schema", "performance_schema", "mysql", "sys"}
ACCOUNTS = (
    f"CREATE USER 'replication'@'%' IDENTIFIED BY '{PASSWORD}'",
    "GRANT REPLICATION SLAVE ON *.* TO 'replication'@'%'",
    f"CREATE USER 'probe'@'%' IDENTIFIED BY '{PASSWORD}'",
)
SHOP = ("CREATE DATABASE shop", "CREATE TABLE shop.t (id INT PRIMARY KEY, n INT) ENGINE=InnoDB")


def read(row: Row) -> Row:
    """The row with the names of both flavours made one, as far as the situations need it."""
    same = {}
    for name, value in row.items():
        renamed = name
        for old, new in (("Slave_", "Replica_"), ("Master_", "Source_")):
            if name.startswith(old):
                renamed = new + name.removeprefix(old)
        same[renamed] = value
    return same


def running(row: Row) -> bool:
    return row["Replica_IO_Running"] == "Yes" and row["Replica_SQL_Running"] == "Yes"


def caught_up(row: Row) -> bool:
    behind = row.get("Seconds_Behind_Source", row.get("Seconds_Behind_Master"))
    return running(row) and behind == 0


def io_error(row: Row) -> bool:
    return bool(row["Last_IO_Errno"])


def sql_dead(row: Row) -> bool:
    return bool(row["Last_SQL_Errno"]) and row["Replica_SQL_Running"] == "No"


def not_a_replica(pair: Pair) -> None:
    """Nothing was ever configured."""


def configured(pair: Pair) -> None:
    """Pointed to a source, never started."""
    pair.on_replica(pair.change())


def replicating(pair: Pair) -> None:
    """Both threads run, and everything has been applied."""
    pair.on_source(*SHOP, "INSERT INTO shop.t VALUES (1, 1)")
    pair.replicate()
    pair.wait(lambda row: caught_up(row) and _rows_on(pair) == 1)


def primary_down(pair: Pair) -> None:
    """The source was killed while the replica ran: nothing listens there any more."""
    replicating(pair)
    pair.source.stop(signal.SIGKILL)
    pair.wait(lambda row: row["Last_IO_Errno"] == 2003)  # 2013 may come first


def name_unknown(pair: Pair) -> None:
    """The name of the source does not resolve."""
    pair.replicate(HOST="mysql-0.invalid")
    pair.wait(io_error)


def wrong_password(pair: Pair) -> None:
    """The source knows the account, and another password."""
    pair.replicate(PASSWORD="another")
    pair.wait(io_error)


def not_granted(pair: Pair) -> None:
    """The account may log in and may not replicate."""
    pair.replicate(USER="probe")
    pair.wait(io_error)


def same_server_id(pair: Pair) -> None:
    """Both have one server_id."""
    pair.on_replica(f"SET GLOBAL server_id={pair.source.number}")
    try:
        pair.replicate()
        pair.wait(io_error)
    finally:
        pair.on_replica(f"SET GLOBAL server_id={pair.replica.number}")


def duplicate_key(pair: Pair) -> None:
    """A row was written on the replica, unlogged, and then on the source."""
    replicating(pair)
    pair.unseen_on_replica("INSERT INTO shop.t VALUES (2, 2)")
    pair.on_source("INSERT INTO shop.t VALUES (2, 3)")
    pair.wait(sql_dead)


def row_missing(pair: Pair) -> None:
    """A row was deleted on the replica, unlogged, and then changed on the source."""
    replicating(pair)
    pair.unseen_on_replica("DELETE FROM shop.t")
    pair.on_source("UPDATE shop.t SET n = 9")
    pair.wait(sql_dead)


def table_missing(pair: Pair) -> None:
    """A table was dropped on the replica, unlogged, and then written on the source."""
    replicating(pair)
    pair.unseen_on_replica("DROP TABLE shop.t")
    pair.on_source("UPDATE shop.t SET n = 9")
    pair.wait(sql_dead)


def user_exists(pair: Pair) -> None:
    """Both created the same account, the source with a trace in its binary log."""
    pair.unseen_on_replica("CREATE USER 'both'@'%' IDENTIFIED BY 'p'")
    pair.on_source("CREATE USER 'both'@'%' IDENTIFIED BY 'p'")
    pair.replicate()
    pair.wait(sql_dead)


def schema_exists(pair: Pair) -> None:
    """Both created the same schema. MySQL stops; MariaDB applies DDL as if IF NOT EXISTS."""
    pair.unseen_on_replica(*SHOP, "INSERT INTO shop.t VALUES (7, 7)")
    pair.on_source(*SHOP, "INSERT INTO shop.t VALUES (1, 1)")
    pair.replicate()
    pair.wait(lambda row: caught_up(row) and _rows_on(pair) == 1 if pair.mariadb else sql_dead(row))


def own_write(pair: Pair) -> None:
    """Something was written on the replica, and logged.

    MariaDB in strict mode: the next event of the source has a sequence number that is taken.
    """
    replicating(pair)
    pair.on_replica("CREATE DATABASE own")
    pair.on_source("INSERT INTO shop.t VALUES (2, 2)")
    pair.wait(sql_dead if pair.mariadb else lambda row: caught_up(row) and _rows_on(pair) == 2)


def logs_purged(pair: Pair) -> None:
    """A blank replica asks for what the source has deleted."""
    pair.on_source(*SHOP, "FLUSH BINARY LOGS", "INSERT INTO shop.t VALUES (1, 1)")
    with pair.source.connect() as root:
        last = rows(root, "SHOW BINARY LOGS")[-1]["Log_name"]
    pair.on_source(f"PURGE BINARY LOGS TO '{last}'")
    if pair.mariadb:  # it keeps a log for a while that it may still need itself
        _wait_for_one_log(pair)
    pair.replicate()
    pair.wait(io_error)


def logs_reset(pair: Pair) -> None:
    """The source reset its binary logs and wrote on: less than the replica has of them."""
    replicating(pair)
    pair.on_replica("STOP REPLICA")
    pair.on_source(
        "SET SESSION sql_log_bin=0",
        "DROP DATABASE shop",
        "RESET MASTER" if pair.mariadb else "RESET BINARY LOGS AND GTIDS",
        "SET SESSION sql_log_bin=1",
        "CREATE DATABASE second",
    )
    pair.on_replica("START REPLICA")
    pair.wait(io_error)


def source_wiped(pair: Pair) -> None:
    """The source came back with an empty volume and began a new life under its old name.

    MySQL does not notice: the new source has another server_uuid, so its transactions are
    others. MariaDB does, until the new source has as many transactions as the old one had.
    """
    replicating(pair)
    pair.source.wipe()
    pair.on_source("SET SESSION sql_log_bin=0", *ACCOUNTS)
    pair.on_source(
        "RESET MASTER" if pair.mariadb else "RESET BINARY LOGS AND GTIDS", "CREATE DATABASE second"
    )
    pair.on_replica("STOP REPLICA", "START REPLICA")
    pair.wait(io_error if pair.mariadb else lambda row: caught_up(row) and _has(pair, "second"))


def source_wiped_and_ahead(pair: Pair) -> None:
    """The same, and the new source has written more than the replica ever got: both agree."""
    replicating(pair)
    pair.source.wipe()
    pair.on_source("SET SESSION sql_log_bin=0", *ACCOUNTS)
    pair.on_source(
        "RESET MASTER" if pair.mariadb else "RESET BINARY LOGS AND GTIDS",
        *(f"CREATE DATABASE second{number}" for number in range(9)),
    )
    pair.on_replica("STOP REPLICA", "START REPLICA")
    pair.wait(lambda row: caught_up(row) and _has(pair, "second8"))


def stopped(pair: Pair) -> None:
    """STOP REPLICA."""
    replicating(pair)
    pair.on_replica("STOP REPLICA")


def receiver_stopped(pair: Pair) -> None:
    """STOP REPLICA IO_THREAD."""
    replicating(pair)
    pair.on_replica("STOP REPLICA IO_THREAD")


def applier_stopped(pair: Pair) -> None:
    """STOP REPLICA SQL_THREAD."""
    replicating(pair)
    pair.on_replica("STOP REPLICA SQL_THREAD")


def retries_exhausted(pair: Pair) -> None:
    """The source stayed away for longer than the replica tries: MySQL by SOURCE_RETRY_COUNT."""
    replicating(pair)
    pair.on_replica("STOP REPLICA", pair.change(RETRY_COUNT=2), "START REPLICA")
    pair.wait(running)
    pair.source.stop(signal.SIGKILL)
    pair.wait(lambda row: row["Replica_IO_Running"] == "No")


def public_key_missing(pair: Pair) -> None:
    """No TLS, and GET_SOURCE_PUBLIC_KEY was not given: caching_sha2_password needs either."""
    change = pair.change(SSL=0).replace("GET_SOURCE_PUBLIC_KEY=1", "GET_SOURCE_PUBLIC_KEY=0")
    pair.on_replica(change, "START REPLICA")
    pair.wait(io_error)


def _rows_on(pair: Pair) -> int:
    with pair.replica.connect() as root:
        try:
            return int(rows(root, "SELECT COUNT(*) AS n FROM shop.t")[0]["n"])
        except pymysql.err.MySQLError:
            return -1


def _has(pair: Pair, schema: str) -> bool:
    with pair.replica.connect() as root:
        return bool(rows(root, f"SHOW DATABASES LIKE '{schema}'"))


def _wait_for_one_log(pair: Pair) -> None:
    deadline = time.monotonic() + WITHIN
    while time.monotonic() < deadline:
        with pair.source.connect() as root:
            logs = [row["Log_name"] for row in rows(root, "SHOW BINARY LOGS")]
            if len(logs) == 1:
                return
            rows(root, f"PURGE BINARY LOGS TO '{logs[-1]}'")
        time.sleep(0.1)


BOTH: tuple[Callable[[Pair], None], ...] = (
    not_a_replica, configured, replicating, stopped, receiver_stopped, applier_stopped,
    name_unknown, wrong_password, not_granted, same_server_id, duplicate_key, row_missing,
    table_missing, user_exists, schema_exists, own_write, logs_purged, logs_reset, source_wiped,
    source_wiped_and_ahead, primary_down,
)  # fmt: skip
SITUATIONS = {"mariadb": BOTH, "mysql": (*BOTH, public_key_missing, retries_exhausted)}

"""Which privileges each account really needs: grant all that may matter, then leave out one by one.

A trial runs the statements of one account, over the way by which it would really log in.
A privilege without which everything still works is not needed.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql

from tests.mysql.daemon import Daemon

PASSWORD = "trial"
Outcome = dict[str, str]
"""Of each statement: "ok", or what went wrong."""


def rows(connection: pymysql.Connection[Any], sql: str) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


@dataclass(frozen=True)
class Grant:
    """One privilege on one level.

    >>> Grant("SELECT", "peerdisco.*").sql("'a'@'%'")
    "GRANT SELECT ON peerdisco.* TO 'a'@'%'"
    """

    privilege: str
    on: str = "*.*"

    def sql(self, account: str) -> str:
        return f"GRANT {self.privilege} ON {self.on} TO {account}"

    def __str__(self) -> str:
        return f"{self.privilege} ON {self.on}"


@dataclass(frozen=True)
class Trial:
    """What one account does, and what it might need for that.

    Attributes:
        host: The host part of the account.
        candidates: Ordered: those that do most come first, so that they are left out first
            where lesser ones do.
        run: Logs in as the account and does everything.
    """

    account: str
    host: str
    candidates: tuple[Grant, ...]
    run: Callable[[Daemon, Daemon, str], Outcome]

    def minimise(self, source: Daemon, replica: Daemon) -> dict[str, Any]:
        """Returns the least privileges, and of each what fails without it."""
        granted = list(self.candidates)
        with_all = self.attempt(source, replica, granted)
        wrong = {name: outcome for name, outcome in with_all.items() if outcome != "ok"}
        assert not wrong, f"{self.account} cannot do this with everything granted: {wrong}"
        needed: dict[str, Outcome] = {}
        for grant in self.candidates:
            without = [one for one in granted if one != grant]
            outcomes = self.attempt(source, replica, without)
            failed = {name: outcome for name, outcome in outcomes.items() if outcome != "ok"}
            if failed:
                needed[str(grant)] = failed
            else:
                granted = without
        return {
            "host": self.host,
            "does": list(with_all),
            "grants": [str(grant) for grant in granted],
            "without": needed,
            "not needed": [str(grant) for grant in self.candidates if grant not in granted],
        }

    def attempt(self, source: Daemon, replica: Daemon, grants: Sequence[Grant]) -> Outcome:
        prepare(source, replica)
        account = f"'{self.account}'@'{self.host}'"
        for daemon in (source, replica):
            with daemon.connect() as root:
                rows(root, "SET SESSION sql_log_bin=0")
                rows(root, f"DROP USER IF EXISTS {account}")
                rows(root, f"CREATE USER {account} IDENTIFIED BY '{PASSWORD}'")
                for grant in grants:
                    rows(root, grant.sql(account))
        return self.run(source, replica, self.account)


def prepare(source: Daemon, replica: Daemon) -> None:
    """Both as a StatefulSet's pods are: the source open, the replica blank and read-only."""
    for daemon in (source, replica):
        mariadb = daemon.flavour == "mariadb"
        with daemon.connect() as root:
            if not mariadb:
                rows(root, "SET GLOBAL super_read_only=OFF")
            for sql in ("STOP REPLICA", "RESET REPLICA ALL", "SET GLOBAL read_only=OFF"):
                rows(root, sql)
            rows(root, "SET SESSION sql_log_bin=0")
            rows(root, "DROP DATABASE IF EXISTS peerdisco")
            rows(root, "DROP DATABASE IF EXISTS shop")
            rows(root, "DROP DATABASE IF EXISTS hidden")
            rows(root, "RESET MASTER" if mariadb else "RESET BINARY LOGS AND GTIDS")
            if mariadb:
                rows(root, "SET GLOBAL gtid_slave_pos=''")
            rows(root, "DROP USER IF EXISTS 'trial_source'@'%'")
            rows(root, f"CREATE USER 'trial_source'@'%' IDENTIFIED BY '{PASSWORD}'")
            rows(root, "GRANT REPLICATION SLAVE ON *.* TO 'trial_source'@'%'")
            rows(root, "SET SESSION sql_log_bin=1")
            if daemon is source:
                for sql in SHOP[daemon.flavour]:
                    rows(root, sql)
            else:
                rows(root, "SET GLOBAL read_only=ON")


def change(flavour: str, port: int, user: str) -> str:
    """The statement that points a replica to a source on loopback."""
    if flavour == "mariadb":
        return (
            f"CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={port}, MASTER_USER='{user}', "
            f"MASTER_PASSWORD='{PASSWORD}', MASTER_CONNECT_RETRY=1, MASTER_HEARTBEAT_PERIOD=2, "
            "MASTER_USE_GTID=slave_pos"
        )
    return (
        f"CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT={port}, "
        f"SOURCE_USER='{user}', SOURCE_PASSWORD='{PASSWORD}', SOURCE_CONNECT_RETRY=1, "
        "SOURCE_RETRY_COUNT=86400, SOURCE_HEARTBEAT_PERIOD=2, SOURCE_AUTO_POSITION=1, "
        "GET_SOURCE_PUBLIC_KEY=1"
    )


SHOP = {
    flavour: (
        "CREATE DATABASE shop",
        "CREATE TABLE shop.stock (id INT PRIMARY KEY, n INT) ENGINE=InnoDB",
        "CREATE VIEW shop.some AS SELECT id FROM shop.stock WHERE n > 0",
        (
            "CREATE TRIGGER shop.at_least BEFORE INSERT ON shop.stock FOR EACH ROW "
            "SET NEW.n = GREATEST(NEW.n, 0)"
        ),
        "CREATE PROCEDURE shop.sell(IN what INT) UPDATE shop.stock SET n = n - 1 WHERE id = what",
        "CREATE FUNCTION shop.twice(x INT) RETURNS INT DETERMINISTIC RETURN x * 2",
        (
            "CREATE EVENT shop.nightly ON SCHEDULE EVERY 1 DAY STARTS '2001-01-01 00:00:00' "
            "DO DELETE FROM shop.stock WHERE n = 0"
        ),
        "INSERT INTO shop.stock VALUES (1, 5), (2, 0), (3, 8)",
        "CREATE DATABASE peerdisco",
        "CREATE TABLE peerdisco.cluster (id CHAR(36) PRIMARY KEY) ENGINE=InnoDB",
        "INSERT INTO peerdisco.cluster VALUES ('6e2d9a0c-0000-4000-8000-000000000000')",
        *more,
    )
    for flavour, more in (
        ("mariadb", ("CREATE SEQUENCE shop.numbers", "DO NEXT VALUE FOR shop.numbers")),
        ("mysql", ()),
    )
}


class Doing:
    """A connection of the account under trial, and what each of its statements came to."""

    def __init__(self, daemon: Daemon, user: str, *, tcp: bool) -> None:
        self.outcomes: Outcome = {}
        self._connection = daemon.connect(user, PASSWORD, tcp=tcp)

    def __call__(
        self, sql: str, *, name: str | None = None, holds: Callable[[Any], bool] | None = None
    ) -> None:
        name = name or sql
        try:
            found = rows(self._connection, sql)
        except pymysql.err.MySQLError as error:
            self.outcomes[name] = f"{error.args[0]}: {error.args[1]}"
        else:
            whole = holds is None or holds(found)
            self.outcomes[name] = "ok" if whole else f"not all is seen: {found}"[:200]

    def close(self) -> Outcome:
        self._connection.close()
        return self.outcomes


def _sees(schema: str) -> Callable[[Any], bool]:
    return lambda found: schema in [row["Database"] for row in found]


def sidecar(source: Daemon, replica: Daemon, user: str) -> Outcome:
    """What a sidecar does on its own server, as a replica and as the primary."""
    mariadb = replica.flavour == "mariadb"
    with replica.connect() as root:  # a schema that it has no privilege on
        rows(root, "SET SESSION sql_log_bin=0")
        rows(root, "CREATE DATABASE IF NOT EXISTS hidden")
    do = Doing(replica, user, tcp=False)
    if mariadb:
        do("SELECT VERSION(), @@version_comment, @@read_only, @@server_id, @@gtid_binlog_pos, "
           "@@gtid_binlog_state, @@gtid_slave_pos, @@gtid_current_pos, @@gtid_strict_mode, "
           "@@log_bin, @@skip_name_resolve")  # fmt: skip
    else:
        do("SELECT VERSION(), @@version_comment, @@read_only, @@super_read_only, @@server_id, "
           "@@server_uuid, @@gtid_executed, @@gtid_purged, @@gtid_mode, @@log_bin, "
           "@@skip_name_resolve")  # fmt: skip
    do("SHOW DATABASES", holds=_sees("hidden"))
    do("SELECT GRANTEE, PRIVILEGE_TYPE FROM information_schema.USER_PRIVILEGES",
       holds=lambda found: any(user in row["GRANTEE"] for row in found))  # fmt: skip
    do("SHOW REPLICA STATUS")
    do("STOP REPLICA")
    do("SET GLOBAL read_only=ON" if mariadb else "SET GLOBAL super_read_only=ON")
    do("SET SESSION sql_log_bin=0")
    do("SET SESSION sql_log_bin=1")
    if mariadb:
        do("RESET MASTER")
        do("SET GLOBAL gtid_slave_pos=''")
    else:
        do("RESET BINARY LOGS AND GTIDS")
        do("SET GLOBAL gtid_purged=''")
    do(change(replica.flavour, source.port, "trial_source"), name="CHANGE REPLICATION SOURCE")
    do("START REPLICA")
    do("STOP REPLICA IO_THREAD")
    do("START REPLICA IO_THREAD")
    with replica.connect() as root:
        came = waited(lambda: holds_identity(root))
    do("SELECT 1", name="(replicates)", holds=lambda _: came)
    do("SELECT id FROM peerdisco.cluster", holds=bool)
    do("STOP REPLICA", name="STOP REPLICA (of a running one)")
    do("RESET REPLICA ALL")
    with replica.connect() as root:
        if not mariadb:
            rows(root, "SET GLOBAL super_read_only=OFF")
        rows(root, "SET SESSION sql_log_bin=0")
        rows(root, "DROP DATABASE IF EXISTS peerdisco")
        rows(root, "SET GLOBAL read_only=ON")
    if not mariadb:
        do("SET GLOBAL super_read_only=OFF")  # and read_only stays ON
    do("CREATE DATABASE IF NOT EXISTS peerdisco", name="CREATE DATABASE peerdisco, read-only")
    do("CREATE TABLE IF NOT EXISTS peerdisco.cluster (id CHAR(36) PRIMARY KEY, "
       "origin VARCHAR(10), created_at DATETIME) ENGINE=InnoDB",
       name="CREATE TABLE peerdisco.cluster, read-only")  # fmt: skip
    do("INSERT INTO peerdisco.cluster VALUES (UUID(), 'blank', UTC_TIMESTAMP())",
       name="INSERT INTO peerdisco.cluster, read-only")  # fmt: skip
    do("SELECT id FROM peerdisco.cluster", name="SELECT of what it wrote", holds=bool)
    do("UPDATE peerdisco.cluster SET origin = 'renewed'", name="UPDATE of what it wrote")
    log = "SHOW GLOBAL STATUS LIKE 'Binlog_snapshot_file'" if mariadb else "SHOW BINARY LOG STATUS"
    do(log, holds=bool)
    do("SHOW BINARY LOGS", holds=bool)
    do("SHOW BINLOG EVENTS LIMIT 1", holds=bool)
    if mariadb:
        do("SET GLOBAL rpl_semi_sync_master_enabled=ON")
        do("SET GLOBAL rpl_semi_sync_master_enabled=OFF")
    do("SET GLOBAL read_only=OFF")
    return do.close()


def replication(source: Daemon, replica: Daemon, user: str) -> Outcome:
    """What a replica does on its source with this account, and what a probe asks a peer."""
    with replica.connect() as root:
        rows(root, change(replica.flavour, source.port, user))
        rows(root, "START REPLICA")
        came = waited(lambda: holds_identity(root))
        status = rows(root, "SHOW REPLICA STATUS")[0]
    error = " ".join(
        str(value) for name, value in status.items() if re.fullmatch("Last_.*Err(or|no)", name)
    )
    outcomes = {"(replicates)": "ok" if came else error}
    with source.connect() as root:  # the probed peer is a replica too
        rows(root, change(source.flavour, replica.port, "trial_source"))
    do = Doing(source, user, tcp=True)
    do("SELECT VERSION(), @@version_comment")
    do("SHOW DATABASES", holds=_sees("shop"))
    do("SELECT id FROM peerdisco.cluster", holds=bool)
    do("SHOW REPLICA STATUS", holds=bool)
    if source.flavour == "mariadb":
        do("SELECT @@read_only, @@server_id, @@gtid_binlog_pos, @@gtid_binlog_state, "
           "@@gtid_slave_pos, @@gtid_current_pos")  # fmt: skip
    else:
        do("SELECT @@read_only, @@super_read_only, @@server_id, @@server_uuid, @@gtid_executed, "
           "@@gtid_purged")  # fmt: skip
    return outcomes | do.close()


def logs(source: Daemon, replica: Daemon, user: str) -> Outcome:
    """What it takes to see the list of binary logs, the replicas, and to end sessions."""
    mariadb = source.flavour == "mariadb"
    do = Doing(source, user, tcp=True)
    do("SHOW BINARY LOGS", holds=bool)
    do("SHOW MASTER STATUS" if mariadb else "SHOW BINARY LOG STATUS", holds=bool)
    do("SHOW REPLICA HOSTS" if mariadb else "SHOW REPLICAS")
    with source.connect() as root:
        number = rows(root, "SELECT CONNECTION_ID() AS id")[0]["id"]
        do("SHOW PROCESSLIST", holds=lambda found: number in [row["Id"] for row in found])
        do(f"KILL {number}", name="KILL of a session of root")
    return do.close()


def dump(program: str, options: Sequence[str]) -> Callable[[Daemon, Daemon, str], Outcome]:
    """A trial of a dump over TCP: its text is compared with that of root's dump."""

    def run(source: Daemon, replica: Daemon, user: str) -> Outcome:
        whole, error = _dump(program, options, source, "root", "")
        assert not error, error
        found, error = _dump(program, options, source, user, PASSWORD)
        missing = [line for line in whole if line not in set(found)]
        name = " ".join((Path(program).name, *options))
        if error:
            return {name: error}
        return {name: f"silently without: {missing[:3]}"[:300] if missing else "ok"}

    return run


def _dump(
    program: str, options: Sequence[str], daemon: Daemon, user: str, password: str
) -> tuple[list[str], str]:
    where = [f"--socket={daemon.socket}"]
    if user != "root":
        where = ["--protocol=tcp", "--host=127.0.0.1", f"--port={daemon.port}"]
    done = subprocess.run(
        [program, "--no-defaults", *where, f"--user={user}", *options],
        check=False,
        capture_output=True, text=True, timeout=60, env=os.environ | {"MYSQL_PWD": password},
    )  # fmt: skip
    said = [line for line in done.stderr.splitlines() if "error" in line.lower()]
    lines = [line for line in done.stdout.splitlines() if not line.startswith("--")]
    # The rows of accounts hold that of the one under trial.
    lines = [line for line in lines if "trial_dump" not in line]
    if said and done.returncode == 0:
        said.insert(0, "exit 0, but:")
    return lines, " ".join(said[:2]) or ("" if done.returncode == 0 else done.stderr)


def clone(source: Daemon, replica: Daemon, user: str) -> Outcome:
    """CLONE: this account is the donor's; root's is the recipient's. The data stays."""
    with replica.connect() as root:
        rows(root, "SET GLOBAL super_read_only=OFF")
        rows(root, "SET GLOBAL read_only=OFF")
        rows(root, f"SET GLOBAL clone_valid_donor_list='127.0.0.1:{source.port}'")
        into = replica.place / f"clone{time.monotonic_ns()}"
        try:
            rows(
                root,
                f"CLONE INSTANCE FROM '{user}'@'127.0.0.1':{source.port} "
                f"IDENTIFIED BY '{PASSWORD}' DATA DIRECTORY='{into}'",
            )
        except pymysql.err.MySQLError as error:
            return {"CLONE INSTANCE (donor)": f"{error.args[0]}: {error.args[1]}"}
    return {"CLONE INSTANCE (donor)": "ok"}


def recipient(source: Daemon, replica: Daemon, user: str) -> Outcome:
    """CLONE: this account is the recipient's own. The server ends itself when it has cloned."""
    with source.connect() as root:
        rows(root, "GRANT BACKUP_ADMIN ON *.* TO 'trial_source'@'%'")
    with replica.connect() as root:
        rows(root, "SET GLOBAL read_only=OFF")
    do = Doing(replica, user, tcp=False)
    donor = f"127.0.0.1:{source.port}"
    do(f"SET GLOBAL clone_valid_donor_list='{donor}'", name="SET GLOBAL clone_valid_donor_list")
    do(f"CLONE INSTANCE FROM 'trial_source'@'127.0.0.1':{source.port} "
       f"IDENTIFIED BY '{PASSWORD}'", name="CLONE INSTANCE (recipient)")  # fmt: skip
    outcomes = do.close()
    if outcomes["CLONE INSTANCE (recipient)"].startswith("3707"):  # it has to be started
        outcomes["CLONE INSTANCE (recipient)"] = "ok"
        assert replica.process is not None
        replica.process.wait(timeout=60)
        replica.start()
    return outcomes


def waited(holds: Callable[[], object], seconds: float = 5.0) -> bool:
    """Whether it came to hold."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def holds_identity(root: pymysql.Connection[Any]) -> bool:
    try:
        return bool(rows(root, "SELECT id FROM peerdisco.cluster"))
    except pymysql.err.MySQLError as error:
        if error.args[0] in {1049, 1146}:  # no such schema or table yet
            return False
        raise

"""Statements, and what each flavour says to them: it worked, a note, or an error's number."""

from __future__ import annotations

from typing import Any

import pymysql

from tests.mysql.daemon import Daemon
from tests.mysql.trials import rows

AS_ROOT = (
    # before anything is configured
    "SHOW REPLICA STATUS",
    "SHOW SLAVE STATUS",
    "START REPLICA",
    "START SLAVE",
    "STOP REPLICA",
    "STOP SLAVE",
    "RESET REPLICA ALL",
    "RESET SLAVE ALL",
    # binary logs
    "SHOW MASTER STATUS",
    "SHOW BINARY LOG STATUS",
    "SHOW BINARY LOGS",
    "RESET MASTER",
    "RESET BINARY LOGS AND GTIDS",
    "SET SESSION sql_log_bin=0",
    "SET SESSION sql_log_bin=1",
    "SET GLOBAL gtid_slave_pos=''",
    "SET GLOBAL gtid_purged=''",
    # pointing to a source
    (
        "CHANGE MASTER TO MASTER_HOST='mysql-0.invalid', MASTER_PORT=3306, MASTER_USER='r', "
        "MASTER_PASSWORD='p', MASTER_CONNECT_RETRY=1, MASTER_HEARTBEAT_PERIOD=2, "
        "MASTER_USE_GTID=slave_pos"
    ),
    "CHANGE MASTER TO MASTER_SSL=0, MASTER_SSL_VERIFY_SERVER_CERT=0",
    "CHANGE MASTER TO MASTER_RETRY_COUNT=86400",
    (
        "CHANGE REPLICATION SOURCE TO SOURCE_HOST='mysql-0.invalid', SOURCE_PORT=3306, "
        "SOURCE_USER='r', SOURCE_PASSWORD='p', SOURCE_CONNECT_RETRY=1, SOURCE_RETRY_COUNT=86400, "
        "SOURCE_HEARTBEAT_PERIOD=2, SOURCE_AUTO_POSITION=1, GET_SOURCE_PUBLIC_KEY=1"
    ),
    "CHANGE REPLICATION SOURCE TO SOURCE_RETRY_COUNT=0",
    # while it runs
    "START REPLICA IO_THREAD",
    "START REPLICA SQL_THREAD",
    "START REPLICA",
    "CHANGE MASTER TO MASTER_HOST='other.invalid'",
    "CHANGE REPLICATION SOURCE TO SOURCE_HOST='other.invalid'",
    "CHANGE REPLICATION SOURCE TO SOURCE_DELAY=1",
    "SET GLOBAL gtid_slave_pos='0-1-1'",
    "RESET REPLICA ALL",
    "STOP REPLICA IO_THREAD",
    "STOP REPLICA",
    "RESET REPLICA ALL",
    # read-only
    "SET GLOBAL read_only=ON",
    "CREATE DATABASE peerdisco",
    "CREATE DATABASE peerdisco",
    "SET GLOBAL super_read_only=ON",
    "CREATE DATABASE other",
    "SET GLOBAL super_read_only=OFF",
    # names and columns that are not there
    "SELECT id FROM nowhere.cluster",
    "SELECT id FROM peerdisco.cluster",
    "CREATE TABLE IF NOT EXISTS peerdisco.cluster (id CHAR(36) PRIMARY KEY) ENGINE=InnoDB",
    "SELECT other FROM peerdisco.cluster",
    "SELECT @@gtid_executed",
    "SELECT @@gtid_binlog_pos",
    "SELECT @@server_uuid",
)
AS_NOBODY = (
    "SHOW DATABASES",
    "SHOW REPLICA STATUS",
    "STOP REPLICA",
    "SET GLOBAL read_only=OFF",
    "CREATE DATABASE peerdisco",
    "SELECT id FROM peerdisco.cluster",
    "SELECT @@global.read_only",
)
"""As an account that may log in and nothing else."""

AS_WRITER = (
    "INSERT INTO peerdisco.cluster VALUES (1)",
    "CREATE TABLE peerdisco.another (id INT)",
)
"""As an application's account, which may write, on a server that is read-only."""


def outcomes(daemon: Daemon) -> list[dict[str, Any]]:
    """Run them all, in order, on a server that is not a replica. Returns what each came to."""
    found = []
    with daemon.connect() as root:
        found += [_outcome(root, "root", sql) for sql in AS_ROOT]
        for sql in (
            "SET SESSION sql_log_bin=0",
            "CREATE USER 'nobody'@'%' IDENTIFIED BY 'p'",
            "CREATE USER 'writer'@'%' IDENTIFIED BY 'p'",
            "GRANT ALL ON peerdisco.* TO 'writer'@'%'",
        ):
            rows(root, sql)
    for user, statements in (("nobody", AS_NOBODY), ("writer", AS_WRITER)):
        with daemon.connect(user, "p") as connection:
            found += [_outcome(connection, user, sql) for sql in statements]
    try:
        daemon.connect("nobody", "another").close()
    except pymysql.err.MySQLError as error:
        found.append(_failed("nobody", "(login, wrong password)", error))
    return found


def _outcome(connection: pymysql.Connection[Any], user: str, sql: str) -> dict[str, Any]:
    with connection.cursor() as cursor:
        try:
            cursor.execute(sql)
            count = len(cursor.fetchall())
        except pymysql.err.MySQLError as error:
            return _failed(user, sql, error)
        notes = cursor._result.warning_count if cursor._result else 0
    outcome: dict[str, Any] = {"as": user, "sql": sql, "rows": count}
    if notes:
        outcome["notes"] = [
            {"errno": row["Code"], "text": row["Message"]}
            for row in rows(connection, "SHOW WARNINGS")
        ]
    return outcome


def _failed(user: str, sql: str, error: pymysql.err.MySQLError) -> dict[str, Any]:
    return {"as": user, "sql": sql, "errno": error.args[0], "text": error.args[1]}

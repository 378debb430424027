"""Copies by MySQL's CLONE plugin, where a MySQL server can be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from peerdisco.mysql import Account, Flavour, accounts_sql
from tests.mysql import mysqld
from tests.mysql.mysqld import PROGRAM
from tests.mysql.namespaces import Process
from tests.mysql.pods import Network
from tests.mysql.waiting import until

from .cloning import CLONE, Script
from .databases import IDENTITY, Pods

CLIENT = Path(PROGRAM).parent / "mysql"
"""Of the same kind as the server: MariaDB's knows other options."""


def missing() -> str | None:
    """Why no copy can be made here, to be the reason of a skip; None if one can."""
    if (reason := mysqld.missing()) is None and not CLIENT.exists():
        return f"this machine has no {CLIENT}"
    return reason


pytestmark = [
    pytest.mark.timeout(170),
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]

CONFIG = """\
[mysqld]
server_id = {server_id}
log_bin = binlog
gtid_mode = ON
enforce_gtid_consistency = ON
skip_replica_start = ON
mysqlx = OFF
secure_file_priv = NULL
innodb_buffer_pool_size = 16M
innodb_redo_log_capacity = 8M
plugin_load_add = mysql_clone.so
tmpdir = {tmpdir}
"""
ROWS = 1000
SETUP = [
    "CREATE SCHEMA peerdisco",
    "CREATE TABLE peerdisco.cluster (only_one TINYINT PRIMARY KEY, id CHAR(36))",
    f"INSERT INTO peerdisco.cluster VALUES (1, '{IDENTITY}')",
    "CREATE SCHEMA shop",
    "CREATE TABLE shop.orders (n INT PRIMARY KEY)",
    (
        "INSERT INTO shop.orders WITH RECURSIVE s AS "
        f"(SELECT 1 AS n UNION ALL SELECT n + 1 FROM s WHERE n < {ROWS}) SELECT n FROM s"
    ),
]


class MySQL:
    """A server in a pod.

    Args:
        network: Where.
        pods: Whose passwords it takes.
        ordinal: Of its pod.
    """

    def __init__(self, network: Network, pods: Pods, ordinal: int) -> None:
        self.pods = pods
        self.pod = network.pod(f"mysql-{ordinal}")
        self.volume = network.directory / f"v{ordinal}"
        self.run = network.directory / f"r{ordinal}"
        for directory in (self.volume, self.run, self.volume / "tmp"):
            directory.mkdir()
        config = CONFIG.format(server_id=100 + ordinal, tmpdir=self.volume / "tmp")
        (self.volume / "my.cnf").write_text(config)
        for directory in (self.volume, self.run):
            network.own(directory)
        self.process: Process | None = None
        self.said: list[str] = []

    def options(self) -> list[str]:
        return [
            *(PROGRAM, f"--defaults-file={self.volume}/my.cnf", "--user=root"),
            f"--datadir={self.volume}/mysql",
        ]

    def initialise(self) -> None:
        self.pod.run(*self.options(), "--initialize-insecure", timeout=60)

    def start(self) -> None:
        listen = [f"--socket={self.volume}/s", f"--bind-address={self.pod.bind}"]
        pid = f"--pid-file={self.volume}/pid"
        log = self.run / "mysqld.log"
        self.process = self.pod.quietly(*self.options(), *listen, pid, log=log)
        until(self.greets, timeout=60, what="mysqld greets")

    def greets(self) -> bool:
        try:
            self.sql("SELECT 1")
        except RuntimeError:
            return False
        return True

    def sql(self, *statements: str, account: str = "root") -> str:
        command = [str(CLIENT), "--no-defaults", f"--user={account}"]
        options = [f"--socket={self.volume}/s", "--batch", "--skip-column-names"]
        return self.pod.run(*command, *options, "--execute", "; ".join(statements)).strip()

    def script(self, name: str) -> Script:
        return Script(
            self.pod,
            CLONE / name,
            env={
                "CLONE_VOLUME": str(self.volume),
                "CLONE_RUN": str(self.run),
                "CLONE_PASSWORD_FILE": str(self.pods.password),
                "CLONE_DEFAULTS_FILE": str(self.volume / "my.cnf"),
                "CLONE_TIMEOUT": "20",
            },
            path=str(CLIENT.parent),
        )

    def clone(self) -> int:
        for name in ("find-source.sh", "clone-mysql.sh"):
            script = self.script(name)
            status = script.ended(90)
            self.said += script.lines
            self.pods.evidence.add(self.pod.name, "\n".join(script.lines))
        return status


@pytest.fixture
def primary(loopback: Network, pods: Pods) -> MySQL:
    made = MySQL(loopback, pods, 0)
    made.initialise()
    made.start()
    password = pods.password.read_text()
    accounts = accounts_sql(Flavour.MYSQL, backup=Account("peerdisco_backup", password))
    # On standard input, since the password is looked for on command lines.
    file = made.run / "accounts.sql"
    file.write_text(";\n".join([*accounts, *SETUP]))
    client = f"{CLIENT} --no-defaults --user=root --socket={made.volume}/s"
    made.pod.run("sh", "-c", f"{client} <{file}")
    return made


def assert_copied(copy: MySQL) -> None:
    copy.start()
    assert copy.sql("SELECT id FROM peerdisco.cluster") == IDENTITY
    assert copy.sql("SELECT COUNT(*) FROM shop.orders") == str(ROWS)
    assert {file.name for file in copy.volume.iterdir()} == {
        "my.cnf",
        "mysql",
        "tmp",
        "s",
        "pid",
    } | {file.name for file in copy.volume.glob("s.lock")}


def test_copy_has_everything_and_its_own_uuid(
    loopback: Network, pods: Pods, primary: MySQL
) -> None:
    replica = MySQL(loopback, pods, 1)
    assert replica.clone() == 0, replica.said
    assert replica.said[-1].startswith("clone: done: copied from mysql-0.")
    assert_copied(replica)
    executed, uuid = "SELECT @@gtid_executed", "SELECT @@server_uuid"
    assert replica.sql(executed) == primary.sql(executed) != ""
    assert replica.sql(uuid) != primary.sql(uuid)
    assert replica.clone() == 0
    assert "holds data already" in replica.said[-1]


@pytest.mark.parametrize("stage", ["prepare", "start", "copy", "check", "stop", "finish"])
def test_copy_that_is_killed_begins_again(
    loopback: Network, pods: Pods, primary: MySQL, stage: str
) -> None:
    replica = MySQL(loopback, pods, 1)
    replica.script("find-source.sh").ended()
    script = replica.script("clone-mysql.sh")
    script.wait_for(f"clone: {stage}:")
    script.kill()
    assert replica.clone() == 0, replica.said
    assert_copied(replica)


def test_refusals_are_one_clear_line(loopback: Network, pods: Pods, primary: MySQL) -> None:
    replica = MySQL(loopback, pods, 1)
    right = pods.password.read_text()
    pods.password.write_text("another one")
    assert replica.clone() == 1
    assert "does not take the password" in replica.said[-1]
    assert "ERROR 1045" in replica.said[-1]
    pods.password.write_text(right)
    primary.sql("UNINSTALL PLUGIN clone")
    assert replica.clone() == 1
    assert "Plugin 'clone' is not loaded" in replica.said[-1]
    assert not (replica.volume / "mysql").exists()

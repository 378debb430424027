"""Copies by MySQL's CLONE plugin, where a MySQL server can be had."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from peerdisco.mysql import Account, Flavour, accounts_sql
from tests.mysql import mysqld
from tests.mysql.database import Image
from tests.mysql.mariadb import connected
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


@pytest.fixture
def pods(loopback: Network, image: Image) -> Iterator[Pods]:
    """Where the passwords are; the servers are of this module."""
    made = Pods(loopback, image)
    yield made
    made.close()


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
    "CREATE TABLE peerdisco.cluster (pin TINYINT PRIMARY KEY, id CHAR(36), origin CHAR(5))",
    f"INSERT INTO peerdisco.cluster VALUES (1, '{IDENTITY}', 'blank')",
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
                "CLONE_HEALTH_PORT": "0",
                "PEERDISCO_MYSQL_REPLICATION_PASSWORD_FILE": str(
                    self.pods.password.parent / "replication"
                ),
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
    replication = (pods.password.parent / "replication").read_text()
    accounts = accounts_sql(
        Flavour.MYSQL,
        backup=Account("peerdisco_backup", password),
        replication=Account("peerdisco_replication", replication),
    )
    # On standard input, since the password is looked for on command lines.
    file = made.run / "accounts.sql"
    file.write_text(";\n".join([*accounts, *SETUP]))
    client = f"{CLIENT} --no-defaults --user=root --socket={made.volume}/s"
    made.pod.run("sh", "-c", f"{client} <{file}")
    # As the sidecar in its pod does: peers can log in without sending the password from then on.
    escaped = replication.replace("\\", "\\\\").replace('"', '\\"')
    options = made.run / "replication.cnf"
    options.write_text(f'[client]\nuser=peerdisco_replication\npassword="{escaped}"\n')
    login = ["--defaults-extra-file=" + str(options), f"--socket={made.volume}/s"]
    made.pod.run(str(CLIENT), *login, "--execute", "SELECT 1")
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
    script.wait_for(f"clone: {stage}:", timeout=90)
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


def test_tables_that_clone_would_leave_empty_are_refused(
    loopback: Network, pods: Pods, primary: MySQL
) -> None:
    replica = MySQL(loopback, pods, 1)
    primary.sql(
        "CREATE TABLE shop.hits (n INT) ENGINE = MyISAM", "INSERT INTO shop.hits VALUES (1)"
    )
    assert replica.clone() == 1
    assert "shop.hits (MyISAM)" in replica.said[-1]
    assert not (replica.volume / "mysql").exists()


def test_alter_table_in_progress_is_waited_for(
    loopback: Network, pods: Pods, primary: MySQL
) -> None:
    """CLONE itself permits it, and has the table as it was."""
    replica = MySQL(loopback, pods, 1)
    replica.script("find-source.sh").ended()
    script = replica.script("clone-mysql.sh")
    with connected(primary.volume / "s") as reader:
        reader.execute("START TRANSACTION")
        reader.execute("SELECT * FROM shop.orders LIMIT 1")
        alter = "ALTER TABLE shop.orders ADD COLUMN more INT, ALGORITHM = COPY"
        thread = threading.Thread(target=primary.sql, args=(alter,))
        thread.start()
        script.wait_for("clone: waiting: mysql-0.", timeout=90)
        assert (
            "changes the definition of a table: ALTER TABLE shop.orders (root, "
            in (script.lines[-1])
        )
        reader.execute("ROLLBACK")
    thread.join()
    assert script.ended(90) == 0, script.lines
    assert_copied(replica)
    assert "more" in replica.sql("SHOW COLUMNS FROM shop.orders")


def test_a_copy_with_transactions_that_the_primary_does_not_have_is_refused(
    loopback: Network, pods: Pods, primary: MySQL
) -> None:
    """The source wrote on after its own history was compared."""
    first = MySQL(loopback, pods, 1)
    assert first.clone() == 0, first.said
    first.start()
    first.sql("CREATE SCHEMA stray")
    second = MySQL(loopback, pods, 2)
    (second.run / "sources").write_text("mysql-1.mysql\nmysql-0.mysql\n")
    script = second.script("clone-mysql.sh")
    assert script.ended(90) == 1
    assert "the copy has transactions that mysql-0.mysql does not have: " in script.lines[-1]
    assert not (second.volume / "mysql").exists()


def test_backup_by_mysqldump_can_be_restored(loopback: Network, pods: Pods, primary: MySQL) -> None:
    target, run = loopback.directory / "backups", loopback.directory / "run-backup"
    for directory in (target, run):
        directory.mkdir()
        loopback.own(directory)
    (run / "host").write_text("mysql-0.mysql\n")
    environment = {
        "BACKUP_DIR": str(target),
        "BACKUP_RUN": str(run),
        "BACKUP_PASSWORD_FILE": str(pods.password),
        "BACKUP_FROM_PRIMARY": "1",
    }
    backup = CLONE.parent / "backup" / "dump-mysql.sh"
    path = str(CLIENT.parent)
    script = Script(primary.pod, backup, env=environment, path=path)
    assert script.ended(60) == 0, script.lines
    (file,) = target.iterdir()
    # Its lock on everything waits for those of others, and all writes wait behind it.
    with connected(primary.volume / "s") as other:
        other.execute("LOCK TABLES shop.orders WRITE")
        held = {**environment, "BACKUP_LOCK_TIMEOUT": "1"}
        script = Script(primary.pod, backup, env=held, path=path)
        assert script.ended(60) == 1
        assert "it waited for a lock, and was ended: FLUSH " in script.lines[-1]
    assert list(target.iterdir()) == [file]
    text = gzip.decompress(file.read_bytes()).decode()
    assert "SQL_LOG_BIN" not in text, "it would be restored on the primary alone"
    assert "`peerdisco`" not in text
    primary.sql("DROP SCHEMA shop")
    client = f"{CLIENT} --no-defaults --user=root --socket={primary.volume}/s"
    primary.pod.run("sh", "-c", f"gzip -dc {file} | {client}", timeout=60)
    assert primary.sql("SELECT COUNT(*) FROM shop.orders") == str(ROWS)

    primary.sql("CREATE TABLE shop.hits (n INT) ENGINE = MEMORY")
    script = Script(primary.pod, backup, env=environment, path=path)
    assert script.ended(60) == 1
    assert "shop.hits (MEMORY)" in script.lines[-1]
    assert len(list(target.iterdir())) == 1

"""A StatefulSet of pods that have a server, or an empty volume, or neither."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import pymysql

from peerdisco.mysql import literal
from tests.mysql.database import Image
from tests.mysql.evidence import Evidence
from tests.mysql.mariadb import MariaDB
from tests.mysql.pods import Network, Pod
from tests.mysql.waiting import DEADLINE, until

from .cloning import Volume

ROWS = 20_000
IDENTITY = "0b5d9b70-9c2e-4c39-8a83-4a3c1b8f8f0e"
CONFIG = """\
[mariadbd]
server_id = {server_id}
log_bin = binlog
log_slave_updates = ON
gtid_strict_mode = ON
read_only = ON
skip_slave_start = ON
skip_name_resolve = ON
performance_schema = OFF
innodb_buffer_pool_size = 16M
innodb_log_file_size = 4M
"""
ROW = f"""
CREATE SCHEMA peerdisco;
CREATE TABLE peerdisco.cluster (
    only_one TINYINT PRIMARY KEY, id CHAR(36), origin VARCHAR(10), created_at DATETIME);
INSERT INTO peerdisco.cluster VALUES (1, '{IDENTITY}', 'adopted', NOW());
COMMIT;
"""
SHOP = f"""
CREATE SCHEMA shop;
USE shop;
CREATE TABLE orders (n INT PRIMARY KEY, note VARCHAR(100));
INSERT INTO orders SELECT seq, CONCAT('order ', seq) FROM seq_1_to_{ROWS};
CREATE PROCEDURE count_them() SELECT COUNT(*) FROM orders;
CREATE TRIGGER shout BEFORE UPDATE ON orders FOR EACH ROW SET NEW.note = UPPER(NEW.note);
CREATE VIEW first AS SELECT MIN(n) AS n FROM orders;
"""
"""What a dump could leave behind, or come to grief over."""

REPLICATED = "SET @position = @@GLOBAL.gtid_binlog_pos; SET GLOBAL gtid_slave_pos = @position"
"""As if all that a server has written had come from its source."""

COUNT = "SELECT COUNT(*) FROM shop.orders"


class Pods:
    """The pods of a StatefulSet, of which each has a server, or a volume without data."""

    def __init__(self, network: Network, image: Image) -> None:
        self.network = network
        self.image = image
        for kind in ("backup", "replication"):
            file = network.directory / kind
            file.write_text((image.passwords / kind).read_text())
            network.own(file)
        self.password = network.directory / "backup"
        self.evidence = Evidence(image.secrets)
        self.volumes: list[Volume] = []

    def _pod(self, ordinal: int) -> tuple[Pod, str]:
        pod = self.network.pod(f"mysql-{ordinal}")
        return pod, CONFIG.format(server_id=100 + ordinal)

    def server(self, ordinal: int, *scripts: str) -> MariaDB:
        """A pod whose server runs, and has run these scripts."""
        pod, config = self._pod(ordinal)
        server = self.image.server(pod, self.network.directory / pod.name, self.image.data, config)
        server.start()
        for script in scripts:
            server.script(script)
        return server

    def replica(self, ordinal: int, source: MariaDB) -> MariaDB:
        """A pod whose server has received and applied all that its source has."""
        server = self.server(ordinal)
        self.replicate(server, source)
        until(
            lambda: server.variable("gtid_slave_pos") == source.variable("gtid_binlog_pos"),
            what=lambda: f"{server.pod.name} replicates: {server.replica_status()}",
        )
        return server

    def volume(self, ordinal: int) -> Volume:
        """A pod with an empty volume."""
        pod, config = self._pod(ordinal)
        volume = Volume(self.network, pod, self.image, self.password, config)
        self.volumes.append(volume)
        return volume

    def replicate(self, replica: MariaDB, source: MariaDB) -> None:
        """Let a server take up where its data ends."""
        password = (self.image.passwords / "replication").read_text()
        replica.sql(
            f"CHANGE MASTER TO MASTER_HOST = '{source.pod.name}.mysql', MASTER_CONNECT_RETRY = 1, "
            "MASTER_USER = 'peerdisco_replication', MASTER_USE_GTID = slave_pos, "
            f"MASTER_PASSWORD = {literal(password)}",
            "START REPLICA",
        )

    def assert_replicates(self, copy: MariaDB, source: MariaDB) -> None:
        """The copy has all that was copied, and all that is written from now on."""
        copy.start()
        assert copy.schemas() == source.schemas()
        assert copy.value(COUNT) == source.value(COUNT)
        assert copy.value("SELECT id FROM peerdisco.cluster") == IDENTITY
        assert copy.replica_status() == {}, "the dump's CHANGE MASTER is no source"
        assert copy.variable("read_only") == 1
        self.replicate(copy, source)
        source.sql("INSERT INTO shop.orders (n, note) SELECT 1 + MAX(n), 'since' FROM shop.orders")
        until(
            lambda: copy.value(COUNT) == source.value(COUNT),
            what=f"{copy.pod.name} replicates: {copy.replica_status()}",
        )

    def close(self) -> None:
        for volume in self.volumes:
            self.evidence.add(volume.pod.name, "\n".join(volume.said))
            self.evidence.add(volume.pod.name, volume.server.log())
            for file in volume.run.glob("*"):
                if file.is_file() and file.name != "source.cnf":
                    self.evidence.add(str(file), file.read_text())
        found = self.evidence.convict()
        assert not found, f"a password was seen: {found}"


@contextlib.contextmanager
def locked(server: MariaDB) -> Iterator[None]:
    """Hold every dump at a table that comes last, when the rows have been dumped."""
    server.script("CREATE SCHEMA zoo; CREATE TABLE zoo.animals (n INT)")
    connection = pymysql.connect(unix_socket=str(server.socket), user="root")
    try:
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLES zoo.animals WRITE")
        yield
    finally:
        connection.close()


@contextlib.contextmanager
def unacknowledged(server: MariaDB) -> Iterator[None]:
    """A commit waits for a replica that does not come, and so does whatever locks everything."""
    server.script(
        "SET GLOBAL rpl_semi_sync_master_timeout = 4294967295;"
        "SET GLOBAL rpl_semi_sync_master_wait_point = 'AFTER_SYNC';"
        "SET GLOBAL rpl_semi_sync_master_enabled = ON"
    )
    commit = "INSERT INTO shop.orders VALUES (0, 'late')"
    thread = threading.Thread(target=server.sql, args=(commit,))
    thread.start()
    try:
        until(
            lambda: (
                server.sql("SHOW STATUS LIKE 'Rpl_semi_sync_master_wait_sessions'")[0]["Value"]
                == "1"
            ),
            what="the commit waits",
        )
        yield
    finally:
        server.sql("SET GLOBAL rpl_semi_sync_master_enabled = OFF")
        thread.join(DEADLINE)


ALTER = "ALTER TABLE shop.orders ADD COLUMN more INT, ALGORITHM = COPY"


@contextlib.contextmanager
def altering(server: MariaDB) -> Iterator[Callable[[], None]]:
    """An ALTER TABLE that ends when the function is called: it waits for a client that reads."""
    reader = pymysql.connect(unix_socket=str(server.socket), user="root")
    thread = threading.Thread(target=server.sql, args=(ALTER,))

    def release() -> None:
        reader.rollback()
        thread.join(DEADLINE)

    try:
        with reader.cursor() as cursor:
            cursor.execute("START TRANSACTION")
            cursor.execute("SELECT * FROM shop.orders LIMIT 1")
        thread.start()
        wait_until_altering(server)
        yield release
        release()
    finally:
        reader.close()
        thread.join(DEADLINE)


def wait_until_altering(server: MariaDB) -> None:
    until(
        lambda: any(
            str(row["Info"]).startswith("ALTER TABLE shop.orders")
            and "metadata lock" in (row["State"] or "")
            for row in server.sql("SHOW PROCESSLIST")
        ),
        what="ALTER TABLE is in progress",
    )


def wait_until_held(server: MariaDB) -> None:
    until(
        lambda: any(
            row["User"] == "peerdisco_backup" and "lock" in (row["State"] or "")
            for row in server.sql("SHOW PROCESSLIST")
        ),
        what="the dump comes to the table that is locked",
    )

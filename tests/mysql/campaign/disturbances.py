"""What disturbs a cluster: whatever comes of it, the cluster repairs it alone."""

from __future__ import annotations

import secrets
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pymysql
from pymysql.cursors import DictCursor

from ..database import AWKWARD, Member
from ..mariadb import connected
from .cluster import Cluster
from .plan import DISTURBANCES, Event

__all__ = ["DISTURB"]


def kill_server(_: Cluster, member: Member, __: Event) -> None:
    member.server.kill()
    member.server.start(wait=False)


def kill_sidecar(_: Cluster, member: Member, __: Event) -> None:
    member.sidecar.kill()
    member.sidecar.start()


def kill_pod(_: Cluster, member: Member, event: Event) -> None:
    member.kill()
    time.sleep(event.seconds)
    member.start()


def stop_server(_: Cluster, member: Member, event: Event) -> None:
    assert member.server.process is not None
    member.server.process.signal(signal.SIGSTOP)
    time.sleep(event.seconds)
    member.server.process.signal(signal.SIGCONT)


def stop_sidecar(_: Cluster, member: Member, event: Event) -> None:
    assert member.sidecar.process is not None
    member.sidecar.process.signal(signal.SIGSTOP)
    time.sleep(event.seconds)
    member.sidecar.process.signal(signal.SIGCONT)


def move_pod(_: Cluster, member: Member, event: Event) -> None:
    member.vanish()
    time.sleep(event.seconds)
    member.arrive()
    member.start()


def cut_off(_: Cluster, member: Member, event: Event) -> None:
    member.pod.cut()
    time.sleep(event.seconds)
    member.pod.restore()


def break_dns(cluster: Cluster, _: Member, event: Event) -> None:
    cluster.db.network.dns.fail(event.detail)
    time.sleep(event.seconds)
    cluster.db.network.dns.fail(None)


def unlist(cluster: Cluster, member: Member, event: Event) -> None:
    dns = cluster.db.network.dns
    dns.publish(member.name)
    time.sleep(event.seconds)
    dns.publish(member.name, member.pod.address)


def pause(cluster: Cluster, member: Member, event: Event) -> None:
    """A server restarts while its sidecar is paused, as for maintenance."""
    file = cluster.pause_file(member)
    file.touch()
    time.sleep(event.seconds)
    cluster.stop_server(member)
    member.server.start(wait=False)
    time.sleep(event.seconds)
    file.unlink()


def restart_pod(cluster: Cluster, member: Member, _: Event) -> None:
    cluster.stop(member)
    cluster.keep_snapshot(member)
    member.start()


def change_tables(cluster: Cluster, _: Member, event: Event) -> None:
    with _Tables(cluster):
        time.sleep(event.seconds)


def kill_during_ddl(cluster: Cluster, member: Member, event: Event) -> None:
    with _Tables(cluster, pause=0.0):
        time.sleep(event.seconds)
        member.server.kill()
        if member is not cluster.primary and member.server.flavour == "mariadb":
            cluster.killed_in_ddl.add(event.pod)
        member.server.start(wait=False)
        time.sleep(event.seconds)


def change_password(cluster: Cluster, member: Member, event: Event) -> None:
    """In any order, with a restart in between."""
    cluster.password = AWKWARD + secrets.token_hex(6)
    cluster.db.evidence.secrets.append(cluster.password.removeprefix(AWKWARD))
    file = Path(cluster.db.environment["PEERDISCO_MYSQL_REPLICATION_PASSWORD_FILE"])

    def change_secret() -> None:
        file.write_text(cluster.password)

    steps = [cluster.accept_password, change_secret]
    if event.detail != "account first":
        steps.reverse()
    steps[0]()
    time.sleep(event.seconds)
    kill_server(cluster, member, event)
    steps[1]()


def kill_in_transaction(cluster: Cluster, member: Member, event: Event) -> None:
    """The primary executes it, or a replica applies it."""
    with _LargeTransactions(cluster):
        time.sleep(event.seconds)
        kill_server(cluster, member, event)
        time.sleep(event.seconds)


def prepare_transaction(cluster: Cluster, member: Member, event: Event) -> None:
    """Its coordinator commits it on the primary when the cluster has come to rest.

    Not on MariaDB, of which a replica that is killed then may lose it, though its log has it.
    """
    if member.server.flavour == "mysql":
        _prepare(cluster)
    kill_server(cluster, member, event)


def _prepare(cluster: Cluster) -> None:
    numbers = cluster.numbers(2)
    values = ", ".join(f"({number})" for number in numbers)
    with suppress(*_FAILS):
        cluster.primary.server.sql(
            f"XA START '{numbers[0]}'",
            f"INSERT INTO shop.orders VALUES {values}",
            f"XA END '{numbers[0]}'",
            f"XA PREPARE '{numbers[0]}'",
            user="shop",
        )


def empty_memory_table(cluster: Cluster, member: Member, event: Event) -> None:
    """The first access after a restart makes a server log a statement of its own."""
    with suppress(*_FAILS):
        cluster.primary.server.sql("INSERT INTO play.m VALUES (1)", user="shop")
    time.sleep(event.seconds)
    cluster.stop_server(member)
    member.server.start()
    with suppress(*_FAILS):
        member.server.sql("SELECT * FROM play.m", user="shop")


def lock_tables(_: Cluster, member: Member, event: Event) -> None:
    """As a tool for backups does, which gives up after a time."""
    with suppress(*_FAILS), connected(member.server.socket) as cursor:
        cursor.execute("SET SESSION lock_wait_timeout = 3")
        cursor.execute("FLUSH TABLES WITH READ LOCK")
        time.sleep(event.seconds)


def stop_replication(_: Cluster, member: Member, __: Event) -> None:
    """An operator does; the primary has none."""
    with suppress(*_FAILS):
        member.server.sql("STOP REPLICA")


def use_connections(_: Cluster, member: Member, event: Event) -> None:
    with suppress(*_FAILS), member.server.crowd("shop"):
        time.sleep(event.seconds)


_FAILS = (pymysql.err.MySQLError, OSError)
"""A client's errors, since the server may be down or closed, and the other way round."""


_LARGE_ROW = "INSERT INTO play.large VALUES (%s, REPEAT('x', 100000))"


class _Client(ABC):
    """A client of the primary on a thread of its own, which goes on after each error."""

    def __init__(self, cluster: Cluster) -> None:
        self._server = cluster.primary.server
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                with connected(self._server.socket, user="shop") as cursor:
                    self._execute(cursor)
            except _FAILS:
                self._stopped.wait(0.1)

    @abstractmethod
    def _execute(self, cursor: DictCursor) -> None:
        """Execute statements over a new connection."""


class _LargeTransactions(_Client):
    """A client that inserts rows with much text on the primary, in transactions of several."""

    ROWS = 20

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self._cluster = cluster
        self._acknowledged: set[int] = set()

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._cluster.acknowledged |= self._acknowledged

    def _execute(self, cursor: DictCursor) -> None:
        numbers = self._cluster.numbers(self.ROWS)
        cursor.execute("BEGIN")
        for number in numbers:
            cursor.execute(_LARGE_ROW, (number,))
            cursor.execute("INSERT INTO shop.orders VALUES (%s)", (number,))
        cursor.execute("COMMIT")
        self._acknowledged.update(numbers)


class _Tables(_Client):
    """A client that makes, changes and drops tables on the primary."""

    def __init__(self, cluster: Cluster, pause: float = 0.01) -> None:
        super().__init__(cluster)
        self._pause = pause

    def _execute(self, cursor: DictCursor) -> None:
        for statement in _STATEMENTS:
            cursor.execute(statement)
            if self._stopped.wait(self._pause):
                break


_STATEMENTS = (
    "CREATE TABLE IF NOT EXISTS play.t (n INT PRIMARY KEY AUTO_INCREMENT, word TEXT)",
    "INSERT INTO play.t (word) VALUES ('a'), ('b')",
    "ALTER TABLE play.t ADD COLUMN more INT DEFAULT 1, ADD INDEX (more)",
    "CREATE OR REPLACE VIEW play.v AS SELECT n FROM play.t",
    "ALTER TABLE play.t ENGINE = InnoDB",
    "TRUNCATE TABLE play.t",
    "DROP VIEW play.v",
    "DROP TABLE play.t",
)

DISTURB: dict[str, Callable[[Cluster, Member, Event], None]] = {
    "kill the server": kill_server,
    "kill the sidecar": kill_sidecar,
    "kill the pod": kill_pod,
    "stop the server for a while": stop_server,
    "stop the sidecar for a while": stop_sidecar,
    "move the pod to another node": move_pod,
    "cut the pod off": cut_off,
    "break the DNS": break_dns,
    "unlist the pod": unlist,
    "pause the sidecar": pause,
    "restart the pod": restart_pod,
    "change tables": change_tables,
    "kill the server while tables change": kill_during_ddl,
    "change the password": change_password,
    "kill the server in a large transaction": kill_in_transaction,
    "leave a transaction prepared": prepare_transaction,
    "restart a server with a MEMORY table": empty_memory_table,
    "lock all tables": lock_tables,
    "stop the replication": stop_replication,
    "use all connections": use_connections,
}

assert set(DISTURB) == set(DISTURBANCES)

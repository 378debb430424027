"""A cluster under random events: its clients, and what must hold when it has come to rest."""

from __future__ import annotations

import itertools
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymysql

from ..database import SHOP, Database, Image, Member
from ..pods import Network
from ..volumes import restore, save
from ..waiting import T, until
from ..writer import Writer
from .plan import PODS, Plan

__all__ = ["Cluster"]

PATIENCE = 120.0
"""Seconds within which the cluster has to come to rest; far more than it takes."""

BLOCK = 100_000
"""Numbers of one writer in one round."""


def patiently(condition: Callable[[], T], what: str | Callable[[], str] = "") -> T:
    """Wait for what takes a cluster long, and leave the machine to it meanwhile."""
    return until(condition, timeout=PATIENCE, what=what, pause=0.1)


PLAYGROUND = """
CREATE SCHEMA play;
CREATE TABLE play.m (n INT) ENGINE = MEMORY;
CREATE TABLE play.large (n INT PRIMARY KEY, words LONGTEXT);
GRANT ALL ON play.* TO 'shop'@'localhost';
"""


class Cluster:
    """Three pods, a client of each server, and the list of the rows that were acknowledged.

    Every server has a client that writes all the time, also those that must not be written to: a
    second open primary would acknowledge rows that the first one does not have.

    Args:
        network: Where.
        image: What the servers begin with.
        plan: What will be done.
    """

    def __init__(self, network: Network, image: Image, plan: Plan) -> None:
        setup = ("--durability", "semi-sync") if plan.semi_sync else ()
        self.semi_sync = plan.semi_sync
        self.db = Database(network, image, PODS, setup=setup)
        self.ordinal = 0
        """Of the primary, as it is configured."""
        self.acknowledged: set[int] = set()
        """The rows that no server may be without."""
        self.transactions: list[range] = []
        """The rows that a server has together, or not at all."""
        self.snapshots: dict[int, Path] = {}
        """The newest snapshot of a pod's volume, of any age."""
        self._snapshots_of_primaries: set[int] = set()
        """The pods whose snapshot is of a time at which they were the primary."""
        self._rested: Member | None = None
        """The primary when the cluster was at rest last."""
        self.password = ""
        """The replication password, if it was changed."""
        self.restored = False
        """Whether a volume came back that may have another replication password."""
        self.killed_in_ddl: set[int] = set()
        """The replicas that may need a copy; see `_copy_what_finished_ddl`."""
        self.spent: Counter[str] = Counter()
        """Seconds that each kind of event took, and each step of coming to rest."""
        self._file = network.directory / "primary"
        self._writers: list[Writer] = []
        self._blocks = itertools.count(1)
        self._names = itertools.count(1)

    @property
    def primary(self) -> Member:
        return self.db[self.ordinal]

    @property
    def replicas(self) -> list[Member]:
        return [member for member in self.db.members if member is not self.primary]

    def start(self) -> None:
        """Start all pods, and wait until there is a database."""
        self.wants(0)
        for member in self.db.members:
            environment = member.sidecar.environment
            environment["PEERDISCO_MYSQL_PRIMARY_ORDINAL_FILE"] = str(self._file)
            environment["PEERDISCO_MYSQL_PAUSE_FILE"] = str(self.pause_file(member))
        self.db.start()
        self.db.wait()
        self.primary.server.script(SHOP)
        self.primary.server.script(PLAYGROUND)
        self.rest()

    def wants(self, ordinal: int) -> None:
        """Let the file name this ordinal as the primary's."""
        making = self._file.with_suffix(".new")
        making.write_text(f"{ordinal}\n")
        making.rename(self._file)
        self.ordinal = ordinal

    def pause_file(self, member: Member) -> Path:
        return self.db.network.directory / f"pause-{member.name}"

    # --- clients

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """Clients write during the block, also while it waits; the one of the primary."""
        self._writers = [
            Writer(member.server, next(self._blocks) * BLOCK, pause=0.01, patience=0.1)
            for member in self.db.members
        ]
        writer = self._writers[self.ordinal]
        try:
            for one in self._writers:
                one.__enter__()
            yield writer
        finally:
            self.stop_writing()

    def stop_writing(self) -> set[int]:
        """Stop the clients; the rows that were acknowledged since they began."""
        for writer in self._writers:
            writer.stop()
        for writer in self._writers:
            writer.__exit__()
        rows = {number for writer in self._writers for number in writer.acknowledged}
        self._writers = []
        self.acknowledged |= rows
        return rows

    def numbers(self, count: int) -> range:
        """The numbers of a transaction with several rows."""
        first = next(self._blocks) * BLOCK
        self.transactions.append(range(first, first + count))
        return self.transactions[-1]

    # --- volumes

    def snapshot(self, member: Member) -> Path:
        """A snapshot of the volume of a pod that is down."""
        return save(member, f"snapshot-{next(self._names)}")

    def keep_snapshot(self, member: Member) -> None:
        """The same, for later."""
        ordinal = self.db.members.index(member)
        if ordinal in self.snapshots:
            shutil.rmtree(self.snapshots[ordinal])
        self.snapshots[ordinal] = self.snapshot(member)
        self._snapshots_of_primaries.discard(ordinal)
        if member is self.primary is self._rested:
            self._snapshots_of_primaries.add(ordinal)

    def restore(self, member: Member) -> None:
        """Give a pod that is down the newest snapshot of its volume."""
        restore(member, self.snapshots[self.db.members.index(member)])
        self.restored = True

    def has_snapshot(self, member: Member) -> bool:
        """Whether there is a snapshot of a pod in the role that it has now.

        A primary with a volume of the time when it was a replica is not opened, but asks the
        primary of that time.
        """
        ordinal = self.db.members.index(member)
        if member is self.primary:
            return ordinal in self._snapshots_of_primaries
        return ordinal in self.snapshots

    def copy(self, source: Member, *targets: Member) -> None:
        """Give pods the volume of another one; all of them are down afterwards."""
        for member in (source, *targets):
            self.stop(member)
        saved = self.snapshot(source)
        for target in targets:
            if target.server.datadir.exists():
                target.server.wipe()
            target.server.datadir.mkdir()  # `restore` empties it
            restore(target, saved)
        shutil.rmtree(saved)

    def stop(self, member: Member) -> None:
        """Stop a pod, if it runs."""
        if member.sidecar.alive:
            member.sidecar.stop()
        self.stop_server(member)

    @staticmethod
    def stop_server(member: Member) -> None:
        """Stop a server, if it runs, as the example does.

        A MariaDB that is sent SIGTERM while it starts never ends. MySQL waits for idle clients, of
        which the hook of the example disconnects all.
        """
        if member.server.alive:
            member.server.wait_ready(PATIENCE)
            if member.server.flavour == "mysql":
                member.server.sql("SET GLOBAL offline_mode = ON")
        member.server.stop()

    # --- rest

    @contextmanager
    def timing(self, what: str) -> Iterator[None]:
        """Count the time that the block takes."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.spent[what] += time.monotonic() - began

    def rest(self) -> None:
        """Wait until the cluster has come to rest, and check it; the clients stop."""
        for writer in self._writers:
            writer.stop()
        with self.timing("wait for servers"):
            for member in self.db.members:
                member.server.wait_ready(PATIENCE)
            if self.password and self.restored:
                self.accept_password()
            self.restored = False
        with self.timing("wait for roles"):
            patiently(self._settled, what="it settles")
            patiently(self._commit_prepared, what="no transaction is left prepared")
        self.killed_in_ddl.clear()
        with self.timing("check rows"):
            self.stop_writing()
            self.check_rows()
        with self.timing("wait for readiness"):
            patiently(self._ready, what="all are ready")
            self.check_history()
        self._rested = self.primary

    def _settled(self) -> bool:
        """Whether the primary takes writes, and all others replicate from it."""
        self._copy_what_finished_ddl()
        try:
            return not closed(self.primary) and all(map(self._follows, self.replicas))
        except (pymysql.err.MySQLError, OSError):
            return False

    def _commit_prepared(self) -> bool:
        """Whether nothing is left prepared on the primary, by XA, after it has been committed."""
        try:
            for row in self.primary.server.sql("XA RECOVER"):
                first = int(row["data"])
                self.primary.server.sql(f"XA COMMIT '{first}'")
                (rows,) = (one for one in self.transactions if one.start == first)
                self.acknowledged.update(rows)
        except (pymysql.err.MySQLError, OSError):
            return False
        return True

    def _copy_what_finished_ddl(self) -> None:
        """Give a replica a copy that finished a statement of the primary on its own.

        MariaDB does so with DDL that a kill interrupted, and logs it as its own transaction: it is
        refused, since it cannot be known to be the same.
        """
        for member in self.replicas:
            ordinal = self.db.members.index(member)
            if ordinal in self.killed_in_ddl and self._has_own_changes(member):
                self.killed_in_ddl.remove(ordinal)
                self.copy(self.primary, member)
                self.primary.start()
                member.start()

    @staticmethod
    def _has_own_changes(member: Member) -> bool:
        return (
            member.sidecar.state == "refused" and "no primary wrote" in member.sidecar.states[-1][1]
        )

    def _follows(self, member: Member) -> bool:
        status = member.server.replica_status()
        source = str(status.get("Master_Host") or status.get("Source_Host") or "")
        right = source.startswith(f"{self.primary.name}.")
        return right and member.server.replicates and closed(member)

    def check_rows(self) -> None:
        """Every acknowledged row is on every server, and all have the same."""
        rows = self.db.rows(self.primary)
        missing = self.acknowledged.difference(rows)
        assert not missing, (
            f"{self.primary.name}: {len(missing)} acknowledged rows missing: {sorted(missing)[:5]}"
        )
        for together in self.transactions:
            found = len(set(rows).intersection(together))
            assert found in (0, len(together)), f"{found} rows of the transaction {together}"
        for replica in self.replicas:
            patiently(
                lambda replica=replica: self.db.rows(replica) == rows,
                what=lambda replica=replica: (
                    f"{replica.name} has the {len(rows)} rows of {self.primary.name}, and not "
                    f"{len(self.db.rows(replica))}"
                ),
            )

    def check_history(self) -> None:
        """All have the same history, and one server takes writes."""
        epochs = "SELECT number, id, server, log_reset FROM peerdisco.epochs ORDER BY number"
        expected = self.primary.server.sql(epochs)
        for member in self.db.members:
            patiently(
                lambda member=member: self._has(member, epochs, expected),
                what=f"{member.name} has the {len(expected)} epochs of {self.primary.name}",
            )
        opened = [member.name for member in self.db.members if not closed(member)]
        assert opened == [self.primary.name], f"take writes: {opened}"

    @staticmethod
    def _has(member: Member, query: str, expected: list[dict[str, Any]]) -> bool:
        """Whether a server has all of these epochs; it may lag, and has no other ones."""
        found = member.server.sql(query)
        assert found == expected[: len(found)], (
            f"{member.name} has another history: {found} {expected}"
        )
        return len(found) == len(expected)

    def _ready(self) -> bool:
        found = [self.report(member) for member in self.db.members]
        roles = ["primary" if member is self.primary else "replica" for member in self.db.members]
        return all(one["ready"] for one in found) and [one["state"] for one in found] == roles

    def report(self, member: Member) -> dict[str, Any]:
        """What ``/readyz`` of a pod says."""
        return member.sidecar.ready()[1]

    def accept_password(self, *members: Member) -> None:
        """Give the replication account of these servers, or of all, the current password."""
        quoted = self.password.replace("\\", "\\\\").replace("'", "\\'")
        for member in members or self.db.members:
            patiently(lambda member=member: self._accept(member, quoted))

    @staticmethod
    def _accept(member: Member, quoted: str) -> bool:
        user = "'peerdisco_replication'@'%'"
        try:
            is_open = member.server.flavour == "mariadb" or not closed(member)
            member.server.sql(
                "SET SESSION sql_log_bin = 0",
                "DO 0" if is_open else "SET GLOBAL super_read_only = OFF",
                f"ALTER USER {user} IDENTIFIED BY '{quoted}'",
            )
        except (pymysql.err.MySQLError, OSError):
            return False  # it restarts, or its sidecar closed it in between
        return True

    def described(self) -> str:
        """What each pod said last."""
        return "\n".join(
            f"{member.name}: {self._status(member)}\n  " + "\n  ".join(member.sidecar.said[-6:])
            for member in self.db.members
        )

    def _status(self, member: Member) -> str:
        try:
            status = member.server.replica_status()
            errors = {key: value for key, value in status.items() if "Err" in key and value}
            return f"read_only {member.server.variable('read_only')}, {errors or 'no error'}"
        except (pymysql.err.MySQLError, OSError) as error:
            return str(error)

    def wait_report(
        self, member: Member, holds: Callable[[dict[str, Any]], bool], what: str
    ) -> dict[str, Any]:
        """Wait until the report of a pod is as it should be; the report."""
        found: list[dict[str, Any]] = []

        def is_there() -> bool:
            found.append(self.report(member))
            return holds(found[-1])

        patiently(
            is_there,
            what=lambda: f"{member.name}: {what}; {found[-1]}",
        )
        return found[-1]

    def wait_refused(self, member: Member) -> str:
        """Wait until a pod is refused, and not ready; why."""
        found = self.wait_report(member, lambda one: one["state"] == "refused", "is refused")
        assert not found["ready"], found
        return str(found["reason"])


def closed(member: Member) -> bool:
    return bool(member.server.variable("read_only"))

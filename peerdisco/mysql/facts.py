"""The facts of one server: everything that a decision about it needs."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import coroutine
from typing import Any, Protocol

from ..exceptions import DiscoveryError
from ..wording.foreign import one_line
from .errors import MALFORMED_PACKET, DatabaseError
from .history import History, Recorded
from .log_mark import is_replaced
from .positions import GtidSet, MariaDBPosition, Position
from .status import ReplicaStatus
from .tables import (
    CLUSTER_SCHEMA,
    MOST_EPOCHS,
    READ_EPOCHS,
    READ_HEARTBEAT,
    epoch_of,
    history_of,
)
from .values import number, text
from .versions import Flavour, Version

__all__ = ["ClusterRow", "Executor", "ServerFacts", "read_facts", "read_mark"]

_SYSTEM_SCHEMAS = frozenset({"information_schema", "performance_schema", "mysql", "sys"})
_NO_SCHEMAS = frozenset({"lost+found", "#mysql50#lost+found"})
"""A directory that ext4 makes and the servers take for a schema."""


class Executor(Protocol):
    """A connection to a server: all that this package needs of a driver."""

    async def execute(self, sql: str, /) -> Sequence[Mapping[str, Any]]:
        """Execute one statement; its rows by column name, none if it gives none.

        Raises:
            Exception: What the driver raises; the error's number is its ``errno``, or its first
                argument.
        """
        ...


@dataclass(frozen=True, slots=True)
class ClusterRow:
    """The row by which a cluster is known; it is replicated like any other.

    Attributes:
        id: Chosen at random when the cluster was made.
        from_blank: Whether the server held no data at that moment, so that its logs hold
            everything from the beginning. Where it did, a replica needs a copy.
    """

    id: str
    from_blank: bool


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """The facts of one server.

    Attributes:
        version: Its family and version.
        server_id: Its number among those that replicate from each other.
        origin: What marks the transactions that it wrote itself: its ``server_uuid``, on MariaDB
            its ``server_id``.
        read_only: Whether it refuses the writes of applications.
        closed: Whether it refuses all writes that a server of its family can refuse: on MySQL
            those of administrators, too (``super_read_only``).
        log_bin: Whether it keeps a binary log.
        gtid_mode: Whether transactions have GTIDs; always so on MariaDB.
        schemas: The schemas that hold the user's data; None if the account may not see them.
        cluster: The cluster that it belongs to; None if to none.
        position: Everything that it has executed.
        purged: What its own logs no longer hold; None where the server cannot tell (MariaDB).
        status: Its state as a replica; None if it is none.
        begun: Whether the schema of the cluster's row is there. Without the row, its making was
            cut off, and the log holds what was done of it.
        history: What its data say of their own history.
        log_number: The number in the name of its binary log; None if not known.
        log_replaced: Whether its binary log is known to be another one than at the last heartbeat.
        written: What it has executed, and what is in its binary log while its commit waits, for
            example for an acknowledgement: replicas may have it already. None if that is the
            position, as on MariaDB.
    """

    version: Version
    server_id: int
    origin: str
    read_only: bool
    closed: bool
    log_bin: bool
    gtid_mode: bool
    schemas: tuple[str, ...] | None
    cluster: ClusterRow | None
    position: Position
    purged: Position | None
    status: ReplicaStatus | None
    begun: bool = False
    history: History = field(default_factory=History)
    log_number: int | None = None
    log_replaced: bool = False
    written: Position | None = None

    @property
    def recorded(self) -> Recorded:
        """Its history, and how far it is."""
        return Recorded(
            self.history, self.position, self.origin, self.log_number, self.log_replaced
        )

    @property
    def recorded_as_primary(self) -> Recorded:
        """The same, as replicas are compared with it."""
        return replace(self.recorded, position=self.written or self.position)

    @property
    def unapplied(self) -> Position | None:
        """What it has received as a replica, and not applied; None if that is nothing.

        It is lost if the server restarts. On MariaDB it is so, too, if both threads of the replica
        have stopped and one of them starts.
        """
        left = None if self.received is None else self.received.without(self.position)
        return None if left is None or left.empty else left

    @property
    def received(self) -> Position | None:
        """Everything that it has executed or received, as a replica; None if it is none."""
        if self.status is None:
            return None
        if isinstance(self.position, GtidSet):
            return self.position.with_more(self.status.received)
        return MariaDBPosition.parse("", self.status.received)

    @property
    def flavour(self) -> Flavour:
        return self.version.flavour

    @property
    def holds_data(self) -> bool | None:
        """Whether it holds data of the user or belongs to a cluster; None if it cannot be seen."""
        if self.cluster is not None or self.schemas:
            return True
        return None if self.schemas is None else False

    @property
    def blank(self) -> bool:
        """Whether it is known to hold nothing."""
        return self.holds_data is False


_MARIADB = (
    "SELECT @@global.server_id AS server_id, @@global.read_only AS read_only, "
    "@@global.log_bin AS log_bin, @@global.gtid_binlog_state AS logged, "
    "@@global.gtid_slave_pos AS applied"
)
_MYSQL = (
    "SELECT @@global.server_id AS server_id, @@global.server_uuid AS server_uuid, "
    "@@global.read_only AS read_only, @@global.super_read_only AS super_read_only, "
    "@@global.log_bin AS log_bin, "
    "@@global.gtid_mode AS gtid_mode, "
    # In this order: what is committed in between is in both.
    "@@global.gtid_owned AS owned, @@global.gtid_executed AS executed, "
    "@@global.gtid_purged AS purged"
)


_Ask = Callable[[str, str], Awaitable[Sequence[Mapping[str, Any]]]]


async def read_facts(server: Executor, name: str) -> ServerFacts:
    """Read everything that decisions need from a server; nothing is changed.

    Args:
        server: The connection. Its account needs SHOW DATABASES, SELECT on the schema
            ``peerdisco``, and REPLICA MONITOR (MariaDB) or REPLICATION CLIENT (MySQL).
        name: What to call the server in an error.

    Raises:
        DatabaseError: A query failed, or the server did not answer.
        ConfigurationError: It is too old.
    """

    async def ask(doing: str, sql: str) -> Sequence[Mapping[str, Any]]:
        try:
            return await server.execute(sql)
        except Exception as error:
            raise DatabaseError.of(error, name, doing) from error

    with _understanding(name):
        facts = await _read_facts(server, name, ask)
        await _others_run()
        _ = facts.received  # parsed on access: its error belongs here, where the server is named
        return facts


@contextmanager
def _understanding(name: str) -> Iterator[None]:
    """Turn what parsing raises into an error that names the server."""
    try:
        yield
    except DiscoveryError:
        raise
    except (ValueError, LookupError, TypeError, ArithmeticError) as error:
        detail = one_line(f"a reply that cannot be understood ({type(error).__name__}: {error})")
        raise DatabaseError(name, "reading its state", MALFORMED_PACKET, detail) from error


async def _read_facts(server: Executor, name: str, ask: _Ask) -> ServerFacts:
    (what,) = await ask(
        "asking for its version", "SELECT VERSION() AS version, @@version_comment AS comment"
    )
    version = Version.parse(str(what["version"]), str(what["comment"]))
    mariadb = version.flavour is Flavour.MARIADB
    # The heartbeat before the position, which it must not be beyond, and the epochs after it, since
    # a position may go beyond the beginning of an epoch only if that is known.
    heartbeat = await _rows_if_there(server, name, "reading the heartbeat", READ_HEARTBEAT)
    (row,) = await ask("asking for its variables", _MARIADB if mariadb else _MYSQL)
    logs = await ask("asking for its binary log", _log_query(version))
    names = [_only_value(found) for found in await ask("listing its schemas", "SHOW DATABASES")]
    cluster = None
    epochs: Sequence[Mapping[str, Any]] = ()
    if CLUSTER_SCHEMA in names:
        cluster = await _read_cluster(server, name)
        epochs = await _rows_if_there(server, name, "reading the epochs", READ_EPOCHS)
    statuses = await ask("asking for its state as a replica", "SHOW REPLICA STATUS")
    status = ReplicaStatus.of_row(statuses[0]) if statuses else None
    read_only = _on(row["read_only"])
    history = await _history(name, epochs, heartbeat)
    position = _position(row, mariadb=mariadb)
    origin = text(row["server_id" if mariadb else "server_uuid"])
    await _others_run()
    return ServerFacts(
        version=version,
        server_id=number(row["server_id"]),
        origin=origin,
        read_only=read_only,
        closed=read_only if mariadb else _on(row["super_read_only"]),
        log_bin=_on(row["log_bin"]),
        gtid_mode=mariadb or text(row["gtid_mode"]).upper() == "ON",
        schemas=_user_schemas(names),
        cluster=cluster,
        position=position,
        purged=None if mariadb else GtidSet.parse(text(row["purged"])),
        # MySQL keeps an empty row after RESET REPLICA without ALL.
        status=status if status is not None and status.source_host else None,
        begun=CLUSTER_SCHEMA in names,
        history=history,
        log_number=_log_number(logs),
        written=None if mariadb else _written(row),
        log_replaced=await _is_log_replaced(
            server, name, history, origin, version.flavour, _log_number(logs)
        ),
    )


async def _is_log_replaced(
    server: Executor,
    name: str,
    history: History,
    origin: str,
    flavour: Flavour,
    log_number: int | None,
) -> bool:
    beat = history.heartbeat
    epoch = history.get(beat.epoch) if beat is not None else None
    if epoch is None or epoch.server != origin:
        return False  # the log of another server
    try:
        return await is_replaced(server.execute, flavour, epoch.id, log_number)
    except Exception as error:
        raise DatabaseError.of(error, name, "comparing its binary log") from error


async def _read_cluster(server: Executor, name: str) -> ClusterRow | None:
    doing = "reading to which cluster it belongs"
    rows = await _rows_if_there(
        server,
        name,
        doing,
        f"SELECT id, origin FROM {CLUSTER_SCHEMA}.cluster",  # noqa: S608
    )
    if not rows:
        return None
    return ClusterRow(one_line(text(rows[0]["id"])), text(rows[0]["origin"]) == "blank")


async def _rows_if_there(
    server: Executor, name: str, doing: str, sql: str
) -> Sequence[Mapping[str, Any]]:
    """The rows of one of this package's tables; none if it has not been created yet."""
    try:
        return await server.execute(sql)
    except Exception as error:
        failure = DatabaseError.of(error, name, doing)
        if failure.errno in _NOT_THERE:
            return []
        raise failure from error


_NOT_THERE = (1146, 1049)
"""No such table; no such schema, as MySQL says."""


async def read_mark(server: Executor, name: str, facts: ServerFacts) -> Recorded:
    """How far a server is whose other facts are known, and its last heartbeat.

    Raises:
        DatabaseError: A query failed, the server did not answer, or its answer is not understood.
    """
    mariadb = facts.flavour is Flavour.MARIADB
    try:
        beats = await _rows_if_there(server, name, "reading the heartbeat", READ_HEARTBEAT)
        (row,) = await server.execute(_MARIADB if mariadb else _MYSQL)
        logs = await server.execute(_log_query(facts.version))
    except Exception as error:
        raise DatabaseError.of(error, name, "asking how far it is") from error
    with _understanding(name):
        newest = await _history(name, (), beats)
        history = replace(facts.history, heartbeat=newest.heartbeat)
        position, log = _position(row, mariadb=mariadb), _log_number(logs)
        replaced = await _is_log_replaced(server, name, history, facts.origin, facts.flavour, log)
        return Recorded(history, position, facts.origin, log, replaced)


def _position(row: Mapping[str, Any], *, mariadb: bool) -> Position:
    if mariadb:
        return MariaDBPosition.parse(text(row["logged"]), text(row["applied"]))
    return GtidSet.parse(text(row["executed"]))


def _written(row: Mapping[str, Any]) -> Position:
    """What a MySQL server has in its log: ``gtid_owned`` has a session behind each number."""
    owned = re.sub(r"#\d+", "", text(row["owned"]))
    return GtidSet.parse(text(row["executed"])).with_more(owned)


async def _history(
    name: str, epochs: Sequence[Mapping[str, Any]], heartbeat: Sequence[Mapping[str, Any]]
) -> History:
    doing = f"reading the tables of {CLUSTER_SCHEMA}"
    if len(epochs) > MOST_EPOCHS:
        detail = f"{len(epochs)} epochs, although {MOST_EPOCHS} were asked for"
        raise DatabaseError(name, doing, MALFORMED_PACKET, detail)
    try:
        found = []
        for row in epochs:
            found.append(epoch_of(row))
            await _others_run()
        return history_of(found, heartbeat)
    except (ValueError, KeyError, UnicodeDecodeError) as error:
        raise DatabaseError.of(error, name, doing) from error


@coroutine
def _others_run() -> Generator[None, None, None]:
    """Give other tasks a turn, as ``asyncio.sleep(0)`` does: a server may send long positions."""
    yield


def _log_query(version: Version) -> str:
    """The statement that gives the name of the current binary log to these accounts."""
    if version.flavour is Flavour.MARIADB:
        return "SHOW GLOBAL STATUS LIKE 'Binlog_snapshot_file'"
    return "SHOW BINARY LOG STATUS" if version.number >= (8, 2, 0) else "SHOW MASTER STATUS"


def _log_number(rows: Sequence[Mapping[str, Any]]) -> int | None:
    """The number in the log's name; None without a log, or where it is not shown."""
    row = rows[0] if rows else {}
    suffix = text(row.get("File", row.get("Value"))).rpartition(".")[2]
    return number(suffix) if suffix.isdecimal() else None


def _user_schemas(names: Sequence[str]) -> tuple[str, ...] | None:
    """The schemas that are neither the server's nor this package's; None if not all are shown.

    Without the privilege SHOW DATABASES a server shows an account its own schemas, and says
    nothing of the others; ``mysql`` is always there.
    """
    if "mysql" not in names:
        return None
    ours = _SYSTEM_SCHEMAS | _NO_SCHEMAS | {CLUSTER_SCHEMA}
    return tuple(one_line(name) for name in names if name not in ours)


def _only_value(row: Mapping[str, Any]) -> str:
    (value,) = row.values()
    return text(value)


def _on(value: object) -> bool:
    """Whether a variable is on: drivers give numbers, MariaDB 12 words (``NO_LOCK`` is on)."""
    return text(value).upper() not in ("0", "OFF", "")

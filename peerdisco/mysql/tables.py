"""The tables of the schema ``peerdisco``, which are replicated like any other. Pure.

``cluster`` names the data, ``epochs`` has a row for each opening of a primary, and ``heartbeat``
the one row that the open primary renews.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..wording.foreign import one_line
from .history import Epoch, Heartbeat, History
from .literals import literal
from .positions import parse_position
from .values import number, text
from .versions import Flavour

__all__ = [
    "CLUSTER_SCHEMA",
    "CLUSTER_TABLE",
    "EPOCHS_TABLE",
    "HEARTBEAT_TABLE",
    "MOST_EPOCHS",
    "READ_EPOCHS",
    "READ_HEARTBEAT",
    "Opening",
    "beat",
    "epoch_of",
    "history_of",
    "restore",
    "restore_beat",
]

CLUSTER_SCHEMA = "peerdisco"
"""The schema of the tables that identify the cluster and its history."""

MOST_EPOCHS = 128
"""How many of the newest epochs are read. A replica that has none of them has been away for more
openings of the primary than this, and needs a copy."""

_MOST_CHARACTERS = 1 << 20
"""Characters of positions in the epochs that are read. The position of a server that has had a
thousand sources has 50,000; then fewer epochs are read."""

CLUSTER_TABLE = (
    f"CREATE TABLE IF NOT EXISTS {CLUSTER_SCHEMA}.cluster ("
    # One row: a second one, written by a primary of another cluster, stops replication there.
    "pin TINYINT NOT NULL PRIMARY KEY CHECK (pin = 1), "
    "id CHAR(36) CHARACTER SET ascii NOT NULL, "
    "origin VARCHAR(16) CHARACTER SET ascii NOT NULL, "
    "created_at DATETIME NOT NULL"
    ") ENGINE = InnoDB"
)
EPOCHS_TABLE = (
    f"CREATE TABLE IF NOT EXISTS {CLUSTER_SCHEMA}.epochs ("
    # A replica that has another epoch of this number, from another history, stops with an error.
    "number INT UNSIGNED NOT NULL PRIMARY KEY, "
    "id CHAR(36) CHARACTER SET ascii NOT NULL, "
    "predecessor CHAR(36) CHARACTER SET ascii NULL, "
    "ordinal INT UNSIGNED NOT NULL, "
    "server VARCHAR(64) CHARACTER SET ascii NOT NULL, "
    "opened_at DATETIME(3) NOT NULL, "
    "left_position MEDIUMTEXT CHARACTER SET ascii NOT NULL, "
    "left_beat BIGINT UNSIGNED NULL, "
    "left_beat_at DATETIME(3) NULL, "
    "log_reset TINYINT NOT NULL"
    ") ENGINE = InnoDB"
)
HEARTBEAT_TABLE = (
    f"CREATE TABLE IF NOT EXISTS {CLUSTER_SCHEMA}.heartbeat ("
    "epoch CHAR(36) CHARACTER SET ascii NOT NULL, "
    "counter BIGINT UNSIGNED NOT NULL, "
    "pin TINYINT NOT NULL UNIQUE CHECK (pin = 1), "
    "beat_at DATETIME(3) NOT NULL, "
    "position MEDIUMTEXT CHARACTER SET ascii NULL, "
    "log_number INT UNSIGNED NULL, "
    # Each beat is an update of the one before, which a replica finds by this key. One that has
    # another, because beats are missing or came from another history, stops with an error.
    "PRIMARY KEY (epoch, counter)"
    ") ENGINE = InnoDB"
)
READ_EPOCHS = (
    "SELECT number, id, predecessor, ordinal, server, opened_at, left_position, left_beat, "  # noqa: S608
    "left_beat_at, log_reset FROM (SELECT newest.*, "
    "SUM(LENGTH(left_position)) OVER (ORDER BY number DESC) AS characters "
    f"FROM (SELECT * FROM {CLUSTER_SCHEMA}.epochs ORDER BY number DESC LIMIT {MOST_EPOCHS}) "
    f"AS newest) AS counted WHERE characters <= {_MOST_CHARACTERS} ORDER BY number DESC"
)
READ_HEARTBEAT = (
    f"SELECT epoch, counter, beat_at, position, log_number FROM {CLUSTER_SCHEMA}.heartbeat"  # noqa: S608
)

_POSITION = {
    Flavour.MARIADB: "CONCAT(@@global.gtid_binlog_state, '|', @@global.gtid_slave_pos)",
    Flavour.MYSQL: "REPLACE(@@global.gtid_executed, '\\n', '')",
}
"""The text of `Position.text`, as the server itself writes it, before the statement's own GTID."""


def history_of(epochs: Iterable[Epoch], heartbeat: Sequence[Mapping[str, Any]]) -> History:
    """The history of these epochs and the rows of `READ_HEARTBEAT`.

    Raises:
        ValueError: A position is not understood.
        KeyError: A column is missing.
    """
    found = sorted(epochs, key=lambda epoch: epoch.number)
    return History(tuple(found), _heartbeat(heartbeat[0]) if heartbeat else None)


def epoch_of(row: Mapping[str, Any]) -> Epoch:
    """The epoch in a row of `READ_EPOCHS`.

    Raises:
        ValueError: A value is not understood.
        KeyError: A column is missing.
    """
    left_beat = row["left_beat"]
    return Epoch(
        number=number(row["number"]),
        id=one_line(text(row["id"])),
        predecessor=text(row["predecessor"]) if row["predecessor"] is not None else None,
        ordinal=number(row["ordinal"]),
        server=one_line(text(row["server"])),
        opened_at=_time(row["opened_at"]),
        left_position=parse_position(text(row["left_position"])),
        left_beat=number(left_beat) if left_beat is not None else None,
        left_beat_at=_time(row["left_beat_at"]) if row["left_beat_at"] is not None else None,
        log_reset=bool(number(row["log_reset"])),
    )


def _heartbeat(row: Mapping[str, Any]) -> Heartbeat:
    position, log_number = row["position"], row["log_number"]
    return Heartbeat(
        epoch=one_line(text(row["epoch"])),
        counter=number(row["counter"]),
        at=_time(row["beat_at"]),
        position=parse_position(text(position)) if position is not None else None,
        log_number=number(log_number) if log_number is not None else None,
    )


def _time(value: object) -> datetime:
    """A DATETIME, which drivers give as such or as text; in UTC."""
    found = value if isinstance(value, datetime) else datetime.fromisoformat(text(value))
    return found.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Opening:
    """A new epoch: who is opened, and what is new about it.

    Attributes:
        epoch_id: Chosen at random.
        ordinal: Of the pod.
        origin: Of its server; see `ServerFacts.origin`.
        flavour: Of its server.
        log_reset: Whether its binary log was reset since its last heartbeat.
        log_number: The number in the name of its binary log; None if not known.
    """

    epoch_id: str
    ordinal: int
    origin: str
    flavour: Flavour
    log_reset: bool = False
    log_number: int | None = None

    def insert(self, history: History) -> str:
        """The statement that writes the epoch's row.

        The position is the server's own when the statement is executed. Nobody else may write at
        that moment.
        """
        newest, heartbeat = history.newest, history.heartbeat
        values = {
            "number": str(newest.number + 1 if newest is not None else 1),
            "id": literal(self.epoch_id),
            "predecessor": literal(newest.id) if newest is not None else "NULL",
            "ordinal": str(self.ordinal),
            "server": literal(self.origin),
            "opened_at": "UTC_TIMESTAMP(3)",
            "left_position": self._left_position(heartbeat),
            "left_beat": str(heartbeat.counter) if heartbeat is not None else "NULL",
            "left_beat_at": _literal_time(heartbeat.at) if heartbeat is not None else "NULL",
            "log_reset": str(int(self.log_reset)),
        }
        return (
            f"INSERT INTO {CLUSTER_SCHEMA}.epochs ({', '.join(values)}) "  # noqa: S608
            f"VALUES ({', '.join(values.values())})"
        )

    def _left_position(self, heartbeat: Heartbeat | None) -> str:
        if self.log_reset and heartbeat is not None and heartbeat.position is not None:
            return literal(heartbeat.position.text)
        return _POSITION[self.flavour]

    def beat(self, history: History) -> str:
        """The statement for the epoch's first heartbeat."""
        if history.heartbeat is not None:
            return f"{_update(self.flavour, self.log_number)}, epoch = {literal(self.epoch_id)}"
        return (
            f"INSERT INTO {CLUSTER_SCHEMA}.heartbeat "  # noqa: S608
            "(epoch, counter, pin, beat_at, position, log_number) VALUES "
            f"({literal(self.epoch_id)}, 1, 1, UTC_TIMESTAMP(3), "
            f"{_POSITION[self.flavour]}, {_number(self.log_number)})"
        )

    def settle(self) -> str:
        """The statement for a server that took writes while the epoch began.

        What others wrote between the reading of the position and the epoch's own transaction
        belongs to the epoch before.
        """
        return (
            f"UPDATE {CLUSTER_SCHEMA}.epochs SET left_position = {_POSITION[self.flavour]} "  # noqa: S608
            f"WHERE id = {literal(self.epoch_id)}"
        )


def restore(epoch: Epoch) -> str:
    """The statement that writes the row of an epoch again, which was deleted or changed."""
    at = epoch.left_beat_at
    values = {
        "number": str(epoch.number),
        "id": literal(epoch.id),
        "predecessor": literal(epoch.predecessor) if epoch.predecessor is not None else "NULL",
        "ordinal": str(epoch.ordinal),
        "server": literal(epoch.server),
        "opened_at": _literal_time(epoch.opened_at),
        "left_position": literal(epoch.left_position.text),
        "left_beat": _number(epoch.left_beat),
        "left_beat_at": _literal_time(at) if at is not None else "NULL",
        "log_reset": str(int(epoch.log_reset)),
    }
    return (
        f"INSERT INTO {CLUSTER_SCHEMA}.epochs ({', '.join(values)}) "  # noqa: S608
        f"VALUES ({', '.join(values.values())}) ON DUPLICATE KEY UPDATE "
        f"{', '.join(f'{name} = VALUES({name})' for name in values)}"
    )


def restore_beat(flavour: Flavour, known: Heartbeat, log_number: int | None) -> str:
    """The statement that writes the heartbeat again, later than any that a replica may have."""
    updates = ("epoch", "counter", "beat_at", "position", "log_number")
    return (
        f"INSERT INTO {CLUSTER_SCHEMA}.heartbeat "  # noqa: S608
        "(epoch, counter, pin, beat_at, position, log_number) VALUES "
        f"({literal(known.epoch)}, {known.counter + _UNSEEN_BEATS}, 1, UTC_TIMESTAMP(3), "
        f"{_POSITION[flavour]}, {_number(log_number)}) ON DUPLICATE KEY UPDATE "
        f"{', '.join(f'{name} = VALUES({name})' for name in updates)}"
    )


_UNSEEN_BEATS = 1000
"""More heartbeats than are written between two passes."""


def beat(flavour: Flavour, epoch: Epoch, log_number: int | None) -> str:
    """The statement for the next heartbeat of an epoch.

    It changes nothing on a server that is read-only, or on which another epoch has begun.
    """
    return (
        f"{_update(flavour, log_number)} WHERE @@global.read_only = 0 AND epoch = "  # noqa: S608
        f"{literal(epoch.id)} AND {epoch.number} = "
        f"(SELECT MAX(number) FROM {CLUSTER_SCHEMA}.epochs)"
    )


def _update(flavour: Flavour, log_number: int | None) -> str:
    return (
        f"UPDATE {CLUSTER_SCHEMA}.heartbeat SET counter = counter + 1, "  # noqa: S608
        f"beat_at = UTC_TIMESTAMP(3), position = {_POSITION[flavour]}, "
        f"log_number = {_number(log_number)}"
    )


def _number(number: int | None) -> str:
    return str(number) if number is not None else "NULL"


def _literal_time(at: datetime) -> str:
    return literal(at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3])

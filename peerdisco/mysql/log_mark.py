"""A place in the primary's binary log by which it is known again.

Positions and the number of a log do not always show that the log was reset: after enough
transactions, and in a log with a higher number, both are larger than before. So the primary records
once in each of its logs what is at which offset. In another log, there is something else.

The row is written without a trace in the binary log: it is about the files of one server.

Only queries are used that return while commits wait for a replica or for space on the disk. On
MariaDB, ``SHOW BINLOG EVENTS`` and ``SHOW BINARY LOGS`` wait for them.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .dialects import Dialect, Step
from .errors import errno_of
from .literals import literal
from .positions import GtidSet, MariaDBPosition
from .tables import CLUSTER_SCHEMA
from .values import number, text
from .versions import Flavour, Version

__all__ = ["LogMark", "is_replaced", "log_end", "mark_at", "plan_marking"]

_Ask = Callable[[str], Awaitable[Sequence[Mapping[str, Any]]]]

_TABLE = (
    f"CREATE TABLE IF NOT EXISTS {CLUSTER_SCHEMA}.log_mark ("
    "pin TINYINT NOT NULL PRIMARY KEY CHECK (pin = 1), "
    "epoch CHAR(36) CHARACTER SET ascii NOT NULL, "
    "log_name VARCHAR(255) NOT NULL, "
    "place BIGINT UNSIGNED NOT NULL, "
    "shown MEDIUMTEXT NOT NULL"
    ") ENGINE = InnoDB"
)
_READ = f"SELECT log_name, place, shown FROM {CLUSTER_SCHEMA}.log_mark WHERE epoch = "  # noqa: S608

_BEGINNING = 4
"""The offset of the first event of a log."""
_FARTHEST = 1 << 16
"""The largest offset that is recorded on MariaDB, which reads the log up to there each time."""
_FIRST_EVENTS = 50
"""Events at the beginning of a log that is longer than that."""

_NO_TABLE = 1146
_NOT_IN_LOG = 1220
"""ER_ERROR_WHEN_EXECUTING_COMMAND: there is no such log, or no event at this offset."""
_MAY_NOT = (1142, 1143, 1227)
"""The account does not have a privilege: on a table, a column, or everywhere."""

_MOST_DIGITS = 10
"""Digits of a log's number."""
_LONGEST = 1 << 16
"""Characters of a position that is compared; a longer one is not one of these servers'."""

_GTID = re.compile(r"GTID_NEXT= '([0-9a-fA-F-]{36}:\d+)'")


@dataclass(frozen=True, slots=True)
class LogMark:
    """What is where.

    Attributes:
        log_name: The file.
        place: The offset in it.
        shown: What the server shows of this place: on MariaDB all GTIDs before it, on MySQL the
            event there, with the GTID of its transaction.
    """

    log_name: str
    place: int
    shown: str


async def is_replaced(ask: _Ask, flavour: Flavour, epoch: str, log_number: int | None) -> bool:
    """Whether a primary's log is another one than in this epoch.

    False as well where it is not known: before the first mark, or if the account may not read logs.

    Args:
        ask: Executes a query, and raises what the driver raises.
        flavour: The server's family.
        epoch: The id of the epoch of its last heartbeat.
        log_number: The number in the name of its log; None if not known.
    """
    rows = await _asked(ask, f"{_READ}{literal(epoch)}", _NO_TABLE)
    if not rows:
        return False
    row = rows[0]
    mark = LogMark(text(row["log_name"]), number(row["place"]), text(row["shown"]))
    found = await _shown(ask, flavour, mark.log_name, mark.place)
    if found is not None:
        return found != mark.shown
    if flavour is Flavour.MYSQL:
        return await _is_not_purged(ask, mark)
    return log_number is not None and await _is_not_purged_mariadb(ask, mark, log_number)


async def log_end(ask: _Ask, version: Version) -> tuple[str, int] | None:
    """The name of the current log, and the offset of its end; None if there is no log."""
    if version.flavour is Flavour.MARIADB:
        rows = await ask("SHOW GLOBAL STATUS LIKE 'Binlog_snapshot_%'")
        values = {text(row["Variable_name"]).lower(): text(row["Value"]) for row in rows}
        name, place = values.get("binlog_snapshot_file"), values.get("binlog_snapshot_position")
    else:
        newer = version.number >= (8, 2, 0)
        rows = await ask("SHOW BINARY LOG STATUS" if newer else "SHOW MASTER STATUS")
        name, place = (text(rows[0]["File"]), rows[0]["Position"]) if rows else (None, None)
    return (name, number(place)) if name and place else None


async def mark_at(ask: _Ask, version: Version, end: tuple[str, int]) -> LogMark | None:
    """The mark for the former end of the log; None if nothing there is like nothing else.

    More must have been written since, so that no commit keeps the log from being read.
    """
    name, place = end
    if version.flavour is Flavour.MARIADB and place > _FARTHEST:
        first = await _asked(ask, _events(name, _BEGINNING, _FIRST_EVENTS))
        places = [number(row["Pos"]) for row in first if str(row["Event_type"]) == "Gtid"]
        place = places[-1] if places else _BEGINNING
    shown = await _shown(ask, version.flavour, name, place)
    if not shown or (version.flavour is Flavour.MYSQL and _GTID.search(shown) is None):
        return None
    return LogMark(name, place, shown)


def plan_marking(version: Version, epoch: str, mark: LogMark) -> tuple[Step, ...]:
    """The steps that record a mark."""
    doing = "recording a place in its binary log"
    values = f"{literal(epoch)}, {literal(mark.log_name)}, {mark.place:d}, {literal(mark.shown)}"
    insert = (
        f"INSERT INTO {CLUSTER_SCHEMA}.log_mark (pin, epoch, log_name, place, shown) "  # noqa: S608
        f"VALUES (1, {values}) ON DUPLICATE KEY UPDATE epoch = VALUES(epoch), "
        "log_name = VALUES(log_name), place = VALUES(place), shown = VALUES(shown)"
    )
    return Dialect(version).unlogged(Step(doing, _TABLE), Step(doing, insert))


async def _asked(ask: _Ask, sql: str, *nothing: int) -> Sequence[Mapping[str, Any]]:
    """The rows; none after an error of these numbers, or if the account may not ask."""
    try:
        return await ask(sql)
    except Exception as error:
        if errno_of(error) in (*_MAY_NOT, *nothing):
            return ()
        raise


async def _shown(ask: _Ask, flavour: Flavour, name: str, place: int) -> str | None:
    """What the server shows of a place; None if there is no such log or place."""
    if flavour is Flavour.MARIADB:
        rows = await _asked(ask, f"SELECT BINLOG_GTID_POS({literal(name)}, {place:d}) AS shown")
        value = rows[0]["shown"] if rows else None
        return None if value is None else text(value)
    rows = await _asked(ask, _events(name, place, 1), _NOT_IN_LOG)
    return f"{rows[0]['End_log_pos']} {text(rows[0]['Info'])}" if rows else None


def _events(name: str, place: int, most: int) -> str:
    return f"SHOW BINLOG EVENTS IN {literal(name)} FROM {place:d} LIMIT {most:d}"


async def _is_not_purged(ask: _Ask, mark: LogMark) -> bool:
    """Whether a mark that is not found has not been purged. On MySQL."""
    names = [text(row["Log_name"]) for row in await _asked(ask, "SHOW BINARY LOGS")]
    if not names:
        return False  # not known
    if mark.log_name in names or _number(names[0]) < _number(mark.log_name):
        return True
    for row in await _asked(ask, _events(names[0], _BEGINNING, 3)):
        if str(row["Event_type"]) == "Previous_gtids":
            return _lacks(text(row["Info"]), mark, Flavour.MYSQL)
    return False


async def _is_not_purged_mariadb(ask: _Ask, mark: LogMark, current: int) -> bool:
    """The same on MariaDB, which does not list its logs without waiting."""
    prefix, marked = mark.log_name.rpartition(".")[0], _number(mark.log_name)

    async def beginning(of: int) -> str | None:
        return await _shown(ask, Flavour.MARIADB, f"{prefix}.{of:06}", _BEGINNING)

    if current <= marked or await beginning(marked) is not None:
        return True
    before = await beginning(current)
    if before is None:
        return False  # the logs have another name now
    gone, there = marked, current
    while there - gone > 1:
        middle = (gone + there) // 2
        found = await beginning(middle)
        if found is None:
            gone = middle
        else:
            there, before = middle, found
    return _lacks(before, mark, Flavour.MARIADB)


def _lacks(before: str, mark: LogMark, flavour: Flavour) -> bool:
    """Whether the remaining logs, which begin after these transactions, lack the mark's."""
    if len(before) > _LONGEST or len(mark.shown) > _LONGEST:
        return False
    if flavour is Flavour.MARIADB:
        shown = MariaDBPosition.parse(mark.shown, "")
        return bool(shown.beyond(MariaDBPosition.parse(before, "")))
    found = _GTID.search(mark.shown)
    return found is not None and bool(GtidSet.parse(found[1]).beyond(GtidSet.parse(before)))


def _number(name: str) -> int:
    """The number in a log's name."""
    digits = name.rpartition(".")[2]
    return int(digits) if digits.isdecimal() and len(digits) <= _MOST_DIGITS else 0

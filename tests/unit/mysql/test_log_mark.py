"""Whether a primary's binary log is the one in which it recorded a place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from peerdisco.mysql.log_mark import LogMark, is_replaced, log_end, mark_at, plan_marking
from peerdisco.mysql.versions import Flavour, Version

from .servers import MARIADB, MYSQL, UUID, ServerError

PLACES = {
    MARIADB: "0-100-20",
    MYSQL: f"442 SET @@SESSION.GTID_NEXT= '{UUID}:20'",
}
FLAVOURS = {MARIADB: Flavour.MARIADB, MYSQL: Flavour.MYSQL}
BOTH = pytest.mark.parametrize("version", [MARIADB, MYSQL])


class Log:
    """A server's logs: what it shows, by the file's number and the offset."""

    def __init__(self, version: str, *numbers: int, marked: bool = True) -> None:
        self.version = version
        self.numbers = numbers
        self.marked = marked
        self.shown: dict[tuple[int, int], str] = {}
        self.fails: dict[str, int] = {}
        self.asked = 0

    async def ask(self, sql: str) -> Sequence[Mapping[str, Any]]:
        self.asked += 1
        for beginning, errno in self.fails.items():
            if sql.startswith(beginning):
                raise ServerError(errno, "no")
        names = [f"binlog.{number:06}" for number in self.numbers]
        if sql.startswith("SELECT log_name"):
            assert sql.endswith("WHERE epoch = 'an-epoch'")
            shown = PLACES[self.version].encode()
            row = {"log_name": "binlog.000007", "place": 400, "shown": shown}
            return [row] if self.marked else []
        if sql == "SHOW BINARY LOGS":
            assert self.version != MARIADB, "it waits for commits"
            return [{"Log_name": name} for name in names]
        if sql.startswith("SHOW GLOBAL STATUS LIKE 'Binlog_snapshot_"):
            values = {"Binlog_snapshot_file": names[-1], "Binlog_snapshot_position": self.end}
            return [{"Variable_name": name, "Value": value} for name, value in values.items()]
        if sql.startswith(("SHOW MASTER STATUS", "SHOW BINARY LOG STATUS")):
            return [{"File": names[-1], "Position": int(self.end)}] if names else []
        if self.first and sql == "SHOW BINLOG EVENTS IN 'binlog.000007' FROM 4 LIMIT 50":
            return [{"Event_type": kind, "Pos": place} for kind, place in self.first]
        found = re.search(r"'binlog\.(\d+)'(?:,| FROM) (\d+)", sql)
        assert found is not None, sql
        shown = self.shown.get((int(found[1]), int(found[2])))
        if sql.startswith("SELECT BINLOG_GTID_POS"):
            return [{"shown": shown}]
        assert self.version != MARIADB, "it waits for commits"
        if shown is None:
            raise ServerError(1220, "Wrong offset or I/O error")
        end, _, info = shown.partition(" ")
        kind = "Gtid" if info.startswith("SET") else "Previous_gtids"
        return [{"Event_type": kind, "Info": info, "End_log_pos": int(end or 0)}]

    end = "400"
    first: Sequence[tuple[str, int]] = ()

    async def replaced(self) -> bool:
        number = self.numbers[-1] if self.numbers else None
        return await is_replaced(self.ask, FLAVOURS[self.version], "an-epoch", number)


def beginning(version: str, last: int) -> str:
    """What a log shows that begins after so many transactions."""
    if version == MARIADB:
        return f"0-100-{last}" if last else ""
    return f"158 {UUID}:1-{last}" if last else "158 "


@BOTH
async def test_the_same_at_the_same_place_is_the_same_log(version: str) -> None:
    log = Log(version, 5, 6, 7, 8)
    log.shown[7, 400] = PLACES[version]
    assert not await log.replaced()


@BOTH
@pytest.mark.parametrize("other", ["21", "", None])
async def test_something_else_there_is_another_log(version: str, other: str | None) -> None:
    log = Log(version, 5, 6, 7)
    log.shown |= {(number, 4): beginning(version, 900) for number in (5, 6, 7)}
    if other is not None:
        log.shown[7, 400] = PLACES[version].replace("20", other)
    assert await log.replaced()


@BOTH
@pytest.mark.parametrize(("last", "replaced"), [(900, False), (20, False), (19, True), (0, True)])
async def test_a_log_that_was_purged_is_known_by_what_came_before_the_rest(
    version: str, last: int, replaced: bool
) -> None:
    log = Log(version, *range(100, 200))
    log.shown |= {
        (number, 4): beginning(version, last + number - 100) for number in range(100, 200)
    }
    assert await log.replaced() is replaced
    assert log.asked < 15


@BOTH
async def test_a_lower_number_is_another_log(version: str) -> None:
    assert await Log(version, 1, 2).replaced()


@BOTH
async def test_what_is_not_known_is_no_reset(version: str) -> None:
    """No mark yet, or one of an earlier epoch, no table, no privilege, no log."""
    assert not await Log(version, 7, marked=False).replaced()
    assert not await Log(version).replaced()
    for start, errno in {"SELECT log": 1146, "SELECT": 1142, "SHOW": 1227}.items():
        log = Log(version, 8)
        log.fails[start] = errno
        assert not await log.replaced()
    log = Log(version, 7)
    log.fails["S"] = 1053  # the server shuts down
    with pytest.raises(ServerError):
        await log.replaced()


@BOTH
async def test_a_set_too_long_to_compare_is_no_reset(version: str) -> None:
    log = Log(version, 100, 101)
    log.shown |= {(number, 4): beginning(version, 0) for number in (100, 101)}
    assert await log.replaced()
    log.shown |= {(number, 4): beginning(version, 1) + " " * 70_000 for number in (100, 101)}
    assert not await log.replaced()


async def test_a_log_of_mysql_that_does_not_say_what_came_before_it_is_no_reset() -> None:
    log = Log(MYSQL, 100, 101)
    log.shown[100, 4] = "158 SET @@SESSION.GTID_NEXT= 'AUTOMATIC'"
    assert not await log.replaced()


@pytest.mark.parametrize("version", [MARIADB, "8.0.36", MYSQL])
async def test_a_mark_is_what_was_written_at_the_end_of_the_log(version: str) -> None:
    family, parsed = (MARIADB if version == MARIADB else MYSQL), Version.parse(version)
    log = Log(family, 7)
    end = await log_end(log.ask, parsed)
    assert end == ("binlog.000007", 400)
    assert await mark_at(log.ask, parsed, end) is None, "another log has begun"
    log.shown[7, 400] = "" if family == MARIADB else "500 binlog.000008;pos=4"
    assert await mark_at(log.ask, parsed, end) is None
    log.shown[7, 400] = PLACES[family]
    mark = await mark_at(log.ask, parsed, end)
    assert mark == LogMark("binlog.000007", 400, PLACES[family])
    steps = [step.sql for step in plan_marking(parsed, "an-epoch", mark)]
    assert steps[0] == "SET SESSION sql_log_bin = 0"
    assert steps[-1] == "SET SESSION sql_log_bin = 1"
    assert "(1, 'an-epoch', 'binlog.000007', 400, " in steps[2]
    if family == MYSQL:
        assert await log_end(Log(family).ask, parsed) is None


async def test_mariadb_has_to_read_only_the_beginning_of_a_long_log() -> None:
    """It reads all that is before the place, each time."""
    log, parsed = Log(MARIADB, 7), Version.parse(MARIADB)
    log.end = "70000"
    end = await log_end(log.ask, parsed)
    assert end == ("binlog.000007", 70000)
    log.shown[7, 570] = "0-100-20"
    log.first = [("Gtid_list", 256), ("Gtid", 379), ("Xid", 540), ("Gtid", 570), ("Xid", 700)]
    assert await mark_at(log.ask, parsed, end) == LogMark("binlog.000007", 570, "0-100-20")

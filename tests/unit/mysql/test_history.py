"""Whether a replica's history is the beginning of the primary's, and which of the two is older."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from peerdisco.mysql.history import Epoch, History, Recorded, Standing, compare
from peerdisco.mysql.opening import FIRST_LOG, plan_after_reset
from peerdisco.mysql.positions import MariaDBPosition
from peerdisco.mysql.tables import MOST_EPOCHS, Opening, beat, epoch_of, history_of
from peerdisco.mysql.versions import Flavour

from .histories import at, epoch, heartbeat, recorded
from .servers import CLUSTER, facts

FIRST = epoch(1, "0-100-4")
SECOND = epoch(2, "0-100-50", 40)
OTHER_SECOND = epoch(2, "0-100-30", 20, name="other-2")
PRIMARY = recorded("0-100-90", FIRST, SECOND, beat=heartbeat("epoch-2", 80), origin="100")
REWOUND = recorded("0-100-90", FIRST, OTHER_SECOND, beat=heartbeat("other-2", 80), origin="100")
"""Restored from a snapshot of 0-100-30, and opened; it has written far beyond its replicas."""


def standing(replica: Recorded, primary: Recorded = PRIMARY) -> Standing:
    return compare(replica, primary).standing


@pytest.mark.parametrize(
    "replica",
    [
        recorded("0-100-3"),
        recorded("0-100-4"),
        recorded("0-100-20", FIRST, beat=heartbeat("epoch-1", 10)),
        recorded("0-100-50", FIRST, beat=heartbeat("epoch-1", 40)),
        recorded("0-100-51", FIRST, SECOND, beat=heartbeat("epoch-2", 41)),
        recorded("0-100-90", FIRST, SECOND, beat=heartbeat("epoch-2", 80)),
    ],
)
def test_a_replica_that_has_a_part_of_the_history(replica: Recorded) -> None:
    found = compare(replica, PRIMARY)
    assert found.standing is Standing.PREFIX
    assert (found.transactions, found.count) == ("", 0)


def test_a_primary_from_an_older_snapshot_never_gets_its_replicas_back() -> None:
    replica = recorded("0-100-49", FIRST, beat=heartbeat("epoch-1", 39))
    for written in (31, 49, 50, 10_000):
        primary = replace(REWOUND, position=MariaDBPosition.parse(f"0-100-{written}", ""))
        found = compare(replica, primary)
        assert found.standing is Standing.FORKED
        assert found.primary_is_older
        assert (found.count, found.transactions) == (19, "0-100-49")
        assert (found.replica_at, found.primary_at) == (at(39), at(20))
        assert found.common == FIRST


def both(logged: str, applied: str, *epochs: Epoch, origin: str = "101") -> Recorded:
    return replace(
        recorded("0-100-1", *epochs, origin=origin), position=MariaDBPosition.parse(logged, applied)
    )


@pytest.mark.parametrize("logged", ["0-100-50", "0-102-60"])
def test_what_no_primary_wrote_is_not_hidden_by_a_larger_number(logged: str) -> None:
    """A primary that was a replica, or a copy, knows only the last transaction that it applied."""
    primary = both(logged, "0-100-50", FIRST, epoch(2, "0-100-50", server="102"), origin="102")
    replica = both("0-100-20,0-101-21", "0-100-20", FIRST)
    found = compare(replica, primary)
    assert found.standing is Standing.LOCAL_WRITES
    assert found.transactions == "0-101-21"
    # It has it where its own log has it, or where it may be from before there was a history.
    copied = both(f"{logged},0-101-21", "0-100-50", FIRST, origin="102")
    assert standing(replica, copied) is Standing.PREFIX
    left = MariaDBPosition.parse("0-100-40", "0-103-30")
    adopted = replace(FIRST, left_position=left)
    assert standing(both("0-101-21", "0-100-20", adopted), both(logged, "0-100-50", adopted)) is (
        Standing.PREFIX
    )
    # What a primary wrote is known by its number.
    moved = (FIRST, epoch(2, "0-100-50", server="102"))
    back = both("0-100-90", "0-102-60", *moved, epoch(3, "0-100-50,0-102-60"), origin="100")
    assert standing(both("0-100-50,0-102-55", "0-102-55", *moved), back) is Standing.PREFIX
    # Without a history nobody knows who wrote.
    assert standing(replica, both(logged, "0-100-50")) is not Standing.LOCAL_WRITES


def test_a_primary_from_an_older_snapshot_that_is_not_open_yet() -> None:
    primary = recorded("0-100-30", FIRST, beat=heartbeat("epoch-1", 20), origin="100")
    found = compare(recorded("0-100-49", FIRST, beat=heartbeat("epoch-1", 39)), primary)
    assert (found.standing, found.count) == (Standing.AHEAD, 19)
    found = compare(recorded("0-100-90", FIRST, SECOND), primary)
    assert (found.standing, found.common, found.count) == (Standing.AHEAD, FIRST, 60)


def test_two_histories_that_separated() -> None:
    replica = recorded("0-100-60", FIRST, SECOND, beat=heartbeat("epoch-2", 50))
    found = compare(replica, REWOUND)
    assert (found.standing, found.common) == (Standing.FORKED, FIRST)
    assert found.opened_at == at(200)


def test_a_replica_of_before_the_snapshot_may_follow_it() -> None:
    assert standing(recorded("0-100-30", FIRST), REWOUND) is Standing.PREFIX
    assert standing(recorded("0-100-31", FIRST), REWOUND) is Standing.FORKED


def test_a_primary_without_history_is_older_than_a_replica_that_has_one() -> None:
    primary = recorded("0-100-90", origin="100")
    assert standing(recorded("0-100-5", FIRST), primary) is Standing.AHEAD
    assert standing(recorded("0-100-90"), primary) is Standing.PREFIX
    assert standing(recorded("0-100-91"), primary) is Standing.AHEAD
    assert standing(recorded("0-100-90,0-101-91"), primary) is Standing.LOCAL_WRITES


def test_a_replica_without_history_that_has_more_than_the_primary_began_with() -> None:
    assert standing(recorded("0-100-5")) is Standing.FORKED
    assert standing(recorded("0-100-4,0-101-5")) is Standing.LOCAL_WRITES


def test_what_no_primary_wrote_does_not_make_the_replica_the_newer_copy() -> None:
    local = recorded("0-100-90,0-101-91", FIRST, SECOND)
    assert standing(local) is Standing.LOCAL_WRITES
    # The same on a replica that was copied from there: another server wrote it.
    copied = replace(local, origin="102")
    assert standing(copied) is Standing.LOCAL_WRITES
    # A copy has the last transaction alone; before it may be what the primary does not have.
    position = MariaDBPosition.parse("", "0-101-91")
    assert standing(replace(copied, position=position)) is Standing.LOCAL_WRITES
    position = MariaDBPosition.parse("", "0-101-92")
    assert standing(replace(copied, position=position)) is Standing.AHEAD


def test_a_later_heartbeat_shows_what_positions_hide() -> None:
    behind = replace(PRIMARY.history, heartbeat=heartbeat("epoch-2", 60))
    primary = replace(PRIMARY, history=behind)
    replica = recorded("0-100-90", FIRST, SECOND, beat=heartbeat("epoch-2", 62))
    assert standing(replica, primary) is Standing.AHEAD
    replica = recorded("0-100-90", FIRST, SECOND, beat=heartbeat("epoch-2", 61))
    assert standing(replica, primary) is Standing.PREFIX
    # A primary that has applied what no primary wrote: its number hides what is below it.
    hidden = replace(primary, position=MariaDBPosition.parse("0-100-80", "0-102-91"))
    assert standing(replica, hidden) is Standing.AHEAD
    replica = recorded("0-100-40", FIRST, beat=heartbeat("epoch-1", 41))
    assert standing(replica) is Standing.FORKED


def test_a_replica_that_applied_an_epoch_without_its_beginning() -> None:
    replica = recorded("0-100-60", FIRST, beat=heartbeat("other-2", 80))
    assert standing(replica, REWOUND) is Standing.GAP


def test_a_replica_that_is_older_than_what_is_read() -> None:
    primary = recorded("0-100-90", epoch(200, "0-100-80"), origin="100")
    assert standing(recorded("0-100-20", FIRST), primary) is Standing.TOO_OLD
    assert standing(recorded("0-100-2"), primary) is Standing.TOO_OLD


# The binary log of the primary was reset.


@pytest.mark.parametrize(
    ("position", "log", "reset"),
    [
        ("0-100-90", 3, False),
        ("0-100-79", 3, True),
        ("", None, True),
        ("0-100-90", 2, True),
        ("0-100-90", None, False),
        ("0-100-90", 4, False),
    ],
)
def test_a_reset_log_is_behind_its_own_heartbeat(
    position: str, log: int | None, reset: bool
) -> None:
    last = heartbeat("epoch-2", 80, "0-100-80", log_number=3)
    found = recorded(position, FIRST, SECOND, beat=last, origin="100", log_number=log)
    assert found.log_was_reset is reset


def test_the_logs_of_another_server_have_other_numbers() -> None:
    last = heartbeat("epoch-2", 80, "0-100-80,0-101-3", log_number=3)
    found = recorded("0-100-80", FIRST, SECOND, beat=last, origin="102", log_number=1)
    assert not found.log_was_reset


def test_every_replica_of_before_a_reset_needs_a_copy() -> None:
    third = epoch(3, "0-100-80", 80, log_reset=True)
    primary = recorded("0-100-500", FIRST, SECOND, third, origin="100")
    for text in ("0-100-51", "0-100-80", "0-100-85"):
        replica = recorded(text, FIRST, SECOND, beat=heartbeat("epoch-2", 79))
        assert standing(replica, primary) is Standing.LOG_RESET
    assert standing(recorded("0-100-20", FIRST), primary) is Standing.LOG_RESET
    assert primary.history.has_log_reset
    # What had more than the primary before that is a copy that the primary does not have.
    replica = recorded("0-100-90", FIRST, SECOND, beat=heartbeat("epoch-2", 81))
    assert standing(replica, primary) is Standing.FORKED
    assert standing(recorded("0-100-60", FIRST), primary) is Standing.FORKED


def test_a_reset_that_the_primary_has_not_recorded_yet() -> None:
    beats = heartbeat("epoch-2", 80, "0-100-80")
    primary = recorded("0-100-7", FIRST, SECOND, beat=beats, origin="100")
    replica = recorded("0-100-80", FIRST, SECOND, beat=beats)
    assert standing(replica, primary) is Standing.LOG_RESET


def test_numbers_that_were_given_again_after_a_reset_are_no_fork() -> None:
    """A replica that had no heartbeat since may have received them, and none of them is lost."""
    replica = recorded("0-100-53", FIRST, beat=heartbeat("epoch-1", 40))
    beats = heartbeat("epoch-2", 41, "0-100-50", log_number=5)
    noticed = recorded("0-100-54", FIRST, SECOND, beat=beats, origin="100", log_number=1)
    third = epoch(3, "0-100-500", 41, log_reset=True)
    for primary, opened in (
        (noticed, None),
        (recorded("0-100-54", FIRST, SECOND, third, origin="100"), at(300)),
    ):
        found = compare(replica, primary)
        assert (found.standing, found.opened_at) == (Standing.LOG_RESET, opened)
        # They may be others, all the same: of a volume that was newer than the primary's.
        assert (found.count, found.transactions) == (3, "0-100-53")
    # What has a later heartbeat was written before the reset.
    later = recorded("0-100-53", FIRST, beat=heartbeat("epoch-1", 41))
    assert standing(later, noticed) is Standing.FORKED
    # Another server's reset gives this server's numbers to nothing.
    others = epoch(3, "0-100-500", 41, log_reset=True, server="101")
    assert standing(replica, recorded("0-101-54", FIRST, SECOND, others)) is Standing.FORKED
    assert standing(replica, replace(noticed, origin="101")) is Standing.FORKED


# MySQL.

A = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
B = "4e11fa47-71ca-11e1-9e33-c80aa9429562"


def test_the_same_on_mysql() -> None:
    first = epoch(1, f"{A}:1-4", server=A)
    second = epoch(2, f"{A}:1-30", 20, server=A)
    primary = recorded(f"{A}:1-900", first, second, origin=A)
    assert standing(recorded(f"{A}:1-30", first, origin=B), primary) is Standing.PREFIX
    found = compare(recorded(f"{A}:1-49", first, origin=B), primary)
    assert (found.standing, found.count) == (Standing.FORKED, 19)
    assert found.transactions == f"{A}:31-49"
    local = recorded(f"{A}:1-40,{B}:1", first, second, origin=B)
    assert standing(local, primary) is Standing.LOCAL_WRITES


# The tables.


def test_rows_become_a_history() -> None:
    row = {
        "number": 2, "id": "b", "predecessor": "a", "ordinal": 0, "server": "100",
        "opened_at": "2026-01-01 00:00:05.250", "left_position": "0-100-9|", "left_beat": 7,
        "left_beat_at": datetime(2026, 1, 1), "log_reset": 0,  # noqa: DTZ001
    }  # fmt: skip
    first = {**row, "number": 1, "id": b"a", "predecessor": None, "left_beat": None,
             "left_beat_at": None, "left_position": f"{A}:1-9"}  # fmt: skip
    last = {"epoch": "b", "counter": 9, "beat_at": "2026-01-01 00:00:09", "position": None,
            "log_number": None}  # fmt: skip
    found = history_of(map(epoch_of, [row, first]), [last])
    assert [one.id for one in found.epochs] == ["a", "b"]
    assert found.newest is not None
    assert found.newest.opened_at == datetime(2026, 1, 1, 0, 0, 5, 250_000, tzinfo=UTC)
    assert (found.newest.left_beat, found.newest.left_position.text) == (7, "0-100-9|")
    assert found.heartbeat is not None
    assert (found.heartbeat.counter, found.heartbeat.position) == (9, None)
    assert not found.has_gap
    assert history_of([], []) == History()
    assert MOST_EPOCHS > 100


def test_an_opening_continues_the_numbers() -> None:
    opening = Opening("new", 0, "100", Flavour.MARIADB, log_number=4)
    first = opening.insert(History())
    assert "VALUES (1, 'new', NULL, 0, '100', UTC_TIMESTAMP(3), CONCAT(@@global" in first
    assert opening.beat(History()).startswith("INSERT INTO peerdisco.heartbeat")
    later = opening.insert(PRIMARY.history)
    assert "VALUES (3, 'new', 'epoch-2', 0" in later
    assert "80, '2026-01-01 00:01:20.000', 0)" in later
    assert opening.beat(PRIMARY.history).endswith("log_number = 4, epoch = 'new'")


def test_an_opening_after_a_reset_records_the_last_position_that_was_known() -> None:
    history = replace(PRIMARY.history, heartbeat=heartbeat("epoch-2", 80, "0-100-88"))
    opening = Opening("new", 0, "100", Flavour.MYSQL, log_reset=True)
    assert "'0-100-88|', 80, '2026-01-01 00:01:20.000', 1)" in opening.insert(history)
    assert "gtid_executed" in opening.insert(PRIMARY.history)


@pytest.mark.parametrize("semi_sync", [False, True])
def test_the_epoch_after_a_reset_waits_for_no_replica(semi_sync: bool) -> None:
    """None can follow before it has a copy, so that none would acknowledge the epoch."""
    beats = heartbeat("epoch-2", 80, "0-100-80", log_number=5)
    own = facts(cluster=CLUSTER, position="0-100-3", history=History((FIRST, SECOND), beats))
    steps = [
        step.sql
        for step in plan_after_reset(replace(own, log_number=1), "new", 0, semi_sync=semi_sync)
    ]
    first, last = (
        steps.index("SET SESSION sql_log_bin = 0"),
        steps.index("SET SESSION sql_log_bin = 1"),
    )
    assert first == 0
    assert steps[1] == "START TRANSACTION"
    assert steps[last - 1] == "COMMIT"
    assert any("INSERT INTO peerdisco.epochs" in sql for sql in steps[first:last])
    assert len(steps[last + 1 :]) == (0 if semi_sync else FIRST_LOG - 1)


def test_a_heartbeat_is_written_by_an_open_server_in_its_newest_epoch_alone() -> None:
    sql = beat(Flavour.MARIADB, SECOND, None)
    assert "WHERE @@global.read_only = 0 AND epoch = 'epoch-2' AND 2 = (SELECT MAX" in sql


def test_a_heartbeat_of_an_epoch_that_is_not_known_shows_no_reset() -> None:
    behind = heartbeat("epoch-9", 80, "0-100-95")
    assert not recorded("0-100-90", FIRST, SECOND, beat=behind, origin="100").log_was_reset


def test_a_replica_with_a_heartbeat_that_the_primary_does_not_have_is_ahead() -> None:
    """The primary was rewound to just before its first heartbeat of the newest epoch."""
    primary = recorded("0-100-50", FIRST, SECOND, beat=heartbeat("epoch-1", 40), origin="100")
    replica = recorded("0-100-51", FIRST, SECOND, beat=heartbeat("epoch-2", 41))
    assert standing(replica, primary) is not Standing.PREFIX

"""What one server has executed that another has not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerdisco.mysql.positions import GtidSet, MariaDBPosition

A, B = "3e11fa47-71ca-11e1-9e33-c80aa9429562", "4e11fa47-71ca-11e1-9e33-c80aa9429562"


def maria(logged: str = "", applied: str = "") -> MariaDBPosition:
    return MariaDBPosition.parse(logged, applied)


@pytest.mark.parametrize(
    ("mine", "theirs", "beyond"),
    [
        (maria(), maria(), ""),
        (maria("0-100-5"), maria("0-100-5"), ""),
        (maria("0-100-5"), maria("0-100-9"), ""),
        (maria("0-100-9"), maria("0-100-5"), "0-100-9"),
        (maria("0-100-5"), maria(), "0-100-5"),
        # The replica applied what it did not log, and the other way round.
        (maria("", "0-100-5"), maria("0-100-7"), ""),
        (maria("0-100-5", "0-100-7"), maria("0-100-6"), "0-100-7"),
        # Its own write, whatever its number.
        (maria("0-100-5,0-101-6", "0-100-5"), maria("0-100-5"), "0-101-6"),
        (maria("0-100-5,0-101-6", "0-100-5"), maria("0-100-50"), "0-101-6"),
        # A primary that was given a copy has what its position says, and not in its own log.
        (maria("0-100-5", "0-100-5"), maria("", "0-100-5"), ""),
        (maria("0-100-6", "0-100-6"), maria("", "0-100-5"), "0-100-6"),
        (maria("0-100-5", "0-100-5"), maria("0-100-9", "0-101-5"), ""),
        # Other domains are other histories.
        (maria("0-100-5,1-100-2"), maria("0-100-5"), "1-100-2"),
    ],
)
def test_mariadb(mine: MariaDBPosition, theirs: MariaDBPosition, beyond: str) -> None:
    assert mine.beyond(theirs) == beyond


@pytest.mark.parametrize(
    ("mine", "theirs", "beyond"),
    [
        ("", "", ""),
        (f"{A}:1-5", f"{A}:1-5", ""),
        (f"{A}:1-5", f"{A}:1-9", ""),
        (f"{A}:1-9", f"{A}:1-5", f"{A}:6-9"),
        (f"{A}:1-9", "", f"{A}:1-9"),
        (f"{A}:1-9", f"{A}:3-4:7", f"{A}:1-2, {A}:5-6, {A}:8-9"),
        (f"{A}:1-5,\n{B}:1", f"{A}:1-5", f"{B}:1"),
        (f"{A.upper()}:1-5", f"{A}:1-5", ""),
        (f"{A}:1-3:tag:1-2", f"{A}:1-3", f"{A}:tag:1-2"),
        (f"{A}:1-3:tag:1-2", f"{A}:1-3:tag:1-5", ""),
    ],
)
def test_mysql(mine: str, theirs: str, beyond: str) -> None:
    assert GtidSet.parse(mine).beyond(GtidSet.parse(theirs)) == beyond


numbers = st.sets(st.integers(1, 30))


def gtid_set(given: set[int]) -> GtidSet:
    return GtidSet.parse(f"{A}:{':'.join(map(str, sorted(given)))}" if given else "")


@given(numbers, numbers)
def test_mysqls_sets_are_sets(mine: set[int], theirs: set[int]) -> None:
    beyond = gtid_set(mine).beyond(gtid_set(theirs))
    assert bool(beyond) is bool(mine - theirs)
    if 0 < len(mine - theirs) < 6:
        found = GtidSet.parse(beyond.replace(", ", ","))
        assert not found.beyond(gtid_set(mine - theirs))
        assert not gtid_set(mine - theirs).beyond(found)


def test_of_many_some_are_told() -> None:
    many = ",".join(f"{domain}-1-1" for domain in range(9))
    assert maria(many).beyond(maria()).endswith("4-1-1 and 4 more")


def test_empty() -> None:
    assert maria().empty
    assert not maria("0-1-1").empty
    assert not maria("", "0-1-1").empty
    assert GtidSet.parse("").empty
    assert not GtidSet.parse(f"{A}:1").empty


def test_positions_of_two_families_have_nothing_in_common() -> None:
    assert maria("0-1-1").beyond(GtidSet.parse(f"{A}:1"))
    assert GtidSet.parse(f"{A}:1").beyond(maria("0-1-1"))


@pytest.mark.parametrize("text", ["0-1", "a-b-c", "0-1-2-3"])
def test_what_is_no_position_of_mariadb_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        maria(text)


def test_what_is_no_gtid_set_is_refused() -> None:
    with pytest.raises(ValueError, match="no GTID set"):
        GtidSet.parse("nothing of the kind")


def test_between_two_kinds_of_server_no_transactions_are_counted() -> None:
    assert maria("0-100-5").count_beyond(GtidSet.parse(f"{A}:1-5")) == 0
    assert GtidSet.parse(f"{A}:1-5").count_beyond(maria("0-100-5")) == 0


def test_a_gtid_set_without_another_one() -> None:
    own = GtidSet.parse(f"{A}:1-9,{B}:1-3:7")
    assert own.without(GtidSet.parse(f"{A}:1-5,{B}:2")).text == f"{A}:6-9,{B}:1-1:3-3:7-7"
    assert own.without(GtidSet.parse("")) == own
    assert own.without(own).empty

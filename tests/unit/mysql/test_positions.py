"""What one server has executed that another has not."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerdisco.mysql.positions import LONGEST, GtidSet, MariaDBPosition, Position

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


@pytest.mark.parametrize(
    "text",
    [
        *("0-1", "a-b-c", "0-1-2-3", "0-1-", "0-1-+2", "0-1-1_0", "0-1-\u0661", "0- 1-2"),
        *(f"0-1-{'9' * 21}", f"0-{'9' * 11}-1", f"{'9' * 11}-1-1", "0-1--1"),
    ],
)
def test_what_is_no_position_of_mariadb_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        maria(text)


@pytest.mark.parametrize(
    "text",
    [
        *("nothing of the kind", A, f"{A}:", f"{A}:1:", f"{A}:1-", f"{A}:-1", f"{A}:1-2-3"),
        *(f"{A}:{'9' * 21}", f"{A}:1-{'9' * 21}", f"{A}:\u0661", f"{A}:5-4", f"{A}:1 2"),
        *(f"{A}0:1", "\x1b[2J:1", f"{A}:{'t' * 33}:1", f"{A}:tag-1:1", ":1"),
    ],
)
def test_what_is_no_gtid_set_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no (GTID set|interval)") as error:
        GtidSet.parse(text)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize(
    ("text", "joined"),
    [
        ("1-2:3-4", "1-4"),
        ("3:1-9:5-6", "1-9"),
        ("1-5:3-8:10", "1-8:10-10"),
        ("9:7:8", "7-9"),
        ("1:1:1", "1-1"),
    ],
)
def test_intervals_are_joined(text: str, joined: str) -> None:
    assert GtidSet.parse(f"{A}:{text}").text == f"{A}:{joined}"


def filled(begin: str, piece: str) -> str:
    """As many pieces, each with its number, as a position may have characters."""
    found = [begin]
    size, number = len(begin), 0
    while size + len(piece) + 12 < LONGEST:
        found.append(piece.format(number))
        size += len(found[-1])
        number += 1
    return "".join(found)


LONG: dict[str, Position] = {
    "gaps": GtidSet.parse(filled(f"{A}:1", ":{0}1-{0}2")),
    "sources": GtidSet.parse(filled(f"{A}:1", ",{0:08}:1-3:5")),
    "tags": GtidSet.parse(filled(f"{A}:1", ":t{0}:1:3")),
    "servers": maria(filled("0-1-1", ",0-{0}-{0}")),
    "domains": maria(filled("0-1-1", ",{0}-1-{0}"), filled("0-1-1", ",{0}-2-{0}")),
}


SHORT: dict[type[Position], str] = {GtidSet: f"{A}:1", MariaDBPosition: "0-1-1"}


@pytest.mark.parametrize("kind", LONG)
def test_the_longest_positions_are_compared_at_once(kind: str) -> None:
    """Both are a peer's own words; a time that grows with the square would be minutes."""
    position = LONG[kind]
    before = time.thread_time()
    assert not position.beyond(position)
    assert position.count_beyond(position) == 0
    assert not position.with_more(SHORT[type(position)]).beyond(position)
    if isinstance(position, GtidSet):
        assert position.without(position).empty
        assert position.count_beyond(GtidSet.parse("")) > 1000
    elif isinstance(position, MariaDBPosition):
        assert position.unapplied is (kind == "servers")
        assert position.count_beyond(maria()) > 1000
    assert time.thread_time() - before < 1, "some hundredths, on a machine at rest"


def test_a_position_that_is_too_long_is_refused() -> None:
    for text in (f"{A}:1" + ":3" * LONGEST, "0-1-1," * LONGEST):
        with pytest.raises(ValueError, match=f"characters, more than {LONGEST}"):
            GtidSet.parse(text)
        with pytest.raises(ValueError, match=f"characters, more than {LONGEST}"):
            maria(text)


def test_between_two_kinds_of_server_no_transactions_are_counted() -> None:
    assert maria("0-100-5").count_beyond(GtidSet.parse(f"{A}:1-5")) == 0
    assert GtidSet.parse(f"{A}:1-5").count_beyond(maria("0-100-5")) == 0


def test_a_set_with_more_has_all_of_both() -> None:
    own = GtidSet.parse(f"{A}:1-5:tag:1,{B}:7")
    assert (
        own.with_more(f"{A}:6:8,{B}:tag:2").text == f"{A}:1-6:8-8,{A}:tag:1-1,{B}:7-7,{B}:tag:2-2"
    )
    assert own.with_more("") == own


def test_a_gtid_set_without_another_one() -> None:
    own = GtidSet.parse(f"{A}:1-9,{B}:1-3:7")
    assert own.without(GtidSet.parse(f"{A}:1-5,{B}:2")).text == f"{A}:6-9,{B}:1-1:3-3:7-7"
    assert own.without(GtidSet.parse("")) == own
    assert own.without(own).empty

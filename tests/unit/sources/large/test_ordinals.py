"""Searching for ordinals: every pod of a row is found, and little is asked for in vain."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerdisco.sources.large.ordinals import MARGIN, Ordinals, Pod

MOST = 1024


def search(there: Iterable[Pod], known: Iterable[Pod], most: int = MOST) -> tuple[set[Pod], int]:
    """What is found, beginning with what is known, and how many were asked for in vain."""
    there, found = set(there), set(known)
    ordinals = Ordinals(found)
    asked: set[Pod] = set()
    while pods := ordinals.next(most):
        assert not asked.intersection(pods), "asked twice"
        assert not found.intersection(pods), "asked for what is known"
        asked.update(pods)
        for pod in pods:
            ordinals.learn(pod, pod in there)
            if pod in there:
                found.add(pod)
    return found, len(asked - there)


def row(name: str, *parts: range) -> set[Pod]:
    return {(name, number) for part in parts for number in part}


@pytest.mark.parametrize("first", [0, 1, 5, 1000, 2**31 - 20_000])
@pytest.mark.parametrize("size", [1, 2, 17, 1000, 5000])
def test_a_row_is_found_from_any_of_its_pods(first: int, size: int) -> None:
    there = row("db", range(first, first + size))
    for known in (first, first + size // 2, first + size - 1):
        found, in_vain = search(there, [("db", known)])
        assert found == there
        # Upward a stride at most, downward too; nothing is below 0.
        assert in_vain <= 2 * 64


def test_a_known_row_costs_the_margins_alone() -> None:
    there = row("db", range(100, 1100))
    assert search(there, there) == (there, 2 * MARGIN)
    there = row("db", range(1000))
    assert search(there, there) == (there, MARGIN)


def test_of_many_statefulsets_some_are_queried_at_a_time() -> None:
    there = {pod for name in "abcdefgh" for pod in row(name, range(40))}
    ordinals = Ordinals((name, 0) for name in "abcdefgh")
    assert {name for name, _ in ordinals.next(MARGIN)} == {"a"}
    assert search(there, {(name, 0) for name in "abcdefgh"}, MARGIN)[0] == there


def test_holes_are_filled() -> None:
    there = row("db", range(500), range(510, 900))
    known = row("db", range(0, 900, 90))
    found, in_vain = search(there, known)
    assert found == there
    assert in_vain <= 10 + 4 * MARGIN


def test_a_gap_of_the_margin_at_the_end_is_the_end() -> None:
    near = row("db", range(10), range(10 + MARGIN - 1, 30))
    assert search(near, [("db", 0)])[0] == near
    far = row("db", range(10), range(10 + MARGIN, 30))
    assert search(far, [("db", 0)])[0] == row("db", range(10))
    # Unless somebody beyond it is known: then it is a hole.
    assert search(far, [("db", 0), ("db", 29)])[0] == far


def test_several_statefulsets_are_found_each() -> None:
    there = row("db", range(300)) | row("web-2", range(40, 90)) | row("x", range(1))
    found, _ = search(there, [("db", 17), ("web-2", 60), ("x", 0)])
    assert found == there


def test_nothing_is_asked_for_without_a_statefulset() -> None:
    assert Ordinals([]).next(MOST) == []
    assert Ordinals([], [("db", 3)]).next(MOST) == []


def test_what_is_known_to_be_absent_is_not_asked_for() -> None:
    ordinals = Ordinals(row("db", range(5), range(6, 10)), row("db", range(5, 6), range(10, 26)))
    assert ordinals.next(MOST) == []


def test_as_few_are_asked_for_as_are_missing() -> None:
    ordinals = Ordinals(row("db", range(0, 1000, 2)))
    assert len(ordinals.next(7)) == 7 + MARGIN


def test_a_huge_ordinal_does_not_cost_a_flood() -> None:
    there = row("db", range(100)) | {("db", 2**31 - 1)}
    ordinals = Ordinals(there)
    asked = 0
    while pods := ordinals.next(MOST):
        asked += len(pods)
        for pod in pods:
            ordinals.learn(pod, pod in there)
    assert asked < 11_000
    assert ordinals.given_up == ("db",)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(
    first=st.integers(0, 50),
    gaps=st.lists(st.integers(1, MARGIN), min_size=1, max_size=60),
    known=st.sets(st.integers(0, 59), min_size=1),
    most=st.sampled_from([1, 5, 64, MOST]),
)
def test_any_row_without_a_wide_gap_is_found(
    first: int, gaps: list[int], known: set[int], most: int
) -> None:
    numbers = [first]
    for gap in gaps:
        numbers.append(numbers[-1] + gap)
    there = {("db", number) for number in numbers}
    start = {("db", numbers[index % len(numbers)]) for index in known}
    assert search(there, start, most)[0] == there


def test_few_are_queried_beyond_an_end() -> None:
    """Absent ordinals may be answered slowly."""
    ordinals = Ordinals([("db", 0), ("db", 4000), ("web", 0)])
    beyond = set()
    for _ in range(30):
        pods = ordinals.next(MOST)
        highest = max(ordinal for name, ordinal in pods if name == "db")
        beyond.add(sum(name == "db" and ordinal > 4000 for name, ordinal in pods))
        beyond.add(sum(name == "web" for name, _ in pods))
        assert highest > 4000
        for pod in pods:
            ordinals.learn(pod, True)
    assert max(beyond) == 64

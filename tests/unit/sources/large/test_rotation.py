"""Every pod has its turn within the polls that the documentation names, whatever else changes."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerdisco.sources.large.rotation import MOST_VERIFIED, ROUND_POLLS, Owners, Rotation


def pods(count: int, first: int = 0) -> dict[bytes, None]:
    return dict.fromkeys(b"%d" % number for number in range(first, first + count))


def round_of(count: int) -> int:
    return max(ROUND_POLLS, -(-count // MOST_VERIFIED))


def test_without_pods_there_is_nothing_to_verify() -> None:
    rotation = Rotation()
    assert rotation.next() == []
    rotation.update({})
    assert rotation.next() == []


@settings(deadline=None, max_examples=50)
@given(st.sampled_from([1, 2, 31, 32, 33, 64, 700, 2048, 2049, 5000]), st.integers(0, 50))
def test_each_pod_is_verified_in_each_round(count: int, skipped: int) -> None:
    rotation = Rotation()
    rotation.update(pods(count))
    for _ in range(skipped):
        rotation.next()
    turns = [rotation.next() for _ in range(round_of(count))]
    assert {name for turn in turns for name in turn} == set(pods(count))
    assert max(map(len, turns)) <= MOST_VERIFIED


@pytest.mark.parametrize("seed", range(10))
def test_pods_that_come_and_go_put_nobody_off(seed: int) -> None:
    chance = random.Random(seed)
    rotation, present = Rotation(), pods(300)
    rotation.update(present)
    last = dict.fromkeys(present, 0)
    for poll in range(1, 120):
        if chance.random() < 0.5 and len(present) > 100:
            gone = chance.sample(sorted(present), 5)
            new = pods(chance.randrange(10), 1000 * poll)
            present = {n: None for n in present if n not in gone} | new
            rotation.update(present)
            last = {n: last.get(n, poll) for n in present}
        for name in rotation.next():
            last[name] = poll
        assert max(poll - turn for turn in last.values()) <= round_of(len(present)) * 2
        assert set(last) == set(present)


def test_what_failed_is_first_in_the_next_poll() -> None:
    rotation = Rotation()
    rotation.update(pods(3200))
    first = rotation.next()
    rotation.retry([b"3000", b"3001"])
    second = rotation.next()
    assert second[:2] == [b"3000", b"3001"]
    assert len(second) == MOST_VERIFIED
    assert not set(first) & set(second)
    assert b"3000" not in rotation.next()


def test_owners() -> None:
    owners = Owners({b"one": (b"1", b"6"), b"two": (b"2",), b"three": (b"2",)})
    assert owners.addresses == {b"1", b"2", b"6"}
    assert owners.of([b"2", b"9", b"6", b"1"]) == [b"two", b"three", b"one"]
    assert owners.shared
    assert not Owners({b"one": (b"1",), b"two": (b"2",), b"none": ()}).shared


def test_other_names_take_the_place_of_half_of_the_pods_at_most() -> None:
    rotation = Rotation()
    rotation.update(pods(5000))
    assert [len(rotation.next(others)) for others in (0, 16, 32, 1000)] == [64, 48, 32, 32]

"""Ordinals that no StatefulSet gave: nothing may be built for each of two thousand million."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerdisco.membership.machine import Membership
from peerdisco.model import Change, Identity, Snapshot
from peerdisco.primary.verdicts import may_bootstrap
from peerdisco.sources.large.ordinals import Ordinals
from peerdisco.testing import peers

LARGEST = 2**31 - 1
MOST = 10_000


def listed(*ordinals: int, first: int = 0) -> Snapshot:
    return Snapshot("db", peers("db", ordinals).peers, first_ordinal=first)


@pytest.mark.parametrize(
    ("ordinals", "missing"),
    [
        ([0, LARGEST], range(1, MOST + 1)),
        ([LARGEST], range(MOST)),
        ([LARGEST - 1, LARGEST], range(MOST)),
        ([0, MOST + 1], range(1, MOST + 1)),
        ([0, MOST + 2], range(1, MOST + 1)),
        ([0, 2, LARGEST], [1, *range(3, MOST + 2)]),
        ([0, 2, 4], [1, 3]),
        ([0], []),
        ([], []),
    ],
)
def test_missing_lists_the_lowest_holes(ordinals: list[int], missing: list[int]) -> None:
    start = time.perf_counter()
    assert listed(*ordinals).missing == tuple(missing)
    assert time.perf_counter() - start < 1


def test_missing_begins_with_the_first_ordinal() -> None:
    assert listed(LARGEST, first=LARGEST - 3).missing == (LARGEST - 3, LARGEST - 2, LARGEST - 1)


@settings(derandomize=True, deadline=1000, max_examples=50)
@given(st.sets(st.integers(0, LARGEST), max_size=20))
def test_missing_is_bounded_whatever_dns_names(ordinals: set[int]) -> None:
    missing = listed(*ordinals).missing
    assert len(missing) <= MOST
    assert not set(missing) & ordinals
    assert list(missing) == sorted(missing)


def test_the_pods_to_ask_for_are_bounded() -> None:
    ordinals = Ordinals([("db", 0), ("db", LARGEST)])
    asked = 0
    while pods := ordinals.next(64):
        asked += len(pods)
        for pod in pods:
            ordinals.learn(pod, False)
    assert asked < 2 * MOST
    assert ordinals.given_up == ("db",)


def test_a_verdict_names_what_is_listed() -> None:
    snapshot = listed(0, LARGEST)
    me = Identity("db-0", "default", 0, "db", addresses=snapshot.peers[0].addresses)
    verdict = may_bootstrap(snapshot, me, [], expected=2)
    assert not verdict
    assert any(f"db-{LARGEST}" in str(reason) for reason in verdict.reasons)


def test_the_membership_takes_it() -> None:
    machine = Membership()
    machine.observe(peers("db", [0, LARGEST]), 0.0)
    change = Change.between(None, Snapshot("db", machine.peers))
    assert [peer.ordinal for peer in change.joined] == [0, LARGEST]

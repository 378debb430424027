"""The policies that pick a primary."""

from __future__ import annotations

import pickle

import pytest

from peerdisco.exceptions import AmbiguousPrimary, ConfigurationError
from peerdisco.model import Snapshot
from peerdisco.primary.policies import lowest_ordinal, ordinal

from ..test_model import peer, snapshot


@pytest.mark.parametrize(
    ("names", "number", "picked"),
    [
        ("db-0 db-1", 0, "db-0"),
        ("db-0 db-1", 1, "db-1"),
        ("db-1 db-2", 0, None),
        ("db-5 db-6", 5, "db-5"),
        ("10-244-1-0", 0, None),
        ("", 0, None),
    ],
)
def test_ordinal_picks_its_peer_or_nobody(names: str, number: int, picked: str | None) -> None:
    assert ordinal(number)(snapshot(names)) == (peer(picked) if picked else None)


def test_ordinal_does_not_guess_between_statefulsets() -> None:
    with pytest.raises(AmbiguousPrimary):
        ordinal(0)(snapshot("blue-0 green-0"))
    assert ordinal(0)(snapshot("blue-0 green-0", statefulset="green")) == peer("green-0")


@pytest.mark.parametrize("number", [-1, -(2**31)])
def test_a_negative_ordinal_is_refused(number: int) -> None:
    with pytest.raises(ConfigurationError, match=r"ordinal: got -.* 0 or more"):
        ordinal(number)


def test_ordinals_are_values() -> None:
    assert ordinal(5) == ordinal(5) != ordinal(6)
    assert len({ordinal(5), ordinal(5)}) == 1
    assert pickle.loads(pickle.dumps(ordinal(5))) == ordinal(5)
    assert repr(ordinal(5)) == "ordinal(number=5)"


@pytest.mark.parametrize(
    ("names", "picked"),
    [
        ("db-0 db-1", "db-0"),
        ("db-2 db-10", "db-2"),
        ("10-244-1-0 db-1", "db-1"),
        ("10-244-1-0 alpha", None),
        ("", None),
    ],
)
def test_lowest_ordinal_picks_the_first_that_is_there(names: str, picked: str | None) -> None:
    assert lowest_ordinal(snapshot(names)) == (peer(picked) if picked else None)


def test_lowest_ordinal_does_not_guess_between_statefulsets() -> None:
    with pytest.raises(AmbiguousPrimary):
        lowest_ordinal(snapshot("blue-0 green-1"))
    assert lowest_ordinal(snapshot("blue-0 green-1", statefulset="green")) == peer("green-1")


def test_lowest_ordinal_says_what_it_can_lose() -> None:
    assert "lose data" in (lowest_ordinal.__doc__ or "")


def test_a_policy_may_be_any_function() -> None:
    def last(seen: Snapshot) -> object:
        return seen.members[-1]

    assert snapshot("db-0 db-3", policy=last).primary == peer("db-3")

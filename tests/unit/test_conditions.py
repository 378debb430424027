"""What to wait for, and how an error says it."""

from __future__ import annotations

import functools

import pytest

from peerdisco.conditions import at_least, in_words, quorum, to_condition
from peerdisco.exceptions import ConfigurationError, NotReady
from peerdisco.model import Snapshot

from .test_model import snapshot


def members(count: int) -> Snapshot:
    return snapshot(" ".join(f"db-{number}" for number in range(count)))


@pytest.mark.parametrize(
    ("replicas", "majority"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4), (100, 51)]
)
def test_a_quorum_is_more_than_half(replicas: int, majority: int) -> None:
    condition = quorum(replicas)
    assert condition == at_least(majority)
    assert condition(members(majority))
    assert not condition(members(majority - 1))
    # Two halves of a split network never both have one.
    assert 2 * majority > replicas


@pytest.mark.parametrize("of", [0, -1])
def test_a_quorum_of_nobody_is_refused(of: int) -> None:
    with pytest.raises(ConfigurationError, match=r"quorum: got .* 1 or more"):
        quorum(of)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_at_least(count: int) -> None:
    condition = at_least(count)
    assert condition(members(count))
    assert condition(members(count + 1))
    assert not count or not condition(members(count - 1))


def test_less_than_nobody_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"required: got -1, expected .* 0 or more"):
        at_least(-1)
    with pytest.raises(ConfigurationError):
        to_condition(-1)


def test_a_number_is_a_condition_and_a_condition_stays_what_it_is() -> None:
    def has_primary(snapshot: Snapshot) -> bool:
        return snapshot.primary is not None

    assert to_condition(3) == at_least(3)
    assert to_condition(has_primary) is has_primary
    assert to_condition(quorum(3)) == at_least(2)


def has_a_primary(snapshot: Snapshot) -> bool:
    return snapshot.primary is not None


class Choosy:
    def __call__(self, snapshot: Snapshot) -> bool:
        return False

    def __repr__(self) -> str:
        return "Choosy()"


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (at_least(3), "3 peers"),
        (quorum(5), "3 peers"),
        (has_a_primary, "has_a_primary"),
        (Choosy(), "Choosy()"),
        (lambda snapshot: False, "<lambda>"),
    ],
)
def test_words(condition: at_least, words: str) -> None:
    assert in_words(condition) == words
    error = NotReady(in_words(condition), 5, members(2))
    assert str(error) == f"waited 5 s for {words}; there was: db-0, db-1"


def test_a_partial_function_is_told_somehow() -> None:
    assert "has_a_primary" in in_words(functools.partial(has_a_primary))

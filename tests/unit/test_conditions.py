"""Conditions to wait for, and their wording in errors."""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import AsyncIterator
from typing import Any

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
def test_a_quorum_of_no_peers_is_rejected(of: int) -> None:
    with pytest.raises(ConfigurationError, match=r"quorum: got .* 1 or more"):
        quorum(of)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_at_least(count: int) -> None:
    condition = at_least(count)
    assert condition(members(count))
    assert condition(members(count + 1))
    assert not count or not condition(members(count - 1))


def test_a_negative_number_of_peers_is_rejected() -> None:
    with pytest.raises(ConfigurationError, match=r"required: got -1, expected .* 0 or more"):
        at_least(-1)
    with pytest.raises(ConfigurationError):
        to_condition(-1)


def test_a_number_is_a_condition_and_a_condition_stays_what_it_is() -> None:
    def has_primary(snapshot: Snapshot) -> bool:
        return snapshot.primary is not None

    assert to_condition(3) == at_least(3)
    condition = to_condition(has_primary)
    assert to_condition(condition) is condition
    assert [condition(members(count)) for count in (0, 1)] == [False, True]
    assert in_words(condition) == "has_primary"
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
    assert str(error) == f"timed out after 5 s: needed {words}, saw 2 (db-0, db-1)"


def test_a_partial_function_has_some_words() -> None:
    assert "has_a_primary" in in_words(functools.partial(has_a_primary))


# What is no condition.


async def coroutine_function(snapshot: Snapshot) -> bool:
    raise AssertionError("it is never awaited")


async def generator_function(snapshot: Snapshot) -> AsyncIterator[bool]:
    yield True


class AsyncCallable:
    async def __call__(self, snapshot: Snapshot) -> bool:
        raise AssertionError("it is never awaited")

    async def method(self, snapshot: Snapshot) -> bool:
        raise AssertionError("it is never awaited")

    @classmethod
    async def class_method(cls, snapshot: Snapshot) -> bool:
        raise AssertionError("it is never awaited")

    @staticmethod
    async def static_method(snapshot: Snapshot) -> bool:
        raise AssertionError("it is never awaited")


@pytest.mark.parametrize(
    "condition",
    [
        coroutine_function,
        generator_function,
        functools.partial(coroutine_function),
        functools.partial(functools.partial(coroutine_function)),
        AsyncCallable(),
        functools.partial(AsyncCallable()),
        AsyncCallable().method,
        functools.partial(AsyncCallable().method),
        AsyncCallable.class_method,
        AsyncCallable.static_method,
    ],
    ids=lambda one: type(one).__name__,
)
def test_an_async_condition_is_refused(condition: Any) -> None:
    with pytest.raises(ConfigurationError, match="not an async one"):
        to_condition(condition)


async def test_a_condition_that_returns_something_to_wait_for_is_refused() -> None:
    """Warnings are errors here: a coroutine that was left open would be one."""
    loop = asyncio.get_running_loop()
    for function in (
        lambda snapshot: coroutine_function(snapshot) or True,
        lambda snapshot: generator_function(snapshot) or True,
        lambda _: loop.create_future(),
        lambda _: loop.create_task(asyncio.sleep(60)),
    ):
        condition = to_condition(function)
        with pytest.raises(ConfigurationError, match="not an async one"):
            condition(Snapshot("db"))
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("required", [True, False, 2.0, math.nan, "3", None, [3], -1])
def test_what_is_neither_a_number_nor_a_function_is_refused(required: Any) -> None:
    with pytest.raises(ConfigurationError, match="a number of peers"):
        to_condition(required)


@pytest.mark.parametrize("count", [True, 2.5, math.nan, "3", None, -1])
def test_a_count_is_an_integer(count: Any) -> None:
    with pytest.raises(ConfigurationError, match="a number of peers"):
        at_least(count)
    with pytest.raises(ConfigurationError, match="a number of peers"):
        quorum(count)

"""What to wait for: enough peers, a quorum, or anything a function can tell. Pure."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from .exceptions import ConfigurationError
from .model import Snapshot

__all__ = ["Condition", "at_least", "quorum", "to_condition"]

Condition = Callable[[Snapshot], bool]
"""Whether a membership will do."""


@dataclass(frozen=True, slots=True)
class at_least:  # noqa: N801 - used as a function
    """Whether there are so many peers; in words it says so."""

    count: int

    def __post_init__(self) -> None:
        _check_count(self.count, "required", 0)

    def __call__(self, snapshot: Snapshot) -> bool:
        return len(snapshot) >= self.count

    def __str__(self) -> str:
        return f"{self.count} peer" if self.count == 1 else f"{self.count} peers"


def quorum(of: int) -> at_least:
    """More than half of so many peers: 2 of 3, 3 of 4, 3 of 5.

    Args:
        of: How many peers there are when all are there: the StatefulSet's ``replicas``.

    Raises:
        ConfigurationError: It is no number of 1 or more.
    """
    _check_count(of, "quorum", 1)
    return at_least(of // 2 + 1)


@dataclass(frozen=True, slots=True)
class with_local:  # noqa: N801 - used as a function
    """Whether a condition holds and this pod itself is listed; in words it says so.

    Attributes:
        condition: What is required besides.
        name: This pod's name.
    """

    condition: Condition
    name: str

    def __call__(self, snapshot: Snapshot) -> bool:
        return snapshot.local is not None and self.condition(snapshot)

    def __str__(self) -> str:
        return f"{in_words(self.condition)} including this pod ({self.name})"


def _check_count(count: object, what: str, least: int) -> None:
    if not isinstance(count, int) or isinstance(count, bool) or count < least:
        raise ConfigurationError(what, count, f"a number of peers, {least} or more")


def to_condition(required: int | Condition) -> Condition:
    """A condition from what users give: a number of peers, or a condition.

    Raises:
        ConfigurationError: It is neither, or an async function: what that returns is awaited by
            nobody, and always true.
    """
    if isinstance(required, at_least | _Checked):
        return required
    if isinstance(required, int):
        return at_least(required)
    if not callable(required):
        raise ConfigurationError("required", required, _EXPECTED)
    if _is_async(required):
        raise ConfigurationError("required", required, _NOT_ASYNC)
    return _Checked(required)


def in_words(condition: Condition) -> str:
    """A condition as an error tells it."""
    if isinstance(condition, at_least | with_local | _Checked):
        return str(condition)
    return getattr(condition, "__name__", None) or repr(condition)


_EXPECTED = "a number of peers, 0 or more, or a function of a snapshot"
_NOT_ASYNC = "a function that returns True or False, not an async one"


@dataclass(frozen=True, slots=True)
class _Checked:
    """A user's function; what it returns has to be the answer, not something to wait for."""

    function: Condition

    def __call__(self, snapshot: Snapshot) -> bool:
        result: object = self.function(snapshot)
        if hasattr(result, "__await__") or hasattr(result, "__aiter__"):
            # A coroutine that is neither awaited nor closed would be complained of, and a task
            # that nobody holds would go on.
            for end in ("close", "cancel"):
                if hasattr(result, end):
                    getattr(result, end)()
                    break
            raise ConfigurationError("required", self.function, _NOT_ASYNC)
        return bool(result)

    def __str__(self) -> str:
        return in_words(self.function)


def _is_async(function: object) -> bool:
    """Whether calling it gives something to wait for, as far as that can be seen before."""
    import inspect  # noqa: PLC0415 - takes as long to load as all of this package's values

    while isinstance(function, functools.partial):
        function = function.func
    called = function if inspect.isroutine(function) else type(function).__call__
    return any(
        test(one)
        for test in (inspect.iscoroutinefunction, inspect.isasyncgenfunction)
        for one in (function, called)
    )

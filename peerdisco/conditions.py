"""Conditions to wait for: a number of peers, a quorum, or a function of a snapshot. Pure."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from .exceptions import ConfigurationError
from .model import Snapshot

__all__ = ["Condition", "at_least", "quorum", "to_condition"]

Condition = Callable[[Snapshot], bool]
"""Whether a snapshot is sufficient."""


@dataclass(frozen=True, slots=True)
class at_least:  # noqa: N801 - used as a function
    """Whether at least this many peers are listed; ``str()`` gives it in words."""

    count: int

    def __post_init__(self) -> None:
        _check_count(self.count, "required", 0)

    def __call__(self, snapshot: Snapshot) -> bool:
        return len(snapshot) >= self.count

    def __str__(self) -> str:
        return f"{self.count} peer" if self.count == 1 else f"{self.count} peers"


def quorum(of: int) -> at_least:
    """More than half of the peers: 2 of 3, 3 of 4, 3 of 5.

    Args:
        of: The number of peers when none is missing: the StatefulSet's ``replicas``.

    Raises:
        ConfigurationError: It is not an integer of 1 or more.
    """
    _check_count(of, "quorum", 1)
    return at_least(of // 2 + 1)


@dataclass(frozen=True, slots=True)
class with_local:  # noqa: N801 - used as a function
    """Whether a condition holds and this pod itself is listed; ``str()`` gives it in words.

    Attributes:
        condition: The other condition.
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
    """The condition for an argument: a number of peers, or a function.

    Raises:
        ConfigurationError: It is neither, or an async function: its result is never awaited and
            always true.
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
    """A condition in words, for an error."""
    if isinstance(condition, at_least | with_local | _Checked):
        return str(condition)
    return getattr(condition, "__name__", None) or repr(condition)


_EXPECTED = "a number of peers, 0 or more, or a function of a snapshot"
_NOT_ASYNC = "a function that returns True or False, not an async one"


@dataclass(frozen=True, slots=True)
class _Checked:
    """A user's function, whose result must not be an awaitable."""

    function: Condition

    def __call__(self, snapshot: Snapshot) -> bool:
        result: object = self.function(snapshot)
        if hasattr(result, "__await__") or hasattr(result, "__aiter__"):
            # A coroutine that is not closed causes a warning, and a task would continue to run.
            for end in ("close", "cancel"):
                if hasattr(result, end):
                    getattr(result, end)()
                    break
            raise ConfigurationError("required", self.function, _NOT_ASYNC)
        return bool(result)

    def __str__(self) -> str:
        return in_words(self.function)


def _is_async(function: object) -> bool:
    """Whether calling it returns an awaitable, as far as its definition shows."""
    import inspect  # noqa: PLC0415 - as slow to import as `peerdisco.model`

    while isinstance(function, functools.partial):
        function = function.func
    called = function if inspect.isroutine(function) else type(function).__call__
    return any(
        test(one)
        for test in (inspect.iscoroutinefunction, inspect.isasyncgenfunction)
        for one in (function, called)
    )

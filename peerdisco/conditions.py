"""What to wait for: enough peers, a quorum, or anything a function can tell. Pure."""

from __future__ import annotations

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
        if self.count < 0:
            raise ConfigurationError("required", self.count, "a number of peers, 0 or more")

    def __call__(self, snapshot: Snapshot) -> bool:
        return len(snapshot) >= self.count

    def __str__(self) -> str:
        return f"{self.count} peer" if self.count == 1 else f"{self.count} peers"


def quorum(of: int) -> at_least:
    """More than half of so many peers: 2 of 3, 3 of 4, 3 of 5.

    Args:
        of: How many peers there are when all are there: the StatefulSet's ``replicas``.

    Raises:
        ConfigurationError: It is less than 1.
    """
    if of < 1:
        raise ConfigurationError("quorum", of, "a number of peers, 1 or more")
    return at_least(of // 2 + 1)


def to_condition(required: int | Condition) -> Condition:
    """A condition from what users give: a number of peers, or a condition."""
    return at_least(required) if isinstance(required, int) else required


def in_words(condition: Condition) -> str:
    """A condition as an error tells it."""
    if isinstance(condition, at_least):
        return str(condition)
    return getattr(condition, "__name__", None) or repr(condition)

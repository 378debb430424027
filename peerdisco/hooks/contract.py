"""What a hook is, and what its runner needs to know of a watcher."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol, TypeAlias

from ..model import Change, Snapshot
from .command import CommandHook

__all__ = ["Hook", "Watched"]

Hook: TypeAlias = CommandHook | Callable[[Change], Awaitable[object] | object]
"""What is run: a command, or a function of the change.

What a function returns is awaited if it can be. One that blocks holds up everything else."""


class Watched(Protocol):
    """What a `HookRunner` needs of a `peerdisco.Discovery`."""

    @property
    def snapshot(self) -> Snapshot:
        """The membership as it is known now."""
        ...

    def watch(self) -> AsyncIterator[Change]:
        """The changes: first the present membership, then differences, merged while nobody asks."""
        ...

"""The type of hooks, and the protocol of the watcher that runs them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol, TypeAlias

from ..model import Change, Snapshot
from .command import CommandHook

__all__ = ["Hook", "Watched"]

Hook: TypeAlias = CommandHook | Callable[[Change], Awaitable[object] | object]
"""A command, or a function of the change.

The result of a function is awaited if it is awaitable. A function must not block the event loop."""


class Watched(Protocol):
    """The part of `peerdisco.Discovery` that a `HookRunner` uses."""

    @property
    def snapshot(self) -> Snapshot:
        """The current membership."""
        ...

    def watch(self) -> AsyncIterator[Change]:
        """The changes: first the current membership, then differences, merged until read."""
        ...

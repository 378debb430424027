"""Shared lookups: watchers of one service in one event loop make one lookup together."""

from __future__ import annotations

import asyncio
import math
import weakref
from collections.abc import Callable, Hashable

from ..exceptions import ResolveTimeout, SourceFailed
from ..model import Failed, Observation
from . import Source, verify_all

__all__ = ["SharedSource", "share"]


class SharedSource:
    """One user's view of a source that several users share.

    Overlapping lookups are one lookup, and so are lookups that follow each other within ``fresh``.

    Args:
        lookups: The shared lookups.
        fresh: Seconds for which a finished lookup serves this user.
    """

    def __init__(self, lookups: _SharedLookups, fresh: float) -> None:
        self._lookups = lookups
        self._fresh = fresh
        self._closed = False
        self._after = 0
        """Only lookups with a higher number count for this user; see `refresh`."""
        lookups.users += 1

    @property
    def service(self) -> str:
        return self._lookups.source.service

    def refresh(self) -> None:
        """Ignore what lookups that began before this call returned or learned, for this user."""
        self.ignore_past()
        verify_all(self._lookups.source)

    def ignore_past(self) -> None:
        """Ignore the observations of all lookups that began before this call, for this user."""
        self._after = self._lookups.begun

    async def observe(self, *, timeout: float) -> Observation:
        """The observation of the last lookup, the one in progress, or a new one.

        Each user waits for its own timeout: a short one does not wait for another user's long
        lookup, and a long one does not end with another user's short lookup. After `refresh`, a
        lookup that began before it is waited for but does not count; the new one then has the whole
        timeout.
        """
        now = asyncio.get_running_loop().time
        after, begun = self._after, self._lookups.begun
        observation = self._lookups.last_since(now() - self._fresh, after)
        if observation is not None:
            return observation
        if not await self._lookups.pass_by(after, timeout):
            return Failed(ResolveTimeout(self.service, (), timeout))
        # Another user may have begun one in the meantime; with eager tasks it may have ended.
        if (observation := self._lookups.last_since(-math.inf, begun)) is not None:
            return observation
        deadline = now() + timeout
        while True:
            left = deadline - now()
            observation = await self._lookups.join(left) if left > 0 else None
            timed_out = isinstance(observation, Failed) and isinstance(
                observation.error, ResolveTimeout
            )
            if observation is None:
                return Failed(ResolveTimeout(self.service, (), timeout))
            if not timed_out or now() >= deadline:
                return observation

    async def aclose(self) -> None:
        """End the use; the last user closes the source. A second call does nothing."""
        if not self._closed:
            self._closed = True
            await self._lookups.leave()


class _SharedLookups:
    """A source, the number of its users, and the lookup in progress.

    A lookup is cancelled when nobody waits for it any longer.
    """

    def __init__(self, source: Source, forget: Callable[[], None]) -> None:
        self.source = source
        self.users = 0
        self.begun = 0
        """Number of lookups begun; the newest has this number."""
        self._forget = forget
        self._waiting = 0
        self._task: asyncio.Task[Observation] | None = None
        self._last: tuple[int, float, Observation] | None = None
        """The newest finished lookup: its number, the time when it ended, and its observation."""

    def last_since(self, when: float, after: int) -> Observation | None:
        """The last observation, if it ended after this time and its number is higher."""
        if self._last is None:
            return None
        number, ended_at, observation = self._last
        return observation if number > after and ended_at > when else None

    async def pass_by(self, after: int, seconds: float) -> bool:
        """Wait for a lookup in progress that began too early; False if it takes longer."""
        task = self._task
        if task is None or task.done() or self.begun > after:
            return True
        done, _ = await asyncio.wait({task}, timeout=seconds)
        return bool(done)

    async def join(self, seconds: float) -> Observation | None:
        """Wait for the lookup in progress, or for a new one; None if it takes longer."""
        # With eager tasks, a lookup that does not wait ends within create_task.
        if self._task is None or self._task.done():
            self.begun += 1
            self._task = asyncio.create_task(self._observe(self.begun, seconds))
        task = self._task
        self._waiting += 1
        try:
            done, _ = await asyncio.wait({task}, timeout=seconds + _GRACE)
            return self._outcome(task) if done else None
        finally:
            self._waiting -= 1
            if not self._waiting and not task.done():
                self._task = None
                task.cancel()
                await asyncio.wait({task})

    def _outcome(self, task: asyncio.Task[Observation]) -> Observation:
        """The observation of a finished lookup, for one of the users that waited."""
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, Exception):
            # KeyboardInterrupt and SystemExit end the event loop once, not once for each user.
            raise SourceFailed(self.source.service, repr(error)) from error
        return task.result()

    async def _observe(self, number: int, seconds: float) -> Observation:
        observation = await self.source.observe(timeout=seconds)
        if self._last is None or number > self._last[0]:
            self._last = (number, asyncio.get_running_loop().time(), observation)
        return observation

    async def leave(self) -> None:
        self.users -= 1
        if not self.users:
            self._forget()
            await self.source.aclose()


_GRACE = 0.05
"""Seconds for a lookup to report its own timeout, with every attempt."""

_open: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _SharedLookups]] = (
    weakref.WeakKeyDictionary()
)
"""The open sources of each event loop, by key."""


def share(key: Hashable, fresh: float, open_source: Callable[[], Source]) -> SharedSource:
    """The source for this key in the running event loop, opened if there is none yet.

    Args:
        key: Identifies the query.
        fresh: Seconds for which a finished lookup serves this user.
        open_source: Opens the source.
    """
    opened = _open.setdefault(asyncio.get_running_loop(), {})
    if key not in opened:

        def forget() -> None:
            opened.pop(key, None)

        opened[key] = _SharedLookups(open_source(), forget)
    return SharedSource(opened[key], fresh)

"""One look for many: watchers of one service in one process ask once and share the answer."""

from __future__ import annotations

import asyncio
import math
import weakref
from collections.abc import Callable, Hashable

from ..exceptions import ResolveTimeout, SourceFailed
from ..model import Failed, Observation
from . import Source

__all__ = ["SharedSource", "share"]


class SharedSource:
    """One user's part in a source that several look through.

    Looks that overlap are one look, and so are looks that follow each other within ``fresh``.

    Args:
        looks: What the users share.
        fresh: For how many seconds a look that has ended serves this user.
    """

    def __init__(self, lookups: _Looks, fresh: float) -> None:
        self._looks = lookups
        self._fresh = fresh
        self._closed = False
        self._after = 0
        """Only lookups that were begun after this one count for this user; see `refresh`."""
        lookups.users += 1

    @property
    def service(self) -> str:
        return self._looks.source.service

    def refresh(self) -> None:
        """Let no lookup count for this user that has been begun before this call."""
        self._after = self._looks.begun

    async def observe(self, *, timeout: float) -> Observation:
        """The lookup that has just ended, the one that is under way, or a new one.

        Each user waits as long as it said: one that is hasty does not wait for the lookup of one
        that is patient, and one that is patient does not end with the hasty one's. After `refresh`
        a lookup that was begun before it is waited for, but does not count; the new one then has
        the whole timeout.
        """
        now = asyncio.get_running_loop().time
        after, begun = self._after, self._looks.begun
        seen = self._looks.seen_since(now() - self._fresh, after)
        if seen is not None:
            return seen
        if not await self._looks.pass_by(after, timeout):
            return Failed(ResolveTimeout(self.service, (), timeout))
        # Another user may have made one meanwhile; where tasks start eagerly, it may have ended.
        if (seen := self._looks.seen_since(-math.inf, begun)) is not None:
            return seen
        deadline = now() + timeout
        while True:
            left = deadline - now()
            seen = await self._looks.join(left) if left > 0 else None
            timed_out = isinstance(seen, Failed) and isinstance(seen.error, ResolveTimeout)
            if seen is None:
                return Failed(ResolveTimeout(self.service, (), timeout))
            if not timed_out or now() >= deadline:
                return seen

    async def aclose(self) -> None:
        """This user has enough; the last one closes the source. A second call does nothing."""
        if not self._closed:
            self._closed = True
            await self._looks.leave()


class _Looks:
    """A source, its users, and the look that is under way.

    A look ends with the last one who waits for it.
    """

    def __init__(self, source: Source, forget: Callable[[], None]) -> None:
        self.source = source
        self.users = 0
        self.begun = 0
        """How many lookups were begun; the newest one has this number."""
        self._forget = forget
        self._waiting = 0
        self._look: asyncio.Task[Observation] | None = None
        self._seen: tuple[int, float, Observation] | None = None
        """The number of the newest lookup that has ended, when it ended, and its outcome."""

    def seen_since(self, when: float, after: int) -> Observation | None:
        """The newest outcome, if it came after this moment, of a lookup after the one numbered."""
        if self._seen is None:
            return None
        number, ended_at, seen = self._seen
        return seen if number > after and ended_at > when else None

    async def pass_by(self, after: int, seconds: float) -> bool:
        """Wait until no lookup is under way that was begun too early; False if it takes longer."""
        look = self._look
        if look is None or look.done() or self.begun > after:
            return True
        done, _ = await asyncio.wait({look}, timeout=seconds)
        return bool(done)

    async def join(self, seconds: float) -> Observation | None:
        """Wait for the look that is under way, or for a new one; None if it takes longer."""
        # A look that needs not wait ends within create_task, where the loop starts tasks eagerly.
        if self._look is None or self._look.done():
            self.begun += 1
            self._look = asyncio.create_task(self._observe(self.begun, seconds))
        look = self._look
        self._waiting += 1
        try:
            done, _ = await asyncio.wait({look}, timeout=seconds + _GRACE)
            return self._outcome(look) if done else None
        finally:
            self._waiting -= 1
            if not self._waiting and not look.done():
                self._look = None
                look.cancel()
                await asyncio.wait({look})

    def _outcome(self, look: asyncio.Task[Observation]) -> Observation:
        """What a lookup that has ended came to, for one of those who waited for it."""
        error = None if look.cancelled() else look.exception()
        if error is not None and not isinstance(error, Exception):
            # KeyboardInterrupt and SystemExit end the event loop once, not once for each user.
            raise SourceFailed(self.source.service, repr(error)) from error
        return look.result()

    async def _observe(self, number: int, seconds: float) -> Observation:
        seen = await self.source.observe(timeout=seconds)
        if self._seen is None or number > self._seen[0]:
            self._seen = (number, asyncio.get_running_loop().time(), seen)
        return seen

    async def leave(self) -> None:
        self.users -= 1
        if not self.users:
            self._forget()
            await self.source.aclose()


_GRACE = 0.05
"""Seconds that a look may take to say that its time is up, with all that it tried."""

_open: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _Looks]] = (
    weakref.WeakKeyDictionary()
)
"""What is open in each event loop, by what it looks at and how."""


def share(key: Hashable, fresh: float, open_source: Callable[[], Source]) -> SharedSource:
    """The source for this key in the running event loop, opened if there is none yet.

    Args:
        key: What the source looks at, and how.
        fresh: For how many seconds a look that has ended serves this user.
        open_source: Opens the source.
    """
    opened = _open.setdefault(asyncio.get_running_loop(), {})
    if key not in opened:

        def forget() -> None:
            opened.pop(key, None)

        opened[key] = _Looks(open_source(), forget)
    return SharedSource(opened[key], fresh)

"""A clock that tests move, so that hours of watching take no time and always go the same way."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from ..names import parse_seconds

__all__ = ["ManualClock"]

_TURNS = 50
"""How often the event loop goes round for everybody to do what can be done without waiting."""


class ManualClock:
    """Time for `peerdisco.Discovery` that goes forward only when it is told to.

    ```python
    clock = ManualClock()
    async with Discovery(source=script, clock=clock) as disco:
        await clock.advance(60)          # a minute of looks, at once
    ```

    Args:
        start: What `now` begins with, in seconds.
        date: What `utcnow` begins with.
    """

    def __init__(
        self, start: float = 0.0, date: datetime = datetime(2000, 1, 1, tzinfo=UTC)
    ) -> None:
        self._start = start
        self._now = start
        self._date = date
        self._waits: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now(self) -> float:
        return self._now

    def utcnow(self) -> datetime:
        return self._date + timedelta(seconds=self._now - self._start)

    async def wait(self, event: asyncio.Event, seconds: float | None) -> bool:
        """Wait for an event, for so many of this clock's seconds at most."""
        if seconds is None:
            return await event.wait()
        if event.is_set() or seconds <= 0:
            await asyncio.sleep(0)
            return event.is_set()
        due: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (self._now + seconds, next(self._order), due)
        heapq.heappush(self._waits, entry)
        waiting = asyncio.ensure_future(event.wait())
        both: tuple[asyncio.Future[Any], ...] = (waiting, due)
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            return event.is_set()
        finally:
            waiting.cancel()
            due.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

    async def advance(self, seconds: float, *, until: Callable[[], bool] | None = None) -> None:
        """Let time pass; whoever waits is woken in order, and does what follows, before it goes on.

        What waits for a network is not waited for.

        Args:
            seconds: How much.
            until: Stop as soon as this is true.
        """
        end = self._now + parse_seconds(seconds, "seconds", zero=True)
        await self._settle()
        while (until is None or not until()) and self._waits and self._waits[0][0] <= end:
            due_at, _, due = heapq.heappop(self._waits)
            if due.done():
                continue
            self._now = max(self._now, due_at)
            due.set_result(None)
            await self._settle()
        if until is None or not until():
            self._now = max(self._now, end)

    @property
    def next_due(self) -> float | None:
        """When the next one who waits is woken; None if nobody waits for the time."""
        return min((at for at, _, due in self._waits if not due.done()), default=None)

    async def _settle(self) -> None:
        for _ in range(_TURNS):
            await asyncio.sleep(0)

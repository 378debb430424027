"""A clock that tests move: hours of polling take no time, and always run the same way."""

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
"""Iterations of the event loop in which every task does what it can do without waiting."""


class ManualClock:
    """The time of a `peerdisco.Discovery`; it passes only in `advance`.

    ```python
    clock = ManualClock()
    async with Discovery(source=script, clock=clock) as disco:
        await clock.advance(60)          # a minute of lookups, at once
    ```

    Args:
        start: The first value of `now`, in seconds.
        date: The first value of `utcnow`.
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
        """Wait for an event, or until this many seconds of this clock have passed."""
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
        """Let time pass.

        Waiting tasks are woken in the order of their time, and each runs until it waits again
        before the next one is woken. Tasks that wait for the network are not waited for.

        Args:
            seconds: The time to pass, in seconds.
            until: Stop as soon as this returns True.
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
        """The time at which the next task is woken; None if no task waits for a time."""
        return min((at for at, _, due in self._waits if not due.done()), default=None)

    async def _settle(self) -> None:
        for _ in range(_TURNS):
            await asyncio.sleep(0)

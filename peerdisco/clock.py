"""Time, as the watcher sees it: a seam, so that tests can move it."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """What `peerdisco.Discovery` needs of time; `peerdisco.testing.ManualClock` is another one."""

    def now(self) -> float:
        """Seconds that only go forward."""
        ...

    def utcnow(self) -> datetime:
        """The date and time in UTC."""
        ...

    async def wait(self, event: asyncio.Event, seconds: float | None) -> bool:
        """Wait for an event, for so many seconds at most; None for as long as it takes.

        Returns:
            Whether the event is set.
        """
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.monotonic()

    def utcnow(self) -> datetime:
        return datetime.now(UTC)

    async def wait(self, event: asyncio.Event, seconds: float | None) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await event.wait()
        except TimeoutError:
            return event.is_set()

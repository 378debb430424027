"""The clock of a watcher, which tests can replace."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """The clock interface of `peerdisco.Discovery`; see also `peerdisco.testing.ManualClock`."""

    def now(self) -> float:
        """The time in seconds of a clock that never goes back."""
        ...

    def utcnow(self) -> datetime:
        """The date and time in UTC."""
        ...

    async def wait(self, event: asyncio.Event, seconds: float | None) -> bool:
        """Wait for an event, or until a timeout.

        Args:
            event: The event.
            seconds: The timeout in seconds; None for no timeout.

        Returns:
            Whether the event is set.
        """
        ...


class SystemClock:
    """The system's clock."""

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

"""Stalls: times in which this process does not run (blocked event loop, SIGSTOP, frozen machine).

A timeout during a stall does not show that the other side is slow: its answer may wait in the
socket, unread. So timeouts that lead to a conclusion exclude the time of stalls.
"""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Self

__all__ = ["Stalls", "TimeLimit"]

LEAST_STALL = 0.1
"""A timer that is late by less than this many seconds is no stall: the event loop or the machine is
busy."""

_BEATS = 20
_SHORTEST_BEAT, _LONGEST_BEAT = 0.02, 1.0


class Stalls:
    """Measures the stalls of the running event loop within a ``with`` block.

    Args:
        over: The expected duration of the block in seconds; stalls are measured to about a
            twentieth of it.
    """

    def __init__(self, over: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._beat = min(max(over / _BEATS, _SHORTEST_BEAT), _LONGEST_BEAT)
        self._counted = 0.0
        # Not the loop's time, which some loops update only once in each iteration.
        self._last = time.monotonic()
        self._timer = self._loop.call_later(self._beat, self._tick)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop measuring."""
        self._timer.cancel()

    @property
    def seconds(self) -> float:
        """The total time of the stalls so far, in seconds."""
        self._count()
        return self._counted

    def _tick(self) -> None:
        self._count()
        self._timer = self._loop.call_later(self._beat, self._tick)

    def _count(self) -> None:
        now = time.monotonic()
        late = now - self._last - self._beat
        if late > LEAST_STALL:
            self._counted += late
            self._last = now
        elif late > 0:
            self._last = now


class TimeLimit:
    """Like `asyncio.timeout`, but the time of stalls does not count.

    Args:
        seconds: The limit in seconds; None for no limit.

    Raises:
        TimeoutError: At the end of the block, if the limit was reached.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._timeout = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle | None = None
        self._stalls: Stalls | None = None

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        if self._seconds is not None:
            self._began = time.monotonic()
            self._stalls = Stalls(self._seconds)
            self._arm(self._seconds)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._stalls is not None:
            self._stalls.close()
        await self._timeout.__aexit__(kind, error, traceback)

    def _arm(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._due)

    def _due(self) -> None:
        assert self._seconds is not None
        assert self._stalls is not None
        stalled = self._stalls.seconds
        left = self._seconds - (time.monotonic() - self._began - stalled)
        if stalled and left > 0:
            self._arm(left)
        else:
            self._timeout.reschedule(asyncio.get_running_loop().time())

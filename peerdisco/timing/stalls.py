"""Time in which this process could not run: a blocked event loop, SIGSTOP, a frozen machine.

A time limit that passes meanwhile says nothing of whoever was to answer: the answer may lie in the
socket, unread. So limits that lead to a conclusion count the time in which the event loop ran.
"""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Self

__all__ = ["Stalls", "TimeLimit"]

LEAST_STALL = 0.1
"""Seconds by which a timer may be late without being a stall: other work of the loop, and of the
machine."""

_BEATS = 20
_SHORTEST_BEAT, _LONGEST_BEAT = 0.05, 1.0


class Stalls:
    """Measures, within its ``with`` block, how long the running event loop was held up.

    Args:
        over: Seconds that the block is expected to last at most; a stall is noticed to about a
            twentieth of it.
    """

    def __init__(self, over: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._beat = min(max(over / _BEATS, _SHORTEST_BEAT), _LONGEST_BEAT)
        self._counted = 0.0
        # Not the loop's time, which some loops read once in each round.
        self._last = time.monotonic()
        self._timer = self._loop.call_later(self._beat, self._tick)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Measure no longer."""
        self._timer.cancel()

    @property
    def seconds(self) -> float:
        """Seconds in which the loop could not run, up to now."""
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
    """`asyncio.timeout` for so many seconds in which the event loop runs.

    Args:
        seconds: None for no limit.

    Raises:
        TimeoutError: At the end of the block, if its time was up.
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

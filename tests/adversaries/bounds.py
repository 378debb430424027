"""What nobody may make this process spend, and how it is measured.

The machine may be busy with other things. Time does not count in which a thread of this process
was ready to run and had no processor, or in which no processor was idle.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

LONGEST_HOLD = 0.05
"""Seconds for which nothing may hold the event loop, by computing or by waiting; the pause
between two readings is a part of them."""
LATE = 0.1
"""Seconds by which a timeout may be exceeded."""
LATE_AFTER_STALL = 1.0
"""The same if the process could not run for a `STALL`: such a lookup is repeated."""
STALL = 0.04
MOST_MEMORY = 48 << 20
"""Bytes by which the process may grow meanwhile."""
PULSE = 0.005
"""Seconds between two readings."""
SCHEDSTAT, STAT = Path("/proc/thread-self/schedstat"), Path("/proc/stat")


@asynccontextmanager
async def bounded(timeout: float) -> AsyncIterator[None]:
    """The block holds the event loop, takes time and takes memory only within the bounds."""
    resident = _memory("VmRSS")
    _begin_peak()
    with _readings() as read:
        usage = Usage(timeout, read())
        task = asyncio.create_task(_measure(usage, read))
        try:
            yield
        finally:
            task.cancel()
            usage.add(read())
    usage.check()
    grown = _memory("VmHWM") - resident
    assert grown < MOST_MEMORY, f"{grown >> 20} MiB more"


@dataclass(frozen=True)
class Reading:
    """What the kernel says at one moment, in seconds.

    Attributes:
        now: The monotonic time.
        computed: For how long this thread had a processor.
        queued: For how long it was ready to run and had none.
        idle: For how long each processor had nothing to do, in hundredths.
    """

    now: float = 0.0
    computed: float = 0.0
    queued: float = 0.0
    idle: tuple[float, ...] = (0.0,)

    def since(self, before: Reading) -> float:
        """The seconds since then, without those in which this process could not run."""
        computed = self.computed - before.computed
        idle = max(now - then for now, then in zip(self.idle, before.idle, strict=False))
        seconds = self.now - before.now - (self.queued - before.queued)
        return max(computed, min(seconds, idle + computed))


class Usage:
    """The time for which the event loop was held, and the time after the timeout (pure)."""

    def __init__(self, timeout: float, first: Reading) -> None:
        self._timeout = timeout
        self._last = first
        self._deadline = first.now + timeout
        self._after: Reading | None = None
        self._stalled = False
        self.longest = 0.0

    @property
    def late(self) -> float:
        return self._last.since(self._after) if self._after else 0.0

    def add(self, reading: Reading) -> None:
        """Add one turn of the event loop."""
        held = reading.since(self._last)
        self.longest = max(self.longest, held)
        self._stalled = self._stalled or reading.now - self._last.now - held > STALL
        if self._after is None and reading.now > self._deadline:
            self._after = reading
        self._last = reading

    def check(self) -> None:
        assert self.longest < LONGEST_HOLD, f"the event loop was held for {self.longest:.3f} s"
        bound = LATE_AFTER_STALL if self._stalled else LATE
        assert self.late < bound, f"{self.late:.3f} s later than the timeout of {self._timeout:g} s"


async def _measure(usage: Usage, read: Callable[[], Reading]) -> None:
    while True:
        await asyncio.sleep(PULSE)
        usage.add(read())


@contextmanager
def _readings() -> Iterator[Callable[[], Reading]]:
    """Takes readings; the files stay open, because some tests leave no descriptor."""
    if not SCHEDSTAT.exists():
        pytest.skip("this machine does not measure how long a thread waits for a processor")
    with SCHEDSTAT.open("rb", buffering=0) as thread, STAT.open("rb", buffering=0) as machine:

        def read() -> Reading:
            queued = int(os.pread(thread.fileno(), 100, 0).split()[1]) / 1e9
            idle = tuple(_idle(os.pread(machine.fileno(), 1 << 16, 0)))
            return Reading(time.monotonic(), time.thread_time(), queued, idle)

        yield read


def _idle(stat: bytes) -> Iterator[float]:
    """The idle time of each processor: proc(5)."""
    for line in stat.splitlines():
        name, _, times = line.partition(b" ")
        if name.startswith(b"cpu") and name != b"cpu":
            _, _, _, idle, waiting, *_ = times.split()
            yield (int(idle) + int(waiting)) / os.sysconf("SC_CLK_TCK")


def _begin_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")  # proc(5)


def _memory(field: str) -> int:
    """Bytes that the process has now (VmRSS), or had at most (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    [kilobytes] = [line.split()[1] for line in lines if line.startswith(f"{field}:")]
    return int(kilobytes) << 10

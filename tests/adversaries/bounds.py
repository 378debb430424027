"""What nobody may make this process spend, and how it is measured."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

LONGEST_HOLD = 0.05
"""Seconds of the processor's time for which nothing may hold the event loop."""
LATE = 1.0
"""Seconds by which a timeout may be exceeded on a machine that others use too; on one at rest it
is a tenth of that. What is not bounded takes several times as long."""
MOST_MEMORY = 48 << 20
"""Bytes by which the process may grow meanwhile."""


@asynccontextmanager
async def bounded(timeout: float) -> AsyncIterator[None]:
    """The block holds the event loop, takes time and takes memory only within the bounds."""
    longest, before = 0.0, time.thread_time()

    async def beat() -> None:
        nonlocal longest, before
        while True:
            await asyncio.sleep(0.001)
            now = time.thread_time()
            longest, before = max(longest, now - before), now

    resident = _memory("VmRSS")
    _begin_peak()
    start = time.monotonic()
    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
    seconds, grown = time.monotonic() - start, _memory("VmHWM") - resident
    assert longest < LONGEST_HOLD, f"the event loop was held for {longest:.3f} s"
    assert seconds < timeout + LATE, f"{seconds:.3f} s, and the timeout is {timeout:g} s"
    assert grown < MOST_MEMORY, f"{grown >> 20} MiB more"


def _begin_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")  # proc(5)


def _memory(field: str) -> int:
    """Bytes that the process has now (VmRSS), or had at most (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    [kilobytes] = [line.split()[1] for line in lines if line.startswith(f"{field}:")]
    return int(kilobytes) << 10

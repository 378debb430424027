"""The end of a process group."""

from __future__ import annotations

import asyncio
import os
import signal

__all__ = ["end_group"]

_POLL = 0.01


async def end_group(process: asyncio.subprocess.Process, grace: float) -> None:
    """End a process that leads a group, and everything in that group.

    Cancelled, it does not wait any longer before it kills.
    """
    group = process.pid
    loop = asyncio.get_running_loop()
    deadline = loop.time() + grace
    try:
        # The number of a group is not given to another process while anybody is in it.
        there = _signal_group(group, signal.SIGTERM)
        while there and loop.time() < deadline:
            await asyncio.sleep(_POLL)
            there = _signal_group(group, 0)
    finally:
        _signal_group(group, signal.SIGKILL)
        await process.wait()


def _signal_group(group: int, number: int) -> bool:
    """Send a signal; whether there is anybody in the group."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # all of it has become another user's
        return False
    return True

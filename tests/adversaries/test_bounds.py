"""The bounds notice what exceeds them, and nothing that only a busy machine does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from .bounds import LONGEST_HOLD, MOST_MEMORY, Reading, Usage, bounded


async def computes() -> None:
    end = time.thread_time() + LONGEST_HOLD * 1.2
    while time.thread_time() < end:
        pass


async def grows() -> None:
    kept = []
    for _ in range(2 * MOST_MEMORY >> 20):
        kept.append(bytearray(1 << 20))
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("block", "complaint"), [(computes, "the event loop was held"), (grows, "MiB more")]
)
async def test_what_exceeds_a_bound_is_noticed(
    block: Callable[[], Awaitable[None]], complaint: str
) -> None:
    async def measured() -> None:
        async with bounded(5):
            await block()

    with pytest.raises(AssertionError, match=complaint):
        await measured()


Turn = tuple[float, float, float, float]
"""Seconds of a turn of the event loop: all, with a processor, waiting for one, with one idle."""


def usage(turns: list[Turn]) -> Usage:
    last = Reading()
    found = Usage(1.0, last)
    for seconds, computed, queued, idle in turns:
        last = Reading(
            last.now + seconds, last.computed + computed, last.queued + queued,
            (0.0, last.idle[-1] + idle),
        )  # fmt: skip
        found.add(last)
    return found


REST, BUSY = (0.01, 0.0, 0.0, 0.01), (0.03, 0.0, 0.02, 0.0)
MORE = LONGEST_HOLD * 1.1


@pytest.mark.parametrize(
    "turns",
    [
        [(MORE, MORE, 0.0, 0.0)],  # a computation
        [(0.2, MORE, 0.1, 0.0)],  # the same while others compute, too
        [REST, (MORE, 0.0, 0.0, MORE)],  # a system call that waits
        [REST] * 112,  # 0.11 s after the timeout
        [REST, BUSY] * 26 + [REST] * 12,
        [(0.1, 0.0, 0.1, 0.0)] + [REST] * 192,  # not even because of a stall
    ],
)
def test_what_is_noticed(turns: list[Turn]) -> None:
    with pytest.raises(AssertionError):
        usage(turns).check()


@pytest.mark.parametrize(
    "turns",
    [
        [],
        [REST] * 109,
        [(LONGEST_HOLD * 0.9, LONGEST_HOLD * 0.9, 0.0, 0.0)],
        [(0.2, 0.0, 0.19, 0.2)],  # this thread had no processor
        [(0.2, 0.0, 0.0, 0.01)],  # nor had the thread for which it waits
        [REST] * 101 + [BUSY] * 10,
        [(0.1, 0.0, 0.1, 0.0)] + [REST] * 180,  # repeated because of a stall
    ],
)
def test_what_is_not_noticed(turns: list[Turn]) -> None:
    usage(turns).check()

"""Measuring several contenders in turns, so that whatever disturbs the machine disturbs them all.

pytest-benchmark measures one function from its first round to its last, then the next; on a machine
that does other things too, the ratio of two such medians says which of them was disturbed. Here the
contenders take turns, in a random order each time, and what each round took is handed to
pytest-benchmark afterwards: its clock is one that moves by just that.
"""

from __future__ import annotations

import asyncio
import gc
import random
import resource
import statistics
import time
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pytest_benchmark.fixture import BenchmarkFixture

from .contenders import NOTHING, Found, Lookup

TICK = 0.001
SHARE = 0.02
"""Seconds of lookups that one contender makes in a row, if one lookup takes less."""
MOST_IN_A_ROW = 20
LEAST, MOST = 3, 60
"""Turns: never fewer, and no more; between them, each has its share of the time."""
SLOW = 0.1
"""Seconds; a lookup that takes longer is not repeated for what varies little."""


@dataclass
class Result:
    """What a contender's lookups found and took.

    Attributes:
        wall: Seconds of each lookup.
        cpu: Seconds of this process's threads in each lookup.
        stall: Seconds of work, of whatever thread, in which the event loop did not get to turn: the
            longest in a lookup, the median of several. A pause that others on the machine made is
            none, and one that is spent in wait for the interpreter's lock is.
        memory: Bytes that Python held at once during a lookup, beyond those before it.
        found: What the last lookup found.
    """

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    stall: float = 0.0
    memory: int = 0
    found: Found = NOTHING


def processes_too() -> float:
    """CPU seconds of this process and of those that it has waited for."""
    there = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + there.ru_utime + there.ru_stime


async def measure(
    lookups: Mapping[str, Lookup],
    seconds: float,
    *,
    instruments: bool = True,
    cpu: Callable[[], float] = time.process_time,
) -> dict[str, Result]:
    """Measure the lookups in turns, for about so many seconds.

    Args:
        lookups: The lookup of each contender.
        seconds: For how long, but for the slow.
        instruments: Whether more lookups follow, for what would slow the others down to measure:
            how long they hold the event loop, and the memory that they take.
        cpu: Returns the CPU seconds that are counted.
    """
    results = {who: Result() for who in lookups}
    in_a_row: dict[str, int] = {}
    for who, lookup in lookups.items():
        took = await _timed(lookup)
        if took < SLOW:
            took = min([await _timed(lookup) for _ in range(3)])
        in_a_row[who] = min(MOST_IN_A_ROW, max(1, int(SHARE / took)))
    left = dict.fromkeys(lookups, seconds / len(lookups))
    chance = random.Random(0)
    gc.collect()
    gc.disable()
    try:
        for turn in range(MOST):
            order = [who for who, time_left in left.items() if turn < LEAST or time_left > 0]
            chance.shuffle(order)
            for who in order:
                for _ in range(in_a_row[who]):
                    await _round(lookups[who], results[who], cpu)
                left[who] -= sum(results[who].wall[-in_a_row[who] :])
            gc.collect()
    finally:
        gc.enable()
    for who, lookup in lookups.items() if instruments else ():
        repeats = 1 if statistics.median(results[who].wall) > SLOW else 5
        results[who].stall = statistics.median([await _stall(lookup) for _ in range(repeats)])
        results[who].memory = await _memory(lookup)
    return results


async def _timed(lookup: Lookup) -> float:
    start = time.perf_counter()
    await lookup()
    return time.perf_counter() - start


async def _round(lookup: Lookup, result: Result, cpu: Callable[[], float]) -> None:
    worked, began = cpu(), time.perf_counter()
    result.found = await lookup()
    result.wall.append(time.perf_counter() - began)
    result.cpu.append(cpu() - worked)


async def _stall(lookup: Lookup) -> float:
    """The most work between two turns of a ticker."""
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            before = time.process_time()
            await asyncio.sleep(TICK)
            longest = max(longest, time.process_time() - before)

    ticker = asyncio.create_task(tick())
    await asyncio.sleep(5 * TICK)
    longest = 0.0
    await lookup()
    await asyncio.sleep(2 * TICK)
    ticker.cancel()
    return longest


async def _memory(lookup: Lookup) -> int:
    gc.collect()
    tracemalloc.start()
    try:
        await lookup()
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        await lookup()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


class Moved:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time


CLOCK = Moved()
"""For ``@pytest.mark.benchmark(timer=CLOCK.now)``, where `hand_over` is used."""


def hand_over(benchmark: BenchmarkFixture, wall: list[float]) -> None:
    """Give pytest-benchmark the rounds that were measured in turns."""
    rounds = iter(wall)

    def again() -> None:
        CLOCK.time += next(rounds)

    benchmark.pedantic(again, rounds=len(wall))

"""Where the time of a lookup goes: ``python -m tests.benchmarks.where [PODS [CONTENDER]]``.

Profiles what is above its limit in the tables: a first lookup, and polls that find nothing new. For
each it prints the functions that take the most time by themselves, and their share of the whole.
With arguments it profiles lookups of a service of so many pods by a contender, ``peerdisco`` by
default. The server answers as CoreDNS does, from memory.
"""

from __future__ import annotations

import asyncio
import cProfile
import gc
import pstats
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import PurePath

from peerdisco.names import Endpoint

from .conftest import running
from .contenders import CONTENDERS, Lookup, peerdisco
from .services import Service
from .test_first import first
from .test_steady import none_in_turn

SECONDS = 3.0
LINES = 12
WARM_UP = 40
"""Lookups before, with which the polls of a large service come to their usual course."""


@asynccontextmanager
async def first_lookups(service: Service, server: Endpoint) -> AsyncIterator[Lookup]:
    """Each by a source of its own."""
    yield first(service, server)


CASES = (
    ("the first lookup", 2000, first_lookups),
    ("a poll that finds nothing new", 3, peerdisco),
    ("a poll that finds nothing new, no pod verified in turn", 1000, none_in_turn),
    ("a poll that finds nothing new, no pod verified in turn", 5000, none_in_turn),
)


async def profile(what: str, pods: int, contender: AbstractAsyncContextManager[Lookup]) -> None:
    async with contender as lookup:
        start = time.perf_counter()
        for _ in range(WARM_UP):
            if time.perf_counter() - start < SECONDS:
                await lookup()
        count, end = 0, time.perf_counter() + SECONDS
        profiled = cProfile.Profile()
        gc.collect()
        gc.disable()
        try:
            with profiled:
                while time.perf_counter() < end:
                    found = await lookup()
                    count += 1
        finally:
            gc.enable()
    print(f"{what}, {pods:,} pods: {count} lookups, the last: {found}\n")
    print("share  calls in each  function")
    for line in table(pstats.Stats(profiled), count):
        print(line)
    print()


def table(stats: pstats.Stats, count: int) -> list[str]:
    """The functions that took the most time by themselves."""
    measured: dict[tuple[str, int, str], tuple[int, int, float, float, object]]
    measured = stats.stats  # type: ignore[attr-defined]
    rows = [(own, calls, where) for where, (_, calls, own, _, _) in measured.items()]
    rows.sort(reverse=True)
    whole, rest = (sum(own for own, _, _ in some) for some in (rows, rows[LINES:]))
    return [
        *(
            f"{own / whole:5.0%}  {calls / count:13,.1f}  {_named(*where)}"
            for own, calls, where in rows[:LINES]
        ),
        f"{rest / whole:5.0%}  {'':13}  {len(rows) - LINES} others",
    ]


def _named(file: str, line: int, function: str) -> str:
    """A function as in ``dns/bulk.py: take``; one that is built in by its name."""
    if line == 0:
        text = function.strip("{}<>").removeprefix("built-in method ").removeprefix("built-in ")
        return text.replace("'", "").removeprefix("method ").split(" at 0x")[0]
    parts = PurePath(file).parts
    inside = parts.index("peerdisco") + 1 if "peerdisco" in parts else -1
    return f"{'/'.join(parts[inside:])}: {function}"


if __name__ == "__main__":
    cases = CASES
    if len(sys.argv) > 1:
        who = (*sys.argv[2:], "peerdisco")[0]
        cases = ((who, int(sys.argv[1]), CONTENDERS[who]),)
    with running("tests.benchmarks.server") as (port, _):
        for what, pods, contender in cases:
            asyncio.run(profile(what, pods, contender(Service(pods), Endpoint("127.0.0.1", port))))

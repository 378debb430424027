"""Where the time of a lookup goes: ``python -m tests.benchmarks.where PODS [CONTENDER]``.

Looks up a service of so many pods for some seconds, as CoreDNS answers, and prints the functions
that took the most time by themselves. The contender is ``peerdisco`` by default.
"""

from __future__ import annotations

import asyncio
import cProfile
import pstats
import sys
import time

from peerdisco.names import Endpoint

from .conftest import running
from .contenders import CONTENDERS
from .services import Service

SECONDS = 5.0
LINES = 16


async def lookups(port: int, pods: int, who: str) -> None:
    async with CONTENDERS[who](Service(pods), Endpoint("127.0.0.1", port)) as lookup:
        for _ in range(3):
            await lookup()
        count, end = 0, time.perf_counter() + SECONDS
        profile = cProfile.Profile()
        with profile:
            while time.perf_counter() < end:
                found = await lookup()
                count += 1
    print(f"{who}, {pods} pods: {count} lookups, the last: {found}")
    pstats.Stats(profile).strip_dirs().sort_stats("tottime").print_stats(LINES)


if __name__ == "__main__":
    pods, who = int(sys.argv[1]), (*sys.argv[2:], "peerdisco")[0]
    with running("tests.benchmarks.server") as (port, _):
        asyncio.run(lookups(port, pods, who))

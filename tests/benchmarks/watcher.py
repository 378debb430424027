"""A watcher in a process of its own: ``python -m tests.benchmarks.watcher SERVER SERVICE PODS``.

Prints, as JSON, how many pods it knows, the memory that the process takes by then, and the CPU
seconds of a garbage collection of all its objects.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from pathlib import Path

import peerdisco

COLLECTIONS = 9
"""The shortest counts: other work of the machine makes some of them several times as long."""
LOOKUPS = 8
"""The memory is that after so many."""
PATIENCE = 60.0
"""Seconds; the test server makes the answers of 5,000 pods at the first query of each."""


def memory(which: str) -> int:
    """Resident bytes of this process: now (``VmRSS``), or at the most so far (``VmHWM``)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (line,) = (line for line in lines if line.startswith(f"{which}:"))
    return int(line.split()[1]) * 1024


def collection() -> float:
    """CPU seconds of a collection of the oldest generation, and so of all."""
    start = time.process_time()
    gc.collect()
    return time.process_time() - start


async def watch(server: str, service: str, pods: int) -> dict[str, object]:
    async with peerdisco.Discovery(
        service,
        nameservers=[server],
        source="dns",
        interval=0.2,
        min_interval=0.05,
        timeout=PATIENCE,
    ) as disco:
        end = time.monotonic() + PATIENCE
        changes = disco.watch()
        known = (await anext(changes)).snapshot
        while disco.lookups < LOOKUPS or (len(known) < pods and disco.lookups < 5 * LOOKUPS):
            if time.monotonic() > end:
                break
            await asyncio.sleep(0.05)
            known = disco.snapshot
        gc.collect()
        return {
            "found": len(known),
            "complete": known.complete,
            "resident": memory("VmRSS"),
            "peak": memory("VmHWM"),
            "collection": min(collection() for _ in range(COLLECTIONS)),
        }


if __name__ == "__main__":
    server, service, pods = sys.argv[1:]
    print(json.dumps(asyncio.run(watch(server, service, int(pods)))))

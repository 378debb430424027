"""Many watchers in one process, each of a service of its own, while datagrams are lost and
descriptors run out.

    python -m tests.adversaries.many_watchers --watchers 1500 --seconds 60

It takes half a minute of computing, and on a busy machine as many minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import resource
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import peerdisco
from peerdisco.testing import ClusterDNS

PODS = 3
LOST = 0.3
LOOKUPS = 100
"""Lookups in a second, of all watchers: more than one processor makes while others use it, too,
would show what the machine does, and not what the watchers do."""


@dataclass
class Found:
    """What came of it.

    Attributes:
        false_changes: Departures and replacements, although every pod stayed as it was.
        failed_lookups: How often a watcher reported that its lookups fail.
        recovered: The watchers that have their list, and a fresh one, in the end.
        seconds: How long the recovery took.
    """

    false_changes: int = 0
    failed_lookups: int = 0
    recovered: int = 0
    seconds: float = 0.0


@contextmanager
def few_descriptors(count: int) -> Iterator[None]:
    """Nothing but so many files can be opened in this process: `EMFILE`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
    held: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
    try:
        with suppress(OSError):
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1 + count, hard))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for number in held:
            os.close(number)


async def watch_many(
    dns: ClusterDNS, *, watchers: int, seconds: float, descriptors: int, seed: int = 1
) -> Found:
    """Start the watchers; then lose three datagrams of ten, and leave so many descriptors.

    Args:
        dns: Serves on a thread of its own.
        watchers: How many.
        seconds: How long the faults last.
        descriptors: How many descriptors may be opened meanwhile.
        seed: Of the losses.
    """
    found, chance = Found(), random.Random(seed)
    for number in range(watchers):
        dns.statefulset(f"db{number}", service=f"db{number}", replicas=PODS)

    async def watch(disco: peerdisco.Discovery) -> None:
        async for change in disco.watch():
            found.false_changes += len(change.left) + len(change.replaced)
            found.failed_lookups += change.degraded

    async with AsyncExitStack() as stack:
        discoveries = [
            await stack.enter_async_context(
                peerdisco.Discovery(
                    f"db{number}.default.svc.cluster.local",
                    nameservers=[dns.nameserver],
                    timeout=0.5,
                    interval=max(0.1, watchers / LOOKUPS),
                    min_interval=0.05,
                )
            )
            for number in range(watchers)
        ]
        for disco in discoveries:
            await disco.wait(PODS, timeout=60)
        tasks = [asyncio.create_task(watch(disco)) for disco in discoveries]
        with (
            dns.fail("drop", name=lambda name: chance.random() < LOST),
            few_descriptors(descriptors),
        ):
            await asyncio.sleep(seconds)
        start = time.monotonic()
        while found.seconds < 60 and found.recovered < watchers:
            await asyncio.sleep(0.05)
            fresh = [d for d in discoveries if len(d.snapshot) == PODS and not d.snapshot.stale]
            found.recovered, found.seconds = len(fresh), time.monotonic() - start
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--watchers", type=int, default=1500)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--descriptors", type=int, default=200)
    args = parser.parse_args()
    with ClusterDNS() as dns:
        watching = watch_many(
            dns, watchers=args.watchers, seconds=args.seconds, descriptors=args.descriptors
        )
        found = asyncio.run(watching)
    print(
        f"{args.watchers} watchers, {found.false_changes} false changes, "
        f"{args.watchers - found.recovered} not recovered after {found.seconds:.0f} s; "
        f"{found.failed_lookups} times lookups began to fail"
    )


if __name__ == "__main__":
    main()

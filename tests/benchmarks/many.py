"""A cluster DNS with many services in a process of its own.

``python -m tests.benchmarks.many N`` prints its port and serves until its input ends.
"""

from __future__ import annotations

import asyncio
import sys

from peerdisco.testing import ClusterDNS


async def serve(services: int) -> None:
    async with ClusterDNS() as dns:
        for number in range(services):
            dns.statefulset(f"db-{number}", service=f"db-{number}", replicas=3)
        print(dns.port, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))

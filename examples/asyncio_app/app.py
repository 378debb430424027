"""An application that knows its peers: writes go to the primary, reads to the replicas.

The database client is left out: `use` stands where yours opens a connection.
"""

import argparse
import asyncio
import logging
import signal
import sys

from members import Members

import peerdisco

log = logging.getLogger("app")


def use(what: str, peer: peerdisco.Peer | None) -> None:
    """Your database client's place."""
    if peer is None:
        log.info("%s: nobody to ask now", what)
    else:
        log.info("%s: %s at %s:%s", what, peer, peer.address, peer.port)


async def work(members: Members, interval: float) -> None:
    """What the application is for."""
    while True:
        use("write", members.for_writing())
        use("read", members.for_reading())
        await asyncio.sleep(interval)


async def main(service: str | None, interval: float) -> None:
    """Find the peers, then work, and look again beside it, until SIGTERM."""
    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    members = Members(service)
    try:
        await members.start(interval=interval)
        async with asyncio.TaskGroup() as group:
            group.create_task(members.follow(interval=interval))
            group.create_task(work(members, interval))
    except asyncio.CancelledError:
        log.info("stopped")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("service", nargs="?", help="default: PEERDISCO_SERVICE")
    parser.add_argument("--interval", type=float, default=5.0, help="seconds (default: 5)")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        asyncio.run(main(arguments.service, arguments.interval))
    except peerdisco.DiscoveryError as error:
        sys.exit(f"app: {error}")

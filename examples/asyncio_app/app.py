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


async def main(options: argparse.Namespace) -> None:
    """Wait for the peers, then work, and follow the membership beside it, until SIGTERM."""
    this = asyncio.current_task()
    assert this is not None
    async with peerdisco.Discovery(options.service, interval=options.interval) as disco:

        def stop() -> None:
            disco.leaving()  # that this pod goes is no news to itself
            this.cancel()

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
        try:
            await disco.wait(options.required, timeout=options.timeout)
            members = Members(disco)
            async with asyncio.TaskGroup() as group:
                group.create_task(members.follow())
                group.create_task(work(members, options.interval or 5.0))
        except asyncio.CancelledError:
            log.info("stopped")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("service", nargs="?", help="default: PEERDISCO_SERVICE")
    parser.add_argument("--required", type=int, default=1, help="peers to start with (default: 1)")
    parser.add_argument("--timeout", type=float, default=300.0, help="to wait for them, in seconds")
    parser.add_argument("--interval", type=float, help="seconds between two lookups")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    logging.getLogger("peerdisco").setLevel(logging.ERROR)  # `members` logs the membership itself
    try:
        asyncio.run(main(parser.parse_args()))
    except peerdisco.DiscoveryError as error:
        sys.exit(f"app: {error}")

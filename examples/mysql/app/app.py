"""An application with a database: counts its visitors, one each interval, and says what it sees."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

from pools import Account, Pools, Unavailable

import peerdisco

log = logging.getLogger("app")

TABLE = "CREATE TABLE IF NOT EXISTS visits (n INT AUTO_INCREMENT PRIMARY KEY, at DATETIME(3))"


async def visit(pools: Pools) -> int:
    """Write one visit; its number."""
    async with pools.writing() as connection, connection.cursor() as cursor:
        await cursor.execute("INSERT INTO visits (at) VALUES (NOW(3))")
        return int(cursor.lastrowid)


async def count(pools: Pools) -> tuple[int, str]:
    """How many visits a server knows, and which server."""
    async with pools.reading() as connection, connection.cursor() as cursor:
        await cursor.execute("SELECT COUNT(*), @@report_host FROM visits")
        number, host = await cursor.fetchone()
        return int(number), str(host).partition(".")[0]


async def work(pools: Pools, interval: float) -> None:
    """What the application is for. A database that is away ends no loop."""
    ready = False
    while True:
        try:
            if not ready:
                async with pools.writing() as connection, connection.cursor() as cursor:
                    await cursor.execute(TABLE)
                ready = True
            log.info("visit %d was written", await visit(pools))
        except Unavailable as error:
            log.warning("not written: %s", error)
        try:
            log.info("%d visits, says %s", *await count(pools))
        except Unavailable as error:
            log.warning("not read: %s", error)
        await asyncio.sleep(interval)


async def main(options: argparse.Namespace, account: Account) -> None:
    """Follow the membership and work, until SIGTERM."""
    this = asyncio.current_task()
    assert this is not None
    async with (
        peerdisco.Discovery(options.service, interval=options.interval) as disco,
        Pools(disco, account) as pools,
    ):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
        try:
            await disco.wait(1, timeout=options.timeout)
            await work(pools, options.pause)
        except asyncio.CancelledError:
            log.info("stopped")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("service", nargs="?", help="default: PEERDISCO_SERVICE")
    parser.add_argument("--user", default=os.environ.get("DATABASE_USER", "app"))
    parser.add_argument("--schema", default=os.environ.get("DATABASE_SCHEMA", "app"))
    # No option for the password itself: every process can read a command line.
    parser.add_argument("--password-file", default=os.environ.get("DATABASE_PASSWORD_FILE"))
    parser.add_argument("--timeout", type=float, default=300.0, help="to wait for the first peer")
    parser.add_argument("--interval", type=float, help="seconds between two lookups")
    parser.add_argument("--pause", type=float, default=5.0, help="seconds between two visits")
    arguments = parser.parse_args()
    if arguments.password_file is None:
        parser.error("the password: give --password-file, or set DATABASE_PASSWORD_FILE")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        password = Path(arguments.password_file).read_text(encoding="utf-8").rstrip("\n")
        account = Account(arguments.user, password, arguments.schema)
        asyncio.run(main(arguments, account))
    except (peerdisco.DiscoveryError, OSError) as error:
        sys.exit(f"app: {error}")

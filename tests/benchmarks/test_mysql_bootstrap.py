"""MariaDB: how long it takes from nothing to a replicating database, and back to one after a loss.

The same servers are taken through the same by hand beside it, with statements that somebody wrote
who knew that all is well: that much of the time is MariaDB's own.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pytest_benchmark.fixture import BenchmarkFixture

from tests.mysql.database import Database, Image, Member
from tests.mysql.pods import Bridge, network
from tests.mysql.waiting import until

from .conftest import figures

ROUNDS = 5
PRIMARY = "mysql-0.mysql.default.svc.cluster.local"
ACCOUNT = "CREATE USER 'copier'@'%' IDENTIFIED BY 'by hand'"
GRANT = "GRANT REPLICATION SLAVE ON *.* TO 'copier'@'%'"
FOLLOW = (
    f"CHANGE MASTER TO MASTER_HOST='{PRIMARY}', MASTER_USER='copier', MASTER_PASSWORD='by hand', "
    "MASTER_CONNECT_RETRY=1, MASTER_USE_GTID=slave_pos"
)


@contextmanager
def fresh(servers: Image) -> Iterator[Database]:
    """Three pods with volumes as the database's image leaves them, and nothing that runs."""
    with network(Bridge) as where:
        db = Database(where, servers, quick=False)
        for member in db.members:
            member.server.prepare()
        try:
            yield db
        finally:
            db.close()


def read_everywhere(db: Database) -> None:
    """Write a row on the primary, and wait until it is read on each replica."""
    db.create_shop()
    db.primary.server.sql("INSERT INTO shop.orders VALUES (1)")
    db.wait_equal()


def by_sidecars(servers: Image) -> tuple[float, float]:
    """Seconds until all servers greet, and until a row is read on all."""
    with fresh(servers) as db:
        start = time.perf_counter()
        db.start()
        for member in db.members:
            member.server.wait_ready()
        greeted = time.perf_counter()
        db.wait()
        read_everywhere(db)
        return greeted - start, time.perf_counter() - start


def by_hand(servers: Image) -> tuple[float, float]:
    """The same without sidecars."""
    with fresh(servers) as db:
        start = time.perf_counter()
        for member in db.members:
            member.server.start(wait=False)
        for member in db.members:
            member.server.wait_ready()
        greeted = time.perf_counter()
        db.primary.server.sql("SET SESSION sql_log_bin=0", ACCOUNT, GRANT)
        db.primary.server.sql("SET GLOBAL read_only=OFF")
        for replica in db.replicas:
            replica.server.sql(FOLLOW, "START REPLICA")
        read_everywhere(db)
        return greeted - start, time.perf_counter() - start


def test_from_nothing(benchmark: BenchmarkFixture, servers: Image) -> None:
    sidecars: list[tuple[float, float]] = []
    hand: list[tuple[float, float]] = []

    def side_by_side() -> None:
        sidecars.append(by_sidecars(servers))
        hand.append(by_hand(servers))

    benchmark.pedantic(side_by_side, rounds=ROUNDS)
    all_greet, all_read = (statistics.median(column) for column in zip(*sidecars, strict=True))
    _, own = (statistics.median(column) for column in zip(*hand, strict=True))
    figures(
        benchmark,
        f"from nothing to three replicating servers, median of {ROUNDS}",
        {
            "by sidecars, until a row is read on all": f"{all_read:.2f} s",
            "of that until all servers greet": f"{all_greet:.2f} s",
            "by hand, which is MariaDB's own time": f"{own:.2f} s",
            "sidecars to hand": f"{all_read / own:.2f}",
        },
    )


def test_the_primary_vanishes(benchmark: BenchmarkFixture, servers: Image) -> None:
    """From when DNS shows its new address until replicas read from it, attended and left alone."""
    attended_after: list[float] = []
    open_after: list[float] = []
    alone_after: dict[str, float] = {}

    def lose() -> None:
        with fresh(servers) as db:
            primary, attended, configured, alone = db.primary, db[1], db[2], db.add(3)
            db.members.append(alone)
            # As a server is that nobody configured: it waits for a minute.
            alone.server.config += "slave_net_timeout = 60\n"
            db.start()
            db.wait()
            left_alone = {
                "one with the printed configuration alone": configured,
                "one with the server's defaults": alone,
            }
            for member in left_alone.values():
                member.sidecar.stop()
            alone.server.sql(
                "STOP REPLICA", "CHANGE MASTER TO MASTER_HEARTBEAT_PERIOD=30", "START REPLICA"
            )
            until(lambda: alone.server.replicates)
            for _ in range(ROUNDS):
                primary.vanish()
                primary.arrive(publish=False)
                primary.start()
                primary.server.wait_ready()
                primary.sidecar.wait_for("waiting", "fenced")
                db.network.dns.publish(primary.name, primary.pod.address)
                shown = time.perf_counter()
                until(reads_from(primary, attended))
                attended_after.append(time.perf_counter() - shown)
                until(lambda: not primary.server.variable("read_only"))
                open_after.append(time.perf_counter() - shown)
                for what, member in left_alone.items():
                    if what not in alone_after:
                        until(reads_from(primary, member), timeout=120)
                        alone_after[what] = time.perf_counter() - shown

    benchmark.pedantic(lose, rounds=1)
    figures(
        benchmark,
        "the primary vanished, and DNS shows its new address",
        {
            f"a replica with a sidecar reads, median of {ROUNDS}": _seconds(attended_after),
            "the primary's sidecar lets it take writes": _seconds(open_after),
            **{what: f"{seconds:.2f} s" for what, seconds in alone_after.items()},
        },
    )


def _seconds(measured: list[float]) -> str:
    return f"{statistics.median(measured):.2f} s, at most {max(measured):.2f} s"


def reads_from(primary: Member, replica: Member) -> Callable[[], bool]:
    """Whether the primary sends its log to the replica."""
    query = (
        "SELECT COUNT(*) FROM information_schema.PROCESSLIST "
        f"WHERE COMMAND = 'Binlog Dump' AND HOST LIKE '{replica.pod.address}:%'"
    )
    return lambda: bool(primary.server.value(query))

"""Volumes from older snapshots, reset logs and lost volumes: nobody follows another history.

Each test asserts the rows on every server, and does what the messages advise.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from .conftest import only
from .database import Database, Member
from .volumes import restore, save
from .waiting import until
from .writer import Writer

pytestmark = pytest.mark.timeout(180)  # MySQL takes seconds to start

SETTLED = 7.0
"""Seconds after which an open primary has asked its peers, and a replica its primary, twice."""


def copy_to_replicas(db: Database) -> None:
    """Give each replica a copy of the primary's volume."""
    stop(*db.members)
    saved = save(db.primary, "copy")
    for replica in db.replicas:
        restore(replica, saved)
    start(*db.members)
    db.wait()


@pytest.fixture
def running(every_db: Database) -> Database:
    every_db.start()
    every_db.wait()
    every_db.create_shop()
    return every_db


def write(member: Member, numbers: Iterable[int]) -> None:
    """Rows in transactions of their own."""
    member.server.sql(*(f"INSERT INTO shop.orders VALUES ({number})" for number in numbers))


def stop(*members: Member) -> None:
    for member in members:
        member.stop()


def start(*members: Member) -> None:
    for member in members:
        member.start()


def snapshot_of_primary(db: Database) -> Path:
    stop(db.primary)
    saved = save(db.primary, "snapshot")
    start(db.primary)
    db.wait()
    return saved


def closed(member: Member) -> bool:
    return bool(member.server.variable("read_only"))


OLD, NEW, OTHER = range(1, 101), range(101, 301), range(1001, 1401)


@pytest.fixture
def rewound(running: Database) -> Database:
    """A primary that was opened with an older volume before a replica answered, and wrote on."""
    write(running.primary, OLD)
    saved = snapshot_of_primary(running)
    write(running.primary, NEW)
    running.wait_equal()
    stop(*running.members)
    restore(running.primary, saved)
    start(running.primary)
    running.primary.sidecar.wait_for("primary")
    write(running.primary, OTHER)
    return running


def assert_apart(db: Database) -> None:
    """Each volume still has the rows that only it has, and nobody is used."""
    for replica in db.replicas:
        until(lambda replica=replica: not replica.server.replicates, what="it has stopped")
        assert db.rows(replica) == [*OLD, *NEW]
        assert replica.sidecar.ready()[0] == 503
    until(lambda: closed(db.primary), what="the primary is closed")
    assert db.rows(db.primary) == [*OLD, *OTHER]


def test_ordinal_0_is_opened_with_an_older_volume(rewound: Database) -> None:
    """It has written more than its replicas had: their positions look like a part of its own."""
    start(*rewound.replicas)
    for replica in rewound.replicas:
        why = replica.sidecar.wait_for("refused")
        assert "keep this volume" in why
        assert "older" in why
        assert "empty" not in why
    why = rewound.primary.sidecar.wait_for("refused")
    assert "keep the volume of mysql-1" in why
    assert_apart(rewound)
    # The refusal is in the data: it survives the restart of everything.
    stop(*rewound.members)
    start(*rewound.members)
    for member in rewound.members:
        member.server.wait_ready()
        member.sidecar.wait_for("refused")
    assert_apart(rewound)
    # As they advise: both volumes are kept, and what only one has is brought together by hand.
    stop(*rewound.members)
    kept = save(rewound.primary, "kept")
    restore(rewound.primary, save(rewound[1], "newer"))
    start(*rewound.members)
    rewound.wait()
    assert rewound.wait_equal() == [*OLD, *NEW]
    assert kept.is_dir()
    write(rewound.primary, OTHER)
    assert rewound.wait_equal() == [*OLD, *NEW, *OTHER]


def test_ordinal_0_comes_back_with_an_older_volume_while_replicas_answer(
    running: Database,
) -> None:
    write(running.primary, OLD)
    saved = snapshot_of_primary(running)
    write(running.primary, NEW)
    running.wait_equal()
    stop(running.primary)
    restore(running.primary, saved)
    start(running.primary)
    why = running.primary.sidecar.wait_for("refused")
    assert "this pod's data are older" in why
    best = "mysql-1" if "a copy of mysql-1's data" in why else "mysql-2"
    assert f"a copy of {best}'s data" in why
    for replica in running.replicas:
        assert "keep this volume" in replica.sidecar.wait_for("refused")
        assert running.rows(replica) == [*OLD, *NEW]
    # As it says: a copy of that pod's data. The other replica runs on, with the error that the
    # older volume could not send what it needs.
    source = running.members[int(best[-1])]
    stop(running.primary, source)
    restore(running.primary, save(source, "copy"))
    start(running.primary, source)
    running.wait()
    assert running.wait_equal() == [*OLD, *NEW]


def reset_log(member: Member, first: int, rows: Iterable[int]) -> None:
    """Reset the log, let it begin with a higher number, and write more than there was before."""
    member.server.sql(
        f"{member.server.reset} TO {first}",
        *(f"INSERT INTO shop.orders VALUES ({n})" for n in rows),
    )


def says(member: Member, text: str) -> bool:
    return text in str(member.sidecar.ready()[1]["reason"])


def epochs(member: Member) -> int:
    return int(member.server.value("SELECT COUNT(*) FROM peerdisco.epochs"))


def test_the_log_of_the_primary_is_reset_and_outruns_the_old_one(running: Database) -> None:
    """The replicas would follow again, with the rows missing that were written after the reset.

    Neither positions nor the numbers of the logs show it, and no sidecar of the primary sees it.
    """
    write(running.primary, range(1, 109))
    running.wait_equal()
    primary = running.primary
    until(lambda: primary.server.sql("SELECT * FROM peerdisco.log_mark"), what="it is marked")
    for member in running.members:
        member.sidecar.stop()
    for replica in running.replicas:
        replica.server.sql("STOP REPLICA")
    reset_log(primary, 100, range(200, 700))
    rows = [*range(1, 109), *range(200, 700)]
    for replica in running.replicas:
        replica.sidecar.start()
        why = replica.sidecar.wait_for("refused")
        assert "RESET MASTER" in why
        assert "wait until the primary's sidecar reports that" in why
        assert "volume" not in why.partition("wait until")[0]
        assert not replica.server.replicates
    primary.sidecar.start()
    until(
        lambda: says(primary, "its binary log was reset"),
        what=lambda: f"the reset is noticed: {primary.sidecar.said}",
    )
    # Its status page says it before the line that it writes has been read.
    primary.sidecar.wait_for("primary")
    for replica in running.replicas:
        until(
            lambda replica=replica: says(replica, "log of the primary was reset before"),
            what=lambda replica=replica: f"it is recorded: {replica.sidecar.said}",
        )
        assert running.rows(replica) == [*range(1, 109)]
    # A second time, with a sidecar that polls once a second.
    until(
        lambda: primary.server.sql(
            "SELECT e.id FROM peerdisco.epochs e JOIN peerdisco.log_mark m ON m.epoch = e.id "
            "WHERE e.log_reset = 1"
        ),
        what="it is marked again",
    )
    before = epochs(primary)
    reset_log(primary, 200, range(700, 1400))
    rows += range(700, 1400)
    until(lambda: epochs(primary) > before, what=lambda: f"it is noticed {primary.sidecar.said}")
    assert running.rows(primary) == rows
    # As it says: an empty volume. The log does not reach back to the beginning.
    replica = running[1]
    replica.kill()
    replica.server.wipe()
    replica.start()
    assert "copy" in replica.sidecar.wait_for("refused")
    assert replica.server.schemas() == set()
    # And a copy.
    copy_to_replicas(running)
    write(primary, [2000])
    assert running.wait_equal() == [*rows, 2000]


def test_the_number_of_pods_is_wrong_and_the_only_known_volume_is_lost(
    running: Database,
) -> None:
    write(running.primary, OLD)
    running.wait_equal()
    stop(running.primary)
    for replica in running.replicas:
        running.network.dns.publish(replica.name)
    running.primary.server.wipe()
    running.primary.sidecar.environment["PEERDISCO_MYSQL_REPLICAS"] = "1"
    start(running.primary)
    running.primary.sidecar.wait_for("primary")
    running.create_shop()
    for replica in running.replicas:
        running.network.dns.publish(replica.name, replica.pod.address)
    why = running.primary.sidecar.wait_for("refused")
    assert "mysql-1 holds data of the cluster" in why
    assert closed(running.primary)
    assert running.primary.sidecar.ready()[0] == 503
    for replica in running.replicas:
        assert running.rows(replica) == [*OLD]


def test_what_a_replica_logged_itself_does_not_make_it_the_newer_copy(running: Database) -> None:
    write(running.primary, range(1, 31))
    running.wait_equal()
    running[1].server.sql("FLUSH TABLES")
    stop(*running.replicas)
    restore(running[2], save(running[1], "copy"))
    write(running.primary, range(31, 331))
    start(*running.replicas)
    running[2].server.wait_ready()
    stop(running.primary)
    start(running.primary)
    running.wait()
    assert running.wait_equal() == [*range(1, 331)]


@pytest.mark.long
def test_a_copy_of_a_replica_on_which_a_client_wrote_does_not_close_the_primary(
    running: Database,
) -> None:
    """Both replicas have what the primary does not have, and the primary has the newer rows."""
    primary, written, copied = running.members
    write(primary, range(1, 31))
    running.wait_equal()
    written.sidecar.stop()
    written.locally("INSERT INTO shop.orders VALUES (1000)")
    stop(copied)
    written.server.stop()
    restore(copied, save(written, "copy"))
    write(primary, range(31, 331))
    start(written, copied)
    for replica in running.replicas:
        replica.server.wait_ready()
        why = replica.sidecar.wait_for("refused")
        assert "a client wrote here" in why
    stop(primary)
    start(primary)
    primary.sidecar.wait_for("primary")
    assert not closed(primary)
    assert running.rows(primary) == [*range(1, 331)]
    for replica in running.replicas:
        assert {*range(1, 31), 1000} <= {*running.rows(replica)} <= {*range(1, 331), 1000}
        assert replica.sidecar.ready()[0] == 503
    # As it says: the rows are brought to the primary, and the replicas get a copy.
    write(primary, [1000])
    copy_to_replicas(running)
    write(primary, [1001])
    assert running.wait_equal() == [*range(1, 331), 1000, 1001]


# An upgrade.


@pytest.mark.parametrize(
    "order",
    [
        pytest.param(order, marks=() if order == (2, 1, 0) else pytest.mark.long)
        for order in ((2, 1, 0), (0, 1, 2), (1, 0, 2))
    ],
    ids=str,
)
def test_a_cluster_of_an_earlier_version_gets_a_history(
    running: Database, order: tuple[int, ...]
) -> None:
    """Without the tables, and with accounts that may not renew the heartbeat, in any order."""
    write(running.primary, [1])
    running.wait_equal()
    for member in running.members:
        member.sidecar.stop()
    running.primary.server.sql("DROP TABLE peerdisco.epochs", "DROP TABLE peerdisco.heartbeat")
    hosts = ("localhost", "127.0.0.1", "::1")
    revoked = [f"REVOKE UPDATE ON peerdisco.* FROM 'peerdisco'@'{host}'" for host in hosts]
    write(running.primary, [2])
    running.wait_equal()
    for member in running.members:
        member.locally("SET SESSION sql_log_bin = 0", *revoked)
    for ordinal in order:
        running[ordinal].sidecar.start()
        running[ordinal].sidecar.wait_for("primary", "replica", "waiting", "connecting")
    running.wait()
    write(running.primary, [3])
    assert running.wait_equal() == [1, 2, 3]
    (problem,) = until(lambda: running.primary.sidecar.ready()[1]["problems"], what="it is said")
    assert problem["code"] == "heartbeat"
    assert "UPDATE command denied" in problem["detail"]
    stop(running.primary)
    start(running.primary)
    running.wait()
    write(running.primary, [4])
    assert running.wait_equal() == [1, 2, 3, 4]
    epochs = running.primary.server.sql("SELECT number FROM peerdisco.epochs ORDER BY number")
    assert [row["number"] for row in epochs] == [1, 2]
    for replica in running.replicas:
        until(lambda replica=replica: replica.sidecar.ready()[0] == 200, what="it is ready")


# What is repaired without an operator.


def test_administrative_statements_on_a_replica_are_dropped(running: Database) -> None:
    """MariaDB would stop with error 1950 at the next transaction of the primary."""
    replica = running[1]
    with Writer(running.primary.server) as writer:
        writer.wait()
        replica.locally("FLUSH TABLES", "ANALYZE TABLE shop.orders", "FLUSH PRIVILEGES")
        writer.wait(200)
    assert {*writer.acknowledged} <= {*running.wait_equal()}
    until(lambda: replica.sidecar.ready()[0] == 200, what=lambda: str(replica.sidecar.said))
    assert not [said for state, said in replica.sidecar.states if state == "refused"]
    # What changes data is not.
    replica.locally("CREATE SCHEMA stray")
    assert "no primary wrote" in replica.sidecar.wait_for("refused")
    assert "stray" in replica.server.schemas()


@only("mariadb", "other-mariadb", fixture="every_image")
def test_a_replica_that_was_killed_during_ddl_continues(running: Database) -> None:
    """MariaDB logs the statement, and counts it as applied in a transaction of its own.

    MySQL's DDL and its position are one transaction.
    """
    replica = running[1]
    write(running.primary, [1])
    running.wait_equal()
    before = str(replica.server.variable("gtid_slave_pos"))
    running.primary.sidecar.stop()  # no heartbeat in between
    running.primary.server.sql("CREATE TABLE shop.more (n INT PRIMARY KEY)")
    running.wait_equal()
    until(lambda: replica.server.variable("gtid_slave_pos") != before, what="it is applied")
    last = str(replica.server.variable("gtid_slave_pos"))
    server, _, number = last.rpartition("-")
    replica.sidecar.stop()
    replica.server.sql("STOP REPLICA", f"SET GLOBAL gtid_slave_pos = '{server}-{int(number) - 1}'")
    replica.server.kill()
    replica.server.start()
    replica.sidecar.start()
    replica.sidecar.wait_for("replica")
    write(running.primary, [2])
    running.primary.server.sql("INSERT INTO shop.more VALUES (1)")
    assert running.wait_equal() == [1, 2]
    until(lambda: replica.server.sql("SELECT n FROM shop.more"), what="it has the row")

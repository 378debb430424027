"""What a replica has received and not applied, when its primary comes back with other data.

With semi-synchronous replication that is what clients got an acknowledgement for. Each test asserts
the rows on every server.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .database import Database, Member
from .test_durability import SEMI_SYNC, Insert
from .test_histories import NEW, OLD, closed, snapshot_of_primary, start, stop, write
from .volumes import restore, save
from .waiting import until

pytestmark = pytest.mark.timeout(240)

LOCK = "LOCK TABLES shop.orders READ, peerdisco.heartbeat READ, peerdisco.epochs READ"
APPLIED, OTHER = range(301, 331), range(1001, 1011)


def thread(member: Member, what: str) -> str:
    """Whether the receiver (IO) or the applier (SQL) of a replica runs, as the server says it."""
    status = member.server.replica_status()
    return str(status.get(f"Slave_{what}_Running", status.get(f"Replica_{what}_Running")))


def received(member: Member) -> str:
    status = member.server.replica_status()
    return str(status.get("Gtid_IO_Pos", status.get("Retrieved_Gtid_Set")))


def log_end(member: Member) -> str:
    mysql = member.server.flavour == "mysql"
    return str(member.server.variable("gtid_executed" if mysql else "gtid_binlog_pos"))


@pytest.fixture
def db(make_every: Callable[..., Database]) -> Database:
    return make_every(setup=SEMI_SYNC).open_shop(*OLD)


def test_an_older_primary_stays_closed_for_what_a_replica_has_received(db: Database) -> None:
    """Only one replica has what was acknowledged, in its relay log."""
    primary, replica, other = db.members
    stop(primary, other)
    saved = save(primary, "snapshot")
    with replica.server.holding(LOCK):
        start(primary)
        primary.sidecar.wait_for("primary")
        write(primary, NEW)
        primary.kill()
        restore(primary, saved)
        start(primary, other)
        why = primary.sidecar.wait_for("refused")
        assert "mysql-1 has received, and not applied, " in why
        assert "keep the volume of mysql-1" in why
        assert closed(primary)
        why = replica.sidecar.wait_for("refused")
        assert "this pod has received, and not applied, " in why
        assert "keep this volume" in why
        until(lambda: thread(replica, "IO") == "No", what="it receives nothing more")
        assert thread(replica, "SQL") == "Yes"
        assert db.rows(replica) == [*OLD]
    until(lambda: db.rows(replica) == [*OLD, *NEW], what="it has applied what it had received")
    until(lambda: thread(replica, "SQL") == "No", what="there is nothing to apply")
    assert db.rows(primary) == db.rows(other) == [*OLD]
    # As it says: a copy of that pod's data.
    stop(primary, replica)
    restore(primary, save(replica, "newer"))
    start(primary, replica)
    db.wait()
    write(primary, OTHER)
    assert db.wait_equal() == [*OLD, *NEW, *OTHER]


def rewound_behind_its_back(db: Database, rows: range) -> tuple[Member, Member, Member]:
    """A primary that was opened with an older volume while no replica could be asked, and wrote.

    One replica has applied more than that volume holds, and received still more.
    """
    primary, replica, other = db.members
    until(lambda: received(replica) == log_end(primary), what="it has received all")
    replica.pod.cut()
    primary.kill()
    restore(primary, primary.server.volume.with_name(f"{primary.name}-snapshot"))
    start(primary)
    primary.sidecar.wait_for("primary")
    write(primary, rows)
    replica.pod.restore()
    return primary, replica, other


@pytest.fixture
def lagging(every_db: Database) -> Database:
    db = every_db
    db.start()
    db.wait()
    db.create_shop()
    write(db.primary, OLD)
    db.wait_equal()
    snapshot_of_primary(db)
    write(db.primary, APPLIED)
    db.wait_equal()
    return db


@pytest.mark.long
def test_a_replica_that_is_refused_applies_what_came_from_the_primary_of_before(
    lagging: Database,
) -> None:
    stop(lagging[2])
    with lagging[1].server.holding(LOCK):
        write(lagging.primary, NEW)
        primary, replica, other = rewound_behind_its_back(lagging, OTHER)
        why = replica.sidecar.wait_for("refused")
        assert "keep this volume" in why
        assert "it has received, and not applied, " in why
        until(lambda: thread(replica, "IO") == "No", what="it receives nothing more")
        assert thread(replica, "SQL") == "Yes"
    rows = [*OLD, *NEW, *APPLIED]
    until(lambda: lagging.rows(replica) == rows, what="it has applied what it had received")
    until(lambda: thread(replica, "SQL") == "No", what="there is nothing to apply")
    replica.server.restart()
    assert lagging.rows(replica) == rows
    other.server.start()
    assert lagging.rows(other) == [*OLD, *APPLIED]
    assert lagging.rows(primary) == [*OLD, *OTHER]


@pytest.mark.long
def test_a_replica_that_may_have_received_another_history_applies_none_of_it(
    lagging: Database,
) -> None:
    more = range(1001, 1401)
    stop(lagging[2])
    with lagging[1].server.holding(LOCK):
        write(lagging.primary, NEW)
        primary, replica, other = rewound_behind_its_back(lagging, more)
        # The statement that stops the applier waits for the lock.
        until(lambda: thread(replica, "IO") == "No", what="it receives nothing more")
        assert lagging.rows(replica) == [*OLD, *APPLIED]
    until(lambda: thread(replica, "SQL") == "No", what="it applies nothing more")
    why = replica.sidecar.wait_for("refused")
    assert "keep this volume" in why
    assert "before its relay logs are saved" in why
    rows = set(lagging.rows(replica))
    assert {*OLD, *APPLIED} <= rows <= {*OLD, *APPLIED, *NEW}
    other.server.start()
    assert lagging.rows(other) == [*OLD, *APPLIED]
    assert lagging.rows(primary) == [*OLD, *more]


@pytest.mark.parametrize("every_image", ["mysql"], indirect=True)
@pytest.mark.long
def test_a_primary_stays_open_while_a_commit_waits_that_one_replica_has(
    make_every: Callable[..., Database],
) -> None:
    """MySQL counts a transaction as executed when enough replicas have acknowledged it."""
    db = make_every(setup=(*SEMI_SYNC, "--acknowledgements", "2"))
    db.start()
    db.wait()
    db.create_shop()
    db.wait_equal()
    primary, replica, other = db.members
    other.kill()
    waits = Insert(primary, 1)
    until(lambda: db.rows(replica) == [1], what="one replica has it")
    primary.sidecar.stop()
    primary.sidecar.start()
    for n in range(3):  # each change of the list begins a comparison
        db.network.dns.publish(other.name, f"198.18.0.{240 + n}")
        assert not waits.acknowledged.wait(1)
        assert not closed(primary), primary.sidecar.said
    assert replica.server.replicates, replica.sidecar.said
    assert replica.sidecar.ready()[0] == 200, replica.sidecar.said
    db.network.dns.publish(other.name, other.pod.address)
    other.start()
    assert waits.acknowledged.wait(30)
    db.wait()
    assert db.wait_equal() == [1]

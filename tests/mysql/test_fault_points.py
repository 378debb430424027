"""kill -9 of a sidecar and of its server after every statement of the bootstrap.

The statements are listed, and a run without a fault shows that the list is whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from .conftest import SERVERS, chosen
from .database import Database, Member
from .test_durability import SEMI_SYNC, Insert
from .volumes import restore, save
from .waiting import until
from .writer import Writer

pytestmark = pytest.mark.timeout(300)  # MySQL takes seconds to start

TABLES = (
    "CREATE DATABASE IF NOT EXISTS peerdisco",
    "CREATE TABLE IF NOT EXISTS peerdisco.cluster",
    "INSERT INTO peerdisco.cluster",
    "CREATE TABLE IF NOT EXISTS peerdisco.epochs",
    "CREATE TABLE IF NOT EXISTS peerdisco.heartbeat",
    *["FLUSH BINARY LOGS"] * 3,
    "START TRANSACTION",
    "INSERT INTO peerdisco.heartbeat",
    "INSERT INTO peerdisco.epochs",
    "COMMIT",
)
PRIMARY = {
    "mariadb": (
        *("nothing", "RESET MASTER", "SET GLOBAL gtid_slave_pos ="),
        *TABLES,
        "SET GLOBAL read_only = OFF",
    ),
    "mysql": (
        *("nothing", "RESET BINARY LOGS AND GTIDS"),
        *TABLES,
        "SET GLOBAL read_only = OFF",
    ),
}
REPLICA = {
    "mariadb": (
        *("nothing", "RESET MASTER", "SET GLOBAL gtid_slave_pos ="),
        "SET GLOBAL read_only = ON",
        "CHANGE MASTER TO MASTER_HOST =",
        "START REPLICA",
    ),
    "mysql": (
        *("nothing", "RESET BINARY LOGS AND GTIDS"),
        "SET GLOBAL super_read_only = ON",
        "CHANGE REPLICATION SOURCE TO SOURCE_HOST =",
        "START REPLICA",
    ),
}
"""What changes something on the server, in order; before that, nothing has been."""

LIKE_THE_ONE_BEFORE = ("FLUSH BINARY LOGS", "START TRANSACTION", "INSERT INTO peerdisco.heartbeat")
"""What leaves the data as they were."""

IN_THE_ORDINARY_RUN = (
    *("RESET MASTER", "INSERT INTO peerdisco.epochs", "COMMIT"),
    *("SET GLOBAL gtid_slave_pos =", "CHANGE MASTER TO MASTER_HOST ="),
)


def faults(statements: Mapping[str, Sequence[str]]) -> list[Any]:
    """Where a fault happens: a server, and the index of each statement that changes its data."""
    return [
        pytest.param(
            server,
            at,
            marks=() if sql in IN_THE_ORDINARY_RUN else pytest.mark.long,
            id=f"{server}-{sql}",
        )
        for server in chosen(["mariadb"])
        for at, sql in enumerate(statements[SERVERS[server].flavour])
        if sql not in LIKE_THE_ONE_BEFORE
    ]


PLAIN = ("-m", "peerdisco", "mysql-sidecar")
VICTIMS = ("sidecar", "server")


class Stage:
    """Two pods, of which the subject, or both, start again for each fault."""

    def __init__(self, db: Database, subject: Member, *anew: Member) -> None:
        self.db = db
        self.subject = subject
        self._anew = anew
        self._record = db.network.directory / "record"
        self.flavour = db.image.server.flavour

    def start(self, *fault: str) -> None:
        """Start with volumes as the image of a database leaves them: its own log is not empty."""
        if self.subject.sidecar.alive:
            self.subject.sidecar.kill()
        for member in self._anew:
            if member.server.alive:
                member.server.kill()
                member.server.wipe()
            member.server.start()
        self.subject.locally("CREATE USER 'image'@'localhost'")
        self._record.write_text("")
        self.db.network.own(self._record)
        self.subject.sidecar.command = ("-m", "tests.mysql.faulty", str(self._record), *fault)
        self.subject.sidecar.start()

    def statements(self) -> list[str]:
        """What a run without a fault executes."""
        self.start()
        self.db.wait()
        return self._record.read_text().splitlines()

    def strike(self, victim: str, at: int) -> None:
        """Start, have the fault happen, and start again what it killed."""
        server, sidecar = self.subject.server, self.subject.sidecar
        self.start(victim, str(at), str(server.volume / "mysqld.pid"))
        if victim == "sidecar":
            assert sidecar.ended() == -9
        else:
            assert server.process is not None
            assert server.process.wait() == -9
            server.start()
        if not server.variable("read_only"):
            assert server.sql("SELECT id FROM peerdisco.cluster")
        if victim == "sidecar":
            sidecar.command = PLAIN
            sidecar.start()


@pytest.fixture
def first(make: Callable[..., Database]) -> Stage:
    """Both start again; the sidecar of the replica goes on all the time."""
    db = make(2)
    db[1].sidecar.start()
    return Stage(db, db.primary, *db.members)


@pytest.fixture
def second(make: Callable[..., Database]) -> Stage:
    """The replica starts again, beside a primary that has begun when both were empty."""
    db = make(2)
    # MySQL lets the primary log in at the replica when the sidecar there has done so.
    db.start()
    db.primary.server.wait_ready()
    until(lambda: not db.primary.server.variable("read_only"), what="the primary takes writes")
    return Stage(db, db[1], db[1])


def test_the_statements_of_the_primary(first: Stage) -> None:
    assert first.statements() == [*PRIMARY[first.flavour][1:]]


def test_the_statements_of_a_replica(second: Stage) -> None:
    assert second.statements() == [*REPLICA[second.flavour][1:]]


@pytest.mark.parametrize(("image", "at"), faults(PRIMARY), indirect=["image"])
def test_of_the_primary_after(first: Stage, at: int) -> None:
    db = first.db
    for victim in VICTIMS:
        first.strike(victim, at)
        db.wait()
        db.create_shop()
        db.primary.server.sql("INSERT INTO shop.orders VALUES (1), (2)")
        assert db.wait_equal() == [1, 2]
        identity = "SELECT id FROM peerdisco.cluster"
        assert db.primary.server.value(identity) == db[1].server.value(identity)


@pytest.mark.parametrize(("image", "at"), faults(REPLICA), indirect=["image"])
def test_of_a_replica_after(second: Stage, at: int) -> None:
    db = second.db
    db.create_shop()
    with Writer(db.primary.server) as writer:
        for victim in VICTIMS:
            second.strike(victim, at)
            writer.wait()
            db.wait()
    assert set(writer.acknowledged) <= set(db.wait_equal())


RESET = (
    "nothing",
    "START TRANSACTION",
    "UPDATE peerdisco.heartbeat",
    "INSERT INTO peerdisco.epochs",
    "COMMIT",
)
"""What reports that the log was reset."""


@pytest.mark.long
@pytest.mark.timeout(240)
def test_no_epoch_waits_for_a_replica_after_a_reset(make_every: Callable[..., Database]) -> None:
    """No replica of before can acknowledge it, and none gets a copy before the primary is open."""
    db = make_every(2, setup=SEMI_SYNC)
    db.start()
    db.wait()
    db.create_shop()
    db.primary.server.sql("INSERT INTO shop.orders VALUES (1)")
    assert db.wait_equal() == [1]
    server, sidecar = db.primary.server, db.primary.sidecar
    mysql = server.flavour == "mysql"
    sidecar.stop()
    db[1].stop()
    if mysql:
        server.sql("RESET BINARY LOGS AND GTIDS", "SET GLOBAL super_read_only = ON")
    else:
        server.sql("RESET MASTER", "SET GLOBAL read_only = ON")
    record = db.network.directory / "record"
    record.write_text("")
    db.network.own(record)
    # MySQL allows the sidecar's own writes first.
    after = str(RESET.index("COMMIT") + mysql)
    sidecar.command = ("-m", "tests.mysql.faulty", str(record), "sidecar", after, "-")
    sidecar.start()
    assert sidecar.ended() == -9
    assert record.read_text().splitlines()[-1] == "COMMIT"
    assert server.variable("read_only")
    sidecar.command = PLAIN
    sidecar.start()
    assert "its binary log" not in sidecar.wait_for("primary")
    # The same if the server was open in between.
    db.network.dns.publish(db.primary.name, "198.18.0.250")
    until(lambda: server.variable("read_only"), what=lambda: str(sidecar.said))
    db.network.dns.publish(db.primary.name, db.primary.pod.address)
    until(lambda: not server.variable("read_only"), what=lambda: str(sidecar.said))
    assert server.variable(f"rpl_semi_sync_{'source' if mysql else 'master'}_enabled")
    # Writes wait until the replica has a copy. Before that, its volume is not the primary's.
    waits = Insert(db.primary, 2, "shop")
    assert not waits.acknowledged.wait(2)
    assert db.rows(db.primary) == [1]
    db[1].start()
    assert "binary log of the primary was reset" in db[1].sidecar.wait_for("refused")
    assert db.rows(db[1]) == [1]
    db.primary.sidecar.stop()
    db[1].stop()
    server.kill()
    restore(db[1], save(db.primary, "copy"))
    db.start()
    db.wait()
    waits.join()
    server.sql("INSERT INTO shop.orders VALUES (3)")
    assert db.wait_equal() == [1, 2, 3]


def test_a_reset_of_the_log_is_reported_once(make: Callable[..., Database]) -> None:
    db = make(1)
    stage, server, sidecar = Stage(db, db.primary), db.primary.server, db.primary.sidecar
    db.start()
    db.wait()
    strikes = [
        ("sidecar", "COMMIT", True),
        ("server", "INSERT INTO peerdisco.epochs", False),
        ("sidecar", "COMMIT", False),
    ]
    for number, (victim, after, is_open) in enumerate(strikes, 1):
        sidecar.stop()
        server.sql("DROP USER IF EXISTS 'image'@'localhost'", server.reset)
        if not is_open:
            server.kill()
            server.start()
        stage.strike(victim, RESET.index(after))
        sidecar.command = PLAIN
        db.wait()
        db.primary.kill()
        db.primary.start()
        db.wait()
        assert server.value("SELECT SUM(log_reset) FROM peerdisco.epochs") == number

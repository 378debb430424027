"""Where starting would lose data, or cannot work: what the sidecar says, and what it leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .database import Database, Member
from .waiting import until


@pytest.fixture
def running(running: Database) -> Database:
    running.primary.server.sql("INSERT INTO shop.orders VALUES (2)")
    running.wait_equal()
    return running


def problems(member: Member) -> dict[str, str]:
    return {one["code"]: one["detail"] for one in member.sidecar.ready()[1]["problems"]}


def wipe(member: Member) -> None:
    """Give the pod an empty volume, as the database's image fills it, and start it again."""
    member.kill()
    member.server.wipe()
    member.start()
    member.server.wait_ready()


def positions(db: Database) -> list[str]:
    return [str(replica.server.variable(replica.server.position)) for replica in db.replicas]


def test_ordinal_0_returns_with_an_empty_volume(running: Database) -> None:
    running.primary.kill()  # it beats no more
    before = positions(running)
    running.primary.server.wipe()
    running.primary.start()
    running.primary.server.wait_ready()
    why = running.primary.sidecar.wait_for("refused")
    assert "mysql-1 holds data" in why
    assert "volume" in why
    assert running.primary.server.variable("read_only")
    assert running.primary.server.schemas() == set()
    status, told = running.primary.sidecar.ready()
    assert (status, told["role"], told["state"]) == (503, "primary", "refused")
    assert told["verdict"]["decision"] == "refused"
    assert {"peer-holds-data"} == {reason["code"] for reason in told["verdict"]["reasons"]}
    assert {"mysql-1", "mysql-2"} == {reason["peer"] for reason in told["verdict"]["reasons"]}
    for replica in running.replicas:
        assert replica.server.variable("read_only")
        assert running.rows(replica) == [1, 2]
    assert positions(running) == before


def test_ordinal_0_is_empty_and_its_first_start_is_announced(running: Database) -> None:
    """The user is wrong: peers that answer hold data."""
    wipe(running.primary)
    running.primary.sidecar.wait_for("refused")
    running.primary.sidecar.stop()
    running.primary.sidecar.start("--first-start")
    running.primary.sidecar.wait_for("refused")
    assert running.primary.server.variable("read_only")
    for replica in running.replicas:
        assert running.rows(replica) == [1, 2]


def test_ordinal_0_is_empty_and_reaches_nobody(running: Database) -> None:
    for replica in running.replicas:
        replica.pod.cut()
    before = positions(running)
    wipe(running.primary)
    why = running.primary.sidecar.wait_for("waiting")
    assert "mysql-1" in why
    assert running.primary.server.variable("read_only")
    assert running.primary.server.schemas() == set()
    for replica in running.replicas:
        replica.pod.restore()
    running.primary.sidecar.wait_for("refused")
    assert positions(running) == before


def test_nobody_is_there_and_nothing_says_that_it_is_the_first_start(
    make: Callable[..., Database],
) -> None:
    db = make(3)
    db.primary.start()
    db.primary.server.wait_ready()
    db.primary.sidecar.wait_for("waiting")
    assert db.primary.server.variable("read_only")
    assert db.primary.server.schemas() == set()


def test_nothing_says_how_many_pods_there_are(make: Callable[..., Database]) -> None:
    db = make(2)
    for member in db.members:
        del member.sidecar.environment["PEERDISCO_MYSQL_REPLICAS"]
    db.start()
    why = db.primary.sidecar.wait_for("refused")
    assert "replicas" in why
    assert db.primary.server.variable("read_only")


def test_a_replica_returns_with_an_empty_volume(running: Database) -> None:
    """The primary's logs hold everything from the beginning on, so that it gets all of it again."""
    wipe(running[1])
    running[1].sidecar.wait_for("replica")
    assert running.wait_equal() == [1, 2]


def test_a_replica_returns_empty_and_the_logs_are_gone(running: Database) -> None:
    running.primary.server.purge_logs()
    wipe(running[1])
    why = running[1].sidecar.wait_for("refused")
    assert "copy" in why or "clone" in why
    assert running[1].server.schemas() == set()
    assert running[1].server.variable("read_only")


# A replica that has what the primary has not.


def test_a_row_was_written_on_a_replica(running: Database) -> None:
    replica = running[1]
    replica.locally("INSERT INTO shop.orders VALUES (1000)")
    running.primary.server.sql("INSERT INTO shop.orders VALUES (3)")
    why = replica.sidecar.wait_for("refused")
    assert "a client wrote here" in why
    assert replica.server.variable("read_only")
    assert replica.server.replica_status()["Replica_SQL_Running"] == "No"
    until(lambda: running.rows(running[2]) == [1, 2, 3], what="the other one goes on")
    assert running[2].sidecar.state == "replica"
    # MySQL goes on until its sidecar stops it.
    replicated = {3} if replica.server.flavour == "mysql" else set()
    assert {1, 2, 1000} <= {*running.rows(replica)} <= {1, 2, 1000} | replicated


def test_a_row_was_written_on_a_replica_that_was_down(running: Database) -> None:
    replica = running[1]
    replica.sidecar.stop()
    replica.server.restart()
    replica.locally("INSERT INTO shop.orders VALUES (1000)")
    replica.sidecar.start()
    replica.sidecar.wait_for("refused")
    assert replica.server.variable("read_only")
    assert running.rows(replica) == [1, 2, 1000]


def test_a_row_that_was_written_on_a_replica_does_not_keep_the_primary_closed(
    running: Database,
) -> None:
    replica, primary = running[1], running.primary
    replica.locally("INSERT INTO shop.orders VALUES (1000)")
    replica.sidecar.wait_for("refused")
    primary.sidecar.stop()
    primary.server.restart()
    assert primary.server.variable("read_only")
    primary.sidecar.start()
    primary.sidecar.wait_for("primary")
    primary.server.sql("INSERT INTO shop.orders VALUES (3)")
    until(lambda: running.rows(running[2]) == [1, 2, 3], what="the other one goes on")
    assert running.rows(replica) == [1, 2, 1000]


# What is not there yet, and what is wrong.


def test_the_server_is_not_up_yet(make: Callable[..., Database]) -> None:
    db = make(1)
    db.primary.sidecar.start()
    why = db.primary.sidecar.wait_for("no-server")
    assert str(db.primary.server.socket) in why
    db.primary.server.start()
    db.primary.sidecar.wait_for("primary")
    db.primary.server.stop()
    db.primary.sidecar.wait_for("no-server")
    db.primary.server.start()
    db.primary.sidecar.wait_for("primary")


def test_the_own_password_is_wrong(make: Callable[..., Database], tmp_path: Path) -> None:
    db = make(1)
    wrong = tmp_path / "wrong"
    wrong.write_text("certainly-not")
    db.evidence.secrets.append("certainly-not")
    right = db.primary.sidecar.environment["PEERDISCO_MYSQL_PASSWORD_FILE"]
    db.primary.sidecar.environment["PEERDISCO_MYSQL_PASSWORD_FILE"] = str(wrong)
    db.primary.start()
    why = db.primary.sidecar.wait_for("access-denied")
    assert "peerdisco" in why
    assert db.primary.server.variable("read_only")
    # A Secret that is mounted changes under the process's hands.
    wrong.write_text(Path(right).read_text())
    db.primary.sidecar.wait_for("primary")


def test_the_replication_password_is_wrong(make: Callable[..., Database], tmp_path: Path) -> None:
    db = make(2)
    wrong = tmp_path / "wrong"
    wrong.write_text("certainly-not")
    db.evidence.secrets.append("certainly-not")
    db.start()
    db.wait()
    db[1].sidecar.stop()
    db[1].server.restart()
    db[1].sidecar.environment["PEERDISCO_MYSQL_REPLICATION_PASSWORD_FILE"] = str(wrong)
    db[1].sidecar.start()
    # MySQL asks for the password itself if it is wrong, and it is not sent without encryption.
    mysql = db.image.server.flavour == "mysql"
    db[1].sidecar.wait_for("connecting" if mysql else "access-denied")
    assert db[1].server.variable("read_only")
    until(lambda: "error 1045" in problems(db[1]).get("replication-account", ""))


def test_the_accounts_are_not_there(make: Callable[..., Database]) -> None:
    db = make(1)
    db.primary.server.template = db.image.bare
    db.primary.start()
    db.primary.sidecar.wait_for("access-denied")
    assert db.primary.server.variable("read_only")


def test_the_primary_is_absent(running: Database) -> None:
    running.primary.stop()
    running.network.dns.publish("mysql-0")
    for replica in running.replicas:
        replica.server.restart()
        # Asked, since what it reported before the restart is not reported again.
        until(
            lambda replica=replica: (
                replica.sidecar.ready()[1]["state"] in ("waiting", "connecting")
            ),
            what="it waits for the primary",
        )
        assert replica.server.variable("read_only")
        assert running.rows(replica) == [1, 2]
    running.network.dns.publish("mysql-0", running.primary.pod.address)
    running.primary.start()
    running.wait()
    assert running.wait_equal() == [1, 2]


def test_there_is_no_dns(db: Database) -> None:
    db.network.dns.fail("servfail")
    db.start()
    for member in db.members:
        member.sidecar.wait_for("no-dns")
        assert member.server.variable("read_only")
    db.network.dns.fail(None)
    db.wait()

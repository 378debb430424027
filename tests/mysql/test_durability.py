"""Semi-synchronous replication, and the settings of the running servers."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable
from typing import Any

import pymysql
import pytest

from .conftest import only
from .database import Database, Member
from .waiting import until

SEMI_SYNC = ("--durability", "semi-sync")

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def db(make_every: Callable[..., Database]) -> Database:
    """Three pods that started at the same time, on empty volumes."""
    return make_every(setup=SEMI_SYNC).open_shop()


def durability(member: Member) -> dict[str, Any]:
    found: dict[str, Any] = member.sidecar.ready()[1]["durability"]
    return found


def problems(member: Member) -> dict[str, str]:
    return {one["code"]: one["detail"] for one in member.sidecar.ready()[1]["problems"]}


class Statement:
    """A statement that is executed on a thread of its own."""

    def __init__(self, member: Member, sql: str, user: str = "root") -> None:
        self.acknowledged = threading.Event()
        self._sql = sql
        self._user = user
        self._thread = threading.Thread(target=self._execute, args=(member,), daemon=True)
        self._thread.start()

    def _execute(self, member: Member) -> None:
        with contextlib.suppress(pymysql.err.MySQLError):  # it waits until the server ends
            member.server.sql(self._sql, user=self._user)
            self.acknowledged.set()

    def join(self) -> None:
        """Wait until it has ended."""
        self._thread.join(30)
        assert not self._thread.is_alive(), self._sql


class Insert(Statement):
    """A row that is written on a thread of its own."""

    def __init__(self, member: Member, number: int, user: str = "root") -> None:
        self.number = number
        super().__init__(member, f"INSERT INTO shop.orders VALUES ({number})", user)


def test_writes_wait_for_a_replica(db: Database) -> None:
    """The first start does not wait for itself, and neither does a restart."""
    primary = db.primary
    until(lambda: durability(primary)["replicas"] == 2, what="both replicas acknowledge")
    assert durability(primary) == {
        "mode": "semi-sync",
        "active": True,
        "acknowledgements": 1,
        "replicas": 2,
        "fallback_after": None,
    }
    assert problems(primary) == {}
    assert durability(db[1])["mode"] == "asynchronous"
    for replica in db.replicas:
        replica.kill()
    first = Insert(primary, 1)
    until(lambda: "writes wait" in problems(primary).get("semi-sync", ""), what="it is reported")
    assert not first.acknowledged.wait(2)
    db[1].start()
    assert first.acknowledged.wait(30)
    assert db.rows(primary) == [1]
    db[2].start()
    primary.kill()
    primary.start()
    db.wait()
    until(lambda: durability(primary)["replicas"] == 2, what="both replicas acknowledge again")
    assert durability(primary)["mode"] == "semi-sync"
    assert Insert(primary, 2).acknowledged.wait(30)
    assert db.wait_equal() == [1, 2]
    # No replica can acknowledge what comes after that, and the epoch that says so waits for none:
    # also not with the heartbeat, which waits behind the commits of clients.
    # MySQL does not reset its log while commits wait.
    if primary.server.flavour == "mysql":
        primary.server.sql(primary.server.reset)
        Insert(primary, 3)
    else:
        make_a_heartbeat_wait_behind_clients(db)
        primary.server.sql(primary.server.reset)
    until(
        lambda: "log was reset before" in primary.sidecar.ready()[1]["reason"],
        what=lambda: f"it says so: {primary.sidecar.said} {primary.sidecar.ready()}",
    )
    assert not primary.server.variable("read_only")
    for replica in db.replicas:
        if not replica.server.alive:
            replica.start()
        assert "log of the primary was reset" in replica.sidecar.wait_for("refused")


@only("mysql", fixture="every_image")
@pytest.mark.parametrize("beat_first", [True, pytest.param(False, marks=pytest.mark.long)])
def test_a_heartbeat_waits_in_one_group_with_a_client(
    make_every: Callable[..., Database], beat_first: bool
) -> None:
    """The epoch after a reset begins, and no client gets an acknowledgement because of that."""
    db = make_every(2, setup=SEMI_SYNC).open_shop()
    primary = db.primary
    until(lambda: durability(primary)["replicas"] == 1, what="the replica acknowledges")
    primary.locally("GRANT UPDATE ON peerdisco.heartbeat TO 'shop'@'localhost'")
    # Commits within a second are one group, whose first session waits for all.
    primary.server.sql("SET GLOBAL binlog_group_commit_sync_delay = 1000000")
    assert primary.sidecar.process is not None
    primary.sidecar.process.signal(signal.SIGSTOP)
    until(lambda: beats_waiting(primary) == 0, what="no heartbeat is being written")
    db[1].kill()
    primary.server.sql(primary.server.reset)

    def beat() -> None:
        sql = "UPDATE peerdisco.heartbeat SET beat_at = UTC_TIMESTAMP(3)"
        Statement(primary, sql, "shop")
        until(lambda: beats_waiting(primary) == 1, what="the heartbeat waits")

    if beat_first:
        beat()
    inserted = Insert(primary, 3, "shop")
    until(lambda: waiting(primary) == 1, what="the client waits")
    if not beat_first:
        beat()
    primary.sidecar.process.signal(signal.SIGCONT)
    until(
        lambda: "log was reset before" in primary.sidecar.ready()[1]["reason"],
        what=lambda: f"it says so: {primary.sidecar.said} {primary.sidecar.ready()}",
    )
    assert not inserted.acknowledged.is_set()
    until(lambda: durability(primary)["active"], what="commits wait")
    assert not primary.server.variable("read_only")


def make_a_heartbeat_wait_behind_clients(db: Database) -> None:
    """On MariaDB: writes of clients wait for a replica, and one of them for all."""
    primary = db.primary
    assert primary.sidecar.process is not None
    primary.sidecar.process.signal(signal.SIGSTOP)
    until(lambda: beats_waiting(primary) == 0, what="no heartbeat is being written")
    for replica in db.replicas:
        replica.kill()
    clients = "SHOW STATUS LIKE 'Rpl_semi_sync_master_clients'"
    until(lambda: primary.server.sql(clients)[0]["Value"] == "0", what="no replica is connected")
    for number in range(10, 15):
        Insert(primary, number, "shop")
    until(lambda: waiting(primary) == 5, what="all of them wait")
    primary.sidecar.process.signal(signal.SIGCONT)
    until(lambda: beats_waiting(primary) == 1, what="the heartbeat waits too")


def beats_waiting(member: Member) -> int:
    sessions = member.server.sql("SHOW FULL PROCESSLIST")
    return sum(str(one["Info"]).startswith("UPDATE peerdisco.heartbeat") for one in sessions)


def waiting(member: Member) -> int:
    """How many writes are in the middle of their commit, or wait for another one that is."""
    sessions = member.server.sql("SHOW FULL PROCESSLIST")
    return sum("INSERT INTO shop.orders" in str(one["Info"]) for one in sessions)


@pytest.mark.long
def test_a_change_of_accounts_waits_for_a_replica(db: Database) -> None:
    """On MySQL it keeps every login waiting, also that of replicas, until the server restarts."""
    primary = db.primary
    for replica in db.replicas:
        replica.kill()
    change = threading.Thread(target=create_account, args=(primary,), daemon=True)
    change.start()
    if primary.server.flavour == "mysql":
        until(
            lambda: "did not answer the login" in primary.sidecar.ready()[1]["reason"],
            timeout=40,
            what="the sidecar names the cause",
        )
        assert "a change of accounts" in primary.sidecar.ready()[1]["reason"]
    else:
        until(lambda: "writes wait" in problems(primary).get("semi-sync", ""))
        change.join(2)
        assert change.is_alive()
    for replica in db.replicas:
        replica.start()
    if primary.server.flavour == "mysql":
        change.join(5)
        assert change.is_alive()
        primary.server.stop()
        primary.server.start()
    change.join(30)
    assert not change.is_alive()
    db.wait()
    Insert(primary, 1).join()
    assert db.wait_equal() == [1]
    accounts = "SELECT COUNT(*) FROM mysql.user WHERE user = 'late'"
    for member in db.members:
        until(lambda member=member: member.server.value(accounts) == 1, what="all have it")


def create_account(member: Member) -> None:
    with contextlib.suppress(pymysql.err.MySQLError):  # it waits until the server ends
        member.server.sql("CREATE USER 'late'@'localhost'")


def test_a_primary_on_which_writes_wait_is_closed(db: Database) -> None:
    """No client may take its write for one that a replica has, whoever waits for the others."""
    primary = db.primary
    until(lambda: durability(primary)["replicas"] == 2, what="both replicas acknowledge")
    Insert(primary, 1).join()
    db.wait_equal()
    for replica in db.replicas:
        replica.kill()
    until(lambda: durability(primary)["replicas"] == 0, what="no replica is connected")
    # Over several commits that are acknowledged together.
    inserts = [Insert(primary, number, "shop") for number in range(100, 120)]
    until(lambda: waiting(primary) == 20, what="all of them wait")
    db.network.dns.publish(primary.name, "198.18.0.250")
    primary.sidecar.wait_for("fenced")
    until(lambda: primary.server.variable("read_only"), what=lambda: str(primary.sidecar.said))
    for insert in inserts:
        insert.join()
        assert not insert.acknowledged.is_set(), insert.number
    # They are on its disk, and replicas get them.
    kept = {insert.number for insert in inserts}
    assert set(db.rows(primary)) == {1, *kept}
    db.network.dns.publish(primary.name, primary.pod.address)
    for replica in db.replicas:
        replica.start()
    db.wait()
    until(lambda: durability(primary)["replicas"] == 2, what="both replicas acknowledge again")
    assert Insert(primary, 2, "shop").acknowledged.wait(30)
    assert set(db.wait_equal()) == {1, 2, *kept}


def test_a_weak_setting_of_the_running_server_is_reported(make: Callable[..., Database]) -> None:
    db = make(1)
    db.start()
    db.wait()
    assert problems(db.primary) == {}
    assert durability(db.primary)["mode"] == "asynchronous"
    db.primary.server.sql("SET GLOBAL sync_binlog = 0")
    until(lambda: "sync_binlog is 0" in problems(db.primary).get("durability", ""))
    assert db.primary.sidecar.ready()[0] == 200
    db.primary.server.sql("SET GLOBAL sync_binlog = 1")
    until(lambda: problems(db.primary) == {})


def test_semi_sync_that_is_not_configured_is_refused(make: Callable[..., Database]) -> None:
    db = make(1)
    db.primary.sidecar.environment["PEERDISCO_MYSQL_DURABILITY"] = "semi-sync"
    db.start()
    assert "not configured for it" in db.primary.sidecar.wait_for("refused")
    assert db.primary.server.variable("read_only")


def test_a_fallback_that_is_configured_is_reported(make: Callable[..., Database]) -> None:
    db = make(2, setup=(*SEMI_SYNC, "--fallback-after", "1"))
    db.start()
    db.wait()
    db.create_shop()
    db.wait_equal()
    db[1].kill()
    assert Insert(db.primary, 1).acknowledged.wait(20)
    until(lambda: "do not wait" in problems(db.primary).get("semi-sync", ""))
    assert 'peerdisco_mysql_problem{code="semi-sync"} 1.0' in db.primary.sidecar.get("/metrics")[1]
    assert durability(db.primary)["active"] is False
    db[1].start()
    until(lambda: durability(db.primary)["active"], what="it waits again")

"""Semi-synchronous replication, and the settings of the running servers."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

import pymysql
import pytest

from .database import Database, Member
from .waiting import until

SEMI_SYNC = ("--durability", "semi-sync")

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def db(make_every: Callable[..., Database]) -> Database:
    """Three pods that started at the same time, on empty volumes."""
    made = make_every(setup=SEMI_SYNC)
    made.start()
    made.wait()
    made.create_shop()
    made.wait_equal()
    return made


def durability(member: Member) -> dict[str, Any]:
    found: dict[str, Any] = member.sidecar.ready()[1]["durability"]
    return found


def problems(member: Member) -> dict[str, str]:
    return {one["code"]: one["detail"] for one in member.sidecar.ready()[1]["problems"]}


class Insert:
    """A row that is written on a thread of its own."""

    def __init__(self, member: Member, number: int) -> None:
        self.acknowledged = threading.Event()
        self._thread = threading.Thread(target=self._write, args=(member, number), daemon=True)
        self._thread.start()

    def _write(self, member: Member, number: int) -> None:
        with contextlib.suppress(pymysql.err.MySQLError):  # it waits until the server ends
            member.server.sql(f"INSERT INTO shop.orders VALUES ({number})")
            self.acknowledged.set()


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
    # No replica can acknowledge what comes after that, and the epoch that says so waits for none.
    reset = "RESET MASTER"
    if primary.server.flavour == "mysql":
        reset = "RESET BINARY LOGS AND GTIDS"
    primary.server.sql(reset)
    Insert(primary, 3)
    until(
        lambda: "log was reset before" in primary.sidecar.ready()[1]["reason"],
        what=lambda: f"it says so: {primary.sidecar.said} {primary.sidecar.ready()}",
    )
    for replica in db.replicas:
        assert "log of the primary was reset" in replica.sidecar.wait_for("refused")


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

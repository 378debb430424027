"""What is lost with a volume, by setting: the rows of the page that says so.

Each test destroys volumes, restores the primary as `peerdisco mysql-recover` says, and asserts the
rows on every server: what the page promises, and that what it says is lost is not more than that.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .database import Database, Member
from .test_durability import SEMI_SYNC, Insert, durability
from .test_histories import write
from .test_moves import problem
from .volumes import restore, save
from .waiting import until
from .writer import Writer

pytestmark = [pytest.mark.timeout(300), pytest.mark.long]

FALLBACK = (*SEMI_SYNC, "--fallback-after", "1")
LOCK = "LOCK TABLES shop.orders READ"
"""Keeps the applier of a replica from changing a table."""


def wait_acknowledging(db: Database, replicas: int) -> None:
    until(lambda: durability(db.primary)["replicas"] == replicas, what=f"{replicas} acknowledge")


def destroy(*members: Member) -> None:
    for member in members:
        member.kill()
        member.server.wipe()
        member.server.datadir.mkdir()


def recover(db: Database, *arguments: str) -> str:
    """The replica that ``peerdisco mysql-recover`` names, asked in the pod of the last one."""
    pod = db.members[-1].pod
    environment = [f"{name}={value}" for name, value in db.environment.items()]
    command = (sys.executable, "-m", "peerdisco", "mysql-recover", "--primary-lost", *arguments)
    said = pod.run("env", f"POD_NAME={pod.name}", *environment, *command, timeout=60)
    return said.split()[-1]


def restore_from(db: Database, name: str, *others: Member) -> None:
    """Give the primary, and others, a copy of this replica's volume."""
    source = next(member for member in db.members if member.name == name)
    source.stop()
    copy = save(source, "newest")
    source.start()
    for member in (db.primary, *others):
        restore(member, copy)
        member.start()
    db.wait()


def received(member: Member) -> str:
    status = member.server.replica_status()
    return str(status.get("Gtid_IO_Pos") or status.get("Retrieved_Gtid_Set"))


def test_without_an_acknowledgement_only_what_came_after_the_fallback_is_lost(
    make_every: Callable[..., Database],
) -> None:
    db = make_every(setup=FALLBACK).open_shop(1)
    wait_acknowledging(db, 2)
    for replica in db.replicas:
        replica.kill()
    late = Insert(db.primary, 2)
    assert late.acknowledged.wait(30)
    until(lambda: durability(db.primary)["active"] is False, what="it says so")
    destroy(db.primary)
    for replica in db.replicas:
        replica.start()
        replica.server.wait_ready()
    restore_from(db, recover(db))
    assert db.wait_equal() == [1]
    db.primary.server.sql("INSERT INTO shop.orders VALUES (3)")
    assert db.wait_equal() == [1, 3]


def test_a_replica_that_restarts_before_it_has_applied_loses_what_only_it_had(
    make_every: Callable[..., Database],
) -> None:
    db = make_every(setup=SEMI_SYNC).open_shop(1)
    wait_acknowledging(db, 2)
    primary, only, other = db.members
    other.kill()
    with only.server.holding(LOCK):
        before = received(only)
        row = Insert(primary, 2)
        assert row.acknowledged.wait(30)
        until(lambda: received(only) != before, what="it has received the row")
        destroy(primary)
        only.kill()  # the mistake: until `mysql-recover` has printed a name, nothing may restart
    for replica in db.replicas:
        replica.start()
        replica.server.wait_ready()
    restore_from(db, recover(db))
    assert db.wait_equal() == [1]


@pytest.mark.parametrize("every_image", ["mysql"], indirect=True)
def test_two_acknowledgements_survive_two_volumes(make_every: Callable[..., Database]) -> None:
    """MariaDB waits for one only."""
    db = make_every(setup=(*SEMI_SYNC, "--acknowledgements", "2")).open_shop(1)
    primary, first, second = db.members
    wait_acknowledging(db, 2)
    with Writer(primary.server, 10) as writer, second.server.holding(LOCK):
        writer.wait(50)
        destroy(primary, first)
    source = recover(db, "--without", first.name)
    assert source == second.name
    restore_from(db, source, first)
    rows = set(db.wait_equal())
    assert {1, *writer.acknowledged} <= rows
    assert len(rows) - len(writer.acknowledged) <= 2, "the first, and what was being written"


def test_the_only_two_volumes_that_have_a_row_are_destroyed(
    make_every: Callable[..., Database],
) -> None:
    db = make_every(setup=SEMI_SYNC).open_shop(1)
    primary, first, second = db.members
    wait_acknowledging(db, 2)
    second.kill()
    assert Insert(primary, 2).acknowledged.wait(30)
    destroy(primary, first)
    second.start()
    second.server.wait_ready()
    source = recover(db, "--without", first.name)
    restore_from(db, source, first)
    assert db.wait_equal() == [1]


@pytest.mark.parametrize(
    ("setup", "acknowledged"),
    [((), True), (SEMI_SYNC, False), (FALLBACK, True)],
    ids=["asynchronous", "semi-sync", "fallback"],
)
def test_a_partitioned_primary_loses_what_it_took_alone(
    make_every: Callable[..., Database], setup: tuple[str, ...], acknowledged: bool
) -> None:
    db = make_every(setup=setup).open_shop(1)
    primary = db.primary
    if setup:
        wait_acknowledging(db, 2)
    primary.pod.cut()
    row = Insert(primary, 2)
    assert row.acknowledged.wait(30 if acknowledged else 5) == acknowledged
    primary.vanish()
    primary.server.wipe()
    primary.server.datadir.mkdir()
    row.join()
    assert row.acknowledged.is_set() == acknowledged
    primary.arrive()
    for replica in db.replicas:
        until(lambda replica=replica: not replica.server.replicates, what="it has noticed that")
    restore_from(db, recover(db))
    assert db.wait_equal() == [1]


@pytest.mark.parametrize("name", ["that pod", "the other one"])
def test_the_role_is_taken_without_the_primary_when_all_is_applied(
    make_every: Callable[..., Database], tmp_path: Path, name: str
) -> None:
    """A server that is opened discards its relay logs, which have acknowledged rows."""
    file = tmp_path / "primary"
    file.write_text("0\n")
    db = make_every(setup=SEMI_SYNC)
    for member in db.members:
        member.sidecar.environment["PEERDISCO_MYSQL_PRIMARY_ORDINAL_FILE"] = str(file)
    db.open_shop(1)
    wait_acknowledging(db, 2)
    primary, new, other = db.members
    behind = new if name == "that pod" else other
    with Writer(primary.server, 10) as writer:
        with behind.server.holding(LOCK):
            if behind is other:
                new.sidecar.stop()  # which would start its replication again
                new.server.sql("STOP REPLICA")
            writer.wait(50)
            destroy(primary)
            if behind is other:
                new.sidecar.start()
            file.write_text("1 without mysql-0\n")
            expected = "has received transactions" if behind is new else "keep the volume of"
            until(
                lambda: expected in str(new.sidecar.ready()[1]),
                timeout=60,
                what=lambda: f"it waits: {new.sidecar.ready()[1]} {problem(new)}",
            )
            assert new.server.variable("read_only")
        if behind is new:
            new.sidecar.wait_for("primary", timeout=60)
    if behind is new:
        rows = set(db.rows(new))
        assert {1, *writer.acknowledged} <= rows
        other.sidecar.wait_for("replica", timeout=60)
        until(lambda: other.server.replicates, timeout=60, what="the other one follows")
        until(lambda: set(db.rows(other)) == rows, timeout=60, what="it has the rows")
    else:
        until(lambda: {1, *writer.acknowledged} <= set(db.rows(other)), what="it has applied all")
        assert new.server.variable("read_only")
        # What it has not got is named, and the role goes to the one that has it.
        assert other.name in str(new.sidecar.ready()[1]["reason"])
        file.write_text("2 without mysql-0\n")
        other.sidecar.wait_for("primary", timeout=60)
        until(lambda: new.server.replicates, timeout=60, what="it follows")
        until(lambda: db.rows(new) == db.rows(other), timeout=60, what="it has the rows")
        assert {1, *writer.acknowledged} <= set(db.rows(new))


def test_a_row_that_a_client_wrote_on_a_replica_is_reported_after_the_role_moved(
    make_every: Callable[..., Database], tmp_path: Path
) -> None:
    """The new primary was a replica: on MariaDB it knows only the last number that it applied."""
    file = tmp_path / "primary"
    file.write_text("0\n")
    db = make_every()
    for member in db.members:
        member.sidecar.environment["PEERDISCO_MYSQL_PRIMARY_ORDINAL_FILE"] = str(file)
    db.open_shop(1)
    primary, written, new = db.members
    written.locally("INSERT INTO shop.orders VALUES (1000)")
    assert "a client wrote here" in written.sidecar.wait_for("refused")
    write(primary, range(10, 40))
    until(lambda: db.rows(new) == db.rows(primary), what="the other one has the rows")
    file.write_text("2\n")
    new.sidecar.wait_for("primary", timeout=60)
    write(new, range(40, 50))
    for _ in range(2):
        until(lambda: "a client wrote here" in str(written.sidecar.ready()[1]["reason"]))
        assert written.sidecar.ready()[0] == 503
        assert not written.server.replicates
        assert 1000 in db.rows(written)
        written.stop()
        written.start()
        written.server.wait_ready()
    # As it says: what is needed is moved, and then it gets a copy.
    write(new, [1000])
    for member in db.members:
        member.stop()
    restore(written, save(new, "copy"))
    db.start()
    for member in db.members:
        member.server.wait_ready()
    until(lambda: all(db.rows(one) == [1, *range(10, 50), 1000] for one in db.members), timeout=60)

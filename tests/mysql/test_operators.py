"""What operators and machines do to a volume or a log: no server that is ready misses a row.

Each test asserts the rows on every server, and does what the messages advise. All but the first
take too long for the ordinary run.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable

import pytest

from .database import Database, Member
from .volumes import restore, save
from .waiting import until

pytestmark = pytest.mark.timeout(240)  # MySQL takes seconds to start


@pytest.fixture
def running(every_db: Database) -> Database:
    return every_db.open_shop(*range(10))


def write(member: Member, numbers: Iterable[int]) -> None:
    """Rows in transactions of their own."""
    member.server.sql(*(f"INSERT INTO shop.orders VALUES ({number})" for number in numbers))


def says(member: Member, text: str) -> bool:
    return text in str(member.sidecar.ready()[1]["reason"])


def test_a_log_that_was_emptied_and_given_its_old_position(running: Database) -> None:
    """Positions are as before, and the log no longer has what one replica needs."""
    primary, behind, current = running.members
    behind.stop()
    write(primary, range(10, 20))
    until(lambda: running.rows(current) == [*range(20)], what="the other one has them")
    mysql = primary.server.flavour == "mysql"
    state = "gtid_executed" if mysql else "gtid_binlog_state"
    name = "gtid_purged" if mysql else state
    primary.sidecar.stop()
    known = str(primary.server.variable(state)).replace("\n", "")
    primary.server.sql(primary.server.reset, f"SET GLOBAL {name} = '{known}'")
    primary.sidecar.start()
    until(lambda: says(primary, "its binary log was reset"), what=lambda: str(primary.sidecar.said))
    behind.start()
    for replica in running.replicas:
        assert "log of the primary was reset" in replica.sidecar.wait_for("refused")
        assert replica.sidecar.ready()[0] == 503
    assert running.rows(primary) == [*range(20)]
    assert running.rows(behind) == [*range(10)]
    # As it says: a new copy.
    for member in running.members:
        member.stop()
    saved = save(primary, "copy")
    for replica in running.replicas:
        restore(replica, saved)
    running.start()
    running.wait()
    write(primary, [20])
    assert running.wait_equal() == [*range(21)]


@pytest.mark.long
def test_older_binary_logs_are_restored_without_the_data(running: Database) -> None:
    primary = running.primary
    primary.stop()
    logs = primary.server.volume / "logs"
    logs.mkdir()
    for file in primary.server.datadir.glob("binlog.*"):
        shutil.copy2(file, logs)
    primary.start()
    running.wait()
    write(primary, range(10, 60))
    running.wait_equal()
    running[1].stop()
    write(primary, range(60, 80))
    until(lambda: running.rows(running[2]) == [*range(80)], what="the other one has them")
    primary.stop()
    for file in primary.server.datadir.glob("binlog.*"):
        file.unlink()
    for file in logs.iterdir():
        shutil.copy2(file, primary.server.datadir)
    primary.server.pod.network.own(primary.server.volume)
    primary.start()
    running[1].start()
    for member in running.members:
        member.server.wait_ready()
        member.sidecar.wait_for("primary", "refused", "replica", timeout=60)
    until(
        lambda: all(row_holders_are_whole(running)),
        what=lambda: str([member.sidecar.said for member in running.members]),
    )
    assert running.rows(primary) == [*range(80)]
    assert running.rows(running[2]) == [*range(80)]


def row_holders_are_whole(db: Database) -> Iterable[bool]:
    """Of each server whether it has all rows, or is not ready."""
    rows = db.rows(db.primary)
    for member in db.members:
        yield db.rows(member) == rows or member.sidecar.ready()[0] == 503


@pytest.mark.long
def test_the_disk_of_a_replica_is_full(running: Database) -> None:
    """The primary and the other replica go on; the replica continues when there is space."""
    primary, full, other = running.members
    full.stop()
    disk = full.server.volume / "disk"
    disk.mkdir()
    full.pod.run("mount", "-t", "tmpfs", "-o", "size=8M", "tmpfs", str(disk))
    full.server.arguments = (f"--relay-log={disk}/relay",)
    full.start()
    running.wait()
    full.pod.run("sh", "-c", f"cat /dev/zero > {disk}/fill || true")
    write(primary, range(10, 40))
    until(lambda: running.rows(other) == [*range(40)], what="the other one has the rows")
    until(lambda: full.sidecar.ready()[0] == 503, timeout=60, what="it is not ready")
    assert primary.sidecar.ready()[0] == 200
    assert other.sidecar.ready()[0] == 200
    assert running.rows(full) == [*range(len(running.rows(full)))]
    full.sidecar.stop()
    full.pod.run("rm", f"{disk}/fill")
    full.server.kill()
    full.start()
    running.wait()
    write(primary, [40])
    assert running.wait_equal() == [*range(41)]


@pytest.mark.long
def test_the_volume_of_the_primary_is_read_only(running: Database) -> None:
    """Its server cannot start; the others serve their readers, and none takes its place."""
    primary = running.primary
    primary.stop()
    disk = primary.server.volume / "disk"
    disk.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=64M", "tmpfs", str(disk))
    primary.pod.run(*mount)
    for file in primary.server.datadir.glob("binlog.*"):
        primary.pod.run("mv", str(file), str(disk))
    primary.pod.run("sh", "-c", f"sed -i s,^[.],{disk}, {disk}/binlog.index")
    primary.server.arguments = (f"--log-bin={disk}/binlog",)
    primary.start()
    running.wait()
    write(primary, range(10, 20))
    running.wait_equal()
    primary.server.stop()
    primary.pod.run("mount", "-o", "remount,ro", str(disk))
    primary.server.start(wait=False)
    until(lambda: not primary.server.alive, timeout=60, what="it ends")
    primary.sidecar.wait_for("no-server", timeout=60)
    for replica in running.replicas:
        assert running.rows(replica) == [*range(20)]
        assert replica.sidecar.ready()[0] == 200
        assert replica.server.variable("read_only")
    primary.pod.run("mount", "-o", "remount,rw", str(disk))
    primary.server.process = None
    primary.server.start()
    running.wait()
    write(primary, [20])
    assert running.wait_equal() == [*range(21)]


@pytest.mark.long
def test_one_of_two_pods_has_an_old_claim(make_every: Callable[..., Database]) -> None:
    """No majority can decide which is the right one; either is kept, as the message says."""
    db = make_every(2).open_shop(*range(10))
    old = db[1]
    old.stop()
    replica = save(old, "replica")
    old.server.start()
    old.server.sql(
        "SET SESSION sql_log_bin = 0",
        "UPDATE peerdisco.cluster SET id = UUID()",
        "DELETE FROM shop.orders",
        "INSERT INTO shop.orders VALUES (1000)",
    )
    old.server.stop()
    db.primary.stop()
    db.start()
    why = db.primary.sidecar.wait_for("refused")
    assert "mysql-1 holds data of the cluster" in why
    assert "keep both volumes" in why
    assert "keep both volumes" in old.sidecar.wait_for("refused")
    assert db.rows(db.primary) == [*range(10)]
    assert db.rows(old) == [1000]
    # That of ordinal 0 is the right one: the other pod gets a copy of it.
    old.stop()
    kept = save(old, "kept")
    restore(old, replica)
    old.start()
    db.wait()
    write(db.primary, [10])
    assert db.wait_equal() == [*range(11)]
    # The other one was the right one.
    for member in db.members:
        member.stop()
    restore(old, kept)
    old.server.start()
    old.server.stop()
    restore(db.primary, save(old, "right"))
    db.start()
    db.wait()
    assert db.wait_equal() == [1000]

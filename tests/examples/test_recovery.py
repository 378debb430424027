"""A primary whose volume is lost, restored as the document says, while replicas lag."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mysql.database import PASSWORDS, Database, Member
from tests.mysql.mariadb import programs
from tests.mysql.waiting import until
from tests.mysql.writer import Writer

from .cloning import CLONE, Script

pytestmark = pytest.mark.timeout(240)

SCRIPTS = {"mariadb": "clone-mariadb.sh", "mysql": "clone-mysql.sh"}


def script(db: Database, member: Member, *command: str | Path, **environment: str) -> Script:
    """Run something in a pod with the settings of its init containers."""
    return Script(
        member.pod,
        *command,
        env={
            **db.environment,
            "CLONE_VOLUME": str(member.server.volume),
            "CLONE_DIRECTORY": member.server.datadir.name,
            "CLONE_RUN": str(run_directory(db, member)),
            "CLONE_PASSWORD_FILE": str(
                db.network.directory / "passwords" / PASSWORDS["PEERDISCO_MYSQL_BACKUP_PASSWORD"]
            ),
            "CLONE_DEFAULTS_FILE": str(member.server.defaults_file),
            **environment,
        },
        path=programs(member.server.program),
    )


def run_directory(db: Database, member: Member) -> Path:
    directory = db.network.directory / f"run-{member.name}"
    if not directory.exists():
        directory.mkdir()
        db.network.own(directory)
    return directory


def recover(db: Database, member: Member, *arguments: str) -> Script:
    """``peerdisco mysql-recover`` in a pod; what it prints is its last line."""
    return script(db, member, "-c", f"peerdisco mysql-recover {' '.join(arguments)} >&2")


LOCK = "LOCK TABLES shop.orders READ"
"""Keeps the applier of a replica from changing a table."""


def received(member: Member) -> str:
    status = member.server.replica_status()
    return str(status.get("Gtid_IO_Pos") or status.get("Retrieved_Gtid_Set"))


@pytest.fixture
def started(make_every: Callable[..., Database]) -> Callable[..., Database]:
    """Makes a database of three pods, and starts it."""

    def start(*setup: str) -> Database:
        db = make_every(setup=setup)
        if db.primary.server.flavour == "mysql":
            for member in db.members:
                member.server.config += (
                    "plugin_load_add = mysql_clone.so\nsecure_file_priv = NULL\n"
                )
        db.start()
        db.wait()
        db.create_shop()
        for replica in db.replicas:
            until(lambda replica=replica: has_table(replica), what="it has the table")
        db.wait_equal()
        return db

    return start


def has_table(member: Member) -> bool:
    server = member.server
    return "shop" in server.schemas() and bool(server.sql("SHOW TABLES FROM shop"))


def lose(db: Database) -> None:
    """Destroy the primary and its volume, and let its pod come back with an empty one."""
    primary = db.primary
    primary.kill()
    primary.server.wipe()
    for replica in db.replicas:
        until(
            lambda replica=replica: not replica.server.replicates,
            what=lambda replica=replica: f"{replica.name} has noticed that the primary is away",
        )


def restore(db: Database, source: str) -> None:
    """What the init containers of the primary's pod do, with CLONE_FROM from a file."""
    primary, names = db.primary, db.network.directory / "clone-from"
    names.mkdir()
    (names / primary.name).write_text(f"{source}\n")
    db.network.own(names)
    for name in ("find-source.sh", SCRIPTS[primary.server.flavour]):
        one = script(db, primary, CLONE / name, CLONE_FROM_DIRECTORY=str(names))
        assert one.ended(120) == 0, one.lines
    primary.start()


@pytest.mark.parametrize("behind", ["table lock", "ALTER"])
def test_rows_that_are_received_and_not_applied_survive(
    started: Callable[..., Database], behind: str
) -> None:
    """Both replicas hold acknowledged rows in their relay logs alone."""
    db = started()
    primary, first, second = db.members
    with Writer(primary.server) as writer:
        writer.wait(20)
        with contextlib.ExitStack() as locks:
            for replica in (first, second):
                locks.enter_context(replica.server.holding(LOCK))
            if behind == "ALTER":
                primary.server.sql("ALTER TABLE shop.orders ENGINE = InnoDB")
            writer.wait(200)
            acknowledged = list(writer.acknowledged)
            position = str(
                primary.server.variable(
                    "gtid_binlog_pos" if primary.server.flavour == "mariadb" else "gtid_executed"
                )
            )
            last = int(position.rpartition("-")[2])
            for replica in (first, second):
                until(
                    lambda replica=replica: int(received(replica).rpartition("-")[2]) >= last,
                    what=lambda replica=replica: f"{received(replica)} reaches {position}",
                )
            lose(db)
            refused = recover(db, second, "--timeout", "3")
            assert refused.ended(60) == 1, "nothing says that the volume is lost"
            assert "start the pod on it" in refused.lines[0]
            late = recover(db, second, "--primary-lost", "--timeout", "3")
            assert late.ended(60) == 5
            assert "has received transactions that it has not applied" in late.lines[0]
            assert late.lines[-1] == "peerdisco: nothing is restored; do not restart any pod"
            waiting = recover(db, second, "--primary-lost", "--timeout", "60")
            waiting.wait_for("peerdisco: mysql-")
            assert waiting.process.alive
    assert waiting.ended(60) == 0, waiting.lines
    source = waiting.lines[-1]
    restore(db, source)
    db.wait()
    rows = db.wait_equal()
    assert set(acknowledged) <= set(rows)
    primary.server.sql("INSERT INTO shop.orders VALUES (1000000)")
    assert db.wait_equal()[-1] == 1_000_000


def test_with_semi_sync_no_acknowledged_row_is_lost_with_the_volume(
    started: Callable[..., Database],
) -> None:
    """Under writes, with one replica that applies nothing and nobody who waits for anything."""
    db = started("--durability", "semi-sync")
    primary, first, second = db.members
    with Writer(primary.server) as writer:
        writer.wait(20)
        with first.server.holding(LOCK):
            writer.wait(100)
            lose(db)
            waiting = recover(db, second, "--primary-lost", "--timeout", "60")
    assert waiting.ended(90) == 0, waiting.lines
    restore(db, waiting.lines[-1])
    db.wait()
    rows = db.wait_equal()
    assert set(writer.acknowledged) <= set(rows)
    assert len(rows) - len(writer.acknowledged) <= 1, "what was written while it was destroyed"

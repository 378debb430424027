"""More pods by copies, fewer, and more again: nobody ends up with other rows."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from .database import Database, Member
from .mariadb import programs
from .waiting import until
from .writer import Writer

pytestmark = pytest.mark.timeout(300)  # MySQL takes seconds to start

SCRIPTS = Path(__file__).parents[2] / "examples" / "mysql" / "clone"
REPLICATION = "PEERDISCO_MYSQL_REPLICATION_PASSWORD_FILE"


@pytest.fixture
def running(db: Database) -> Database:
    for member in db.members:
        listen(member)
    db.start()
    db.wait()
    db.create_shop()
    return db


def listen(member: Member) -> None:
    """Let the sidecar listen where find-source.sh asks it, and MySQL be a source of copies."""
    member.sidecar.environment["PEERDISCO_MYSQL_LISTEN"] = "8080"
    if member.server.flavour == "mysql":
        member.server.config += "plugin_load_add = mysql_clone.so\nsecure_file_priv = NULL\n"


def clone(db: Database, member: Member) -> str:
    """Run what the init containers of the example run; what they say."""
    run = member.server.volume / "clone"
    run.mkdir(exist_ok=True)
    member.server.defaults_file.write_text(member.server.config)
    member.pod.network.own(member.server.volume)
    settings = {
        "PATH": os.pathsep.join(
            [
                *filter(None, [programs(member.server.program)]),
                str(Path(sys.executable).parent),
                os.environ["PATH"],
            ]
        ),
        "POD_NAME": member.name,
        "CLONE_VOLUME": str(member.server.volume),
        "CLONE_DIRECTORY": member.server.datadir.name,
        "CLONE_RUN": str(run),
        "CLONE_DEFAULTS_FILE": str(member.server.defaults_file),
        "CLONE_PASSWORD_FILE": db.environment["PEERDISCO_MYSQL_BACKUP_PASSWORD_FILE"],
        REPLICATION: db.environment[REPLICATION],
    }
    scripts = (SCRIPTS / "find-source.sh", SCRIPTS / f"clone-{member.server.flavour}.sh")
    command = "; ".join(f"sh {script} 2>&1" for script in scripts)
    environment = [f"{name}={value}" for name, value in settings.items()]
    said = member.pod.run("env", *environment, "sh", "-ec", command, timeout=90)
    db.evidence.add(f"clone of {member.name}", said)
    return said


def grow(db: Database, *ordinals: int) -> None:
    """Add pods with empty volumes, give each a copy, and start it."""
    for ordinal in ordinals:
        member = db.add(ordinal)
        listen(member)
        assert "done: copied from mysql-" in clone(db, member)
        db.members.append(member)
        member.start()
        db.wait()


def shrink(db: Database, replicas: int) -> list[Member]:
    """Take the last pods away, as a StatefulSet does: the last one first, volumes are kept."""
    gone = db.members[replicas:]
    for member in reversed(gone):
        member.stop()
        db.network.dns.publish(member.name)
        member.vanish()
    del db.members[replicas:]
    return gone


def come_back(db: Database, gone: list[Member]) -> None:
    """The same pods again, at other addresses, with the volumes that they had."""
    for member in gone:
        member.arrive()
        db.members.append(member)
        member.start()
        db.wait()


def test_to_five_to_two_and_to_five_again(running: Database) -> None:
    db = running
    with Writer(db.primary.server) as writer:
        writer.wait()
        grow(db, 3, 4)
        writer.wait()
        gone = shrink(db, 2)
        writer.wait()
        come_back(db, gone)
        writer.wait()
    assert len(db.members) == 5
    assert set(writer.acknowledged) <= set(db.wait_equal())
    for replica in db.replicas:
        assert replica.server.variable("read_only")
        assert replica.sidecar.state == "replica"
        # It has nothing that did not come from the primary.
        assert _writers(replica) == {db.primary.server.identity}


def _writers(member: Member) -> set[str]:
    """The servers whose transactions a server has."""
    server = member.server
    if server.flavour == "mysql":
        sets = str(server.variable("gtid_executed")).split(",")
        return {transactions.strip().partition(":")[0] for transactions in sets}
    known = f"{server.variable('gtid_binlog_state')},{server.variable('gtid_slave_pos')}"
    return {gtid.split("-")[1] for gtid in known.split(",") if gtid}


def test_what_was_away_for_too_long_is_given_a_new_copy(running: Database) -> None:
    """Its logs are purged: it refuses, and a copy on an emptied volume mends it."""
    db = running
    db.primary.server.sql("INSERT INTO shop.orders VALUES (1)")
    db.wait_equal()
    (late,) = shrink(db, 2)
    db.primary.server.sql("INSERT INTO shop.orders VALUES (2)")
    db.wait_equal()
    db.primary.server.purge_logs()
    late.arrive()
    late.start()
    assert "copy" in late.sidecar.wait_for("refused")
    assert db.rows(late) == [1]
    late.kill()
    late.server.wipe()
    until(lambda: db[1].sidecar.ready()[0] == 200, what="the other replica may be copied")
    assert "done: copied from mysql-1" in clone(db, late)
    late.start()
    db.members.append(late)
    db.wait()
    assert db.wait_equal() == [1, 2]

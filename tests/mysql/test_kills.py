"""kill -9 of whatever there is, while a client writes; see also `campaign`."""

from __future__ import annotations

import pytest

from .database import Database, Image
from .pods import Network
from .writer import Writer


@pytest.fixture
def running(db: Database) -> Database:
    db.start()
    db.wait()
    db.create_shop()
    return db


def all_there(db: Database, writer: Writer) -> None:
    """Each acknowledged row is on the primary and on every replica, and all have the same."""
    rows = db.wait_equal()
    assert set(writer.acknowledged) <= set(rows)


def test_of_the_primary_server(running: Database) -> None:
    primary = running.primary
    with Writer(primary.server) as writer:
        for _ in range(3):
            writer.wait()
            primary.server.kill()
            primary.server.start(wait=False)
            writer.wait()
    running.wait()
    all_there(running, writer)


def test_of_every_sidecar(running: Database) -> None:
    """The servers go on without them."""
    with Writer(running.primary.server) as writer:
        for member in running.members:
            writer.wait()
            member.sidecar.kill()
        writer.wait(50)
        assert not [text for text in writer.refusals if "read-only" in text]
        for member in running.members:
            member.sidecar.start()
        running.wait()
        writer.wait()
    all_there(running, writer)


def test_of_everything_at_once(running: Database) -> None:
    with Writer(running.primary.server) as writer:
        writer.wait(50)
        for member in running.members:
            member.kill()
        running.start(2, 1, 0)
        running.wait()
        writer.wait(50)
    all_there(running, writer)


def test_of_a_replica_that_begins_another_relay_log(bridge: Network, every_mariadb: Image) -> None:
    """Its index then lists a log that is gone, and it starts no replication."""
    db = Database(bridge, every_mariadb)
    db.start()
    db.wait()
    db.create_shop()
    replica = db[1]
    replica.kill()
    gone, data = "./relay.000000", replica.server.datadir
    (data / "relay.index").write_text(f"{gone}\n{(data / 'relay.index').read_text()}")
    (data / "relay-log.info").write_text(f"5\n{gone}\n4\n\n0\n0\n")
    replica.start()
    with Writer(db.primary.server) as writer:
        writer.wait(50)
        why = replica.sidecar.wait_for("connecting", "replica")
    assert "discarding relay logs that cannot be read, starting replication" in why
    replica.sidecar.wait_for("replica")
    all_there(db, writer)
    db.close()

"""Snapshots of volumes as copies: the data are right, and MySQL's identity is another server's."""

from __future__ import annotations

import pytest

from .database import Database, Member
from .volumes import restore, save
from .waiting import until

pytestmark = [pytest.mark.timeout(240), pytest.mark.long]  # MySQL takes seconds to start


@pytest.fixture
def running(every_db: Database) -> Database:
    every_db.start()
    every_db.wait()
    every_db.create_shop()
    write(every_db, 1)
    every_db.wait_equal()
    return every_db


def write(db: Database, number: int) -> None:
    db.primary.server.sql(f"INSERT INTO shop.orders VALUES ({number})")


def give_snapshot(db: Database, source: Member, target: Member) -> None:
    """Give a pod the volume of another one, as a VolumeSnapshot of it is."""
    source.stop()
    saved = save(source, "snapshot")
    source.start()
    db.wait()
    write(db, 2)
    db.wait_equal()
    target.stop()
    restore(target, saved, as_it_is=True)
    target.start()
    target.server.wait_ready()


def make_it_another_server(member: Member) -> None:
    """What the message and the page say: stop the server, remove auto.cnf, and start it."""
    member.server.stop()
    (member.server.datadir / "auto.cnf").unlink()
    member.server.start()


def all_follow(db: Database) -> None:
    db.wait()
    write(db, 3)
    assert db.wait_equal() == [1, 2, 3]
    for member in db.members:
        until(
            lambda member=member: (
                member.sidecar.ready()[0] == 200 and not member.sidecar.ready()[1]["problems"]
            ),
            what=lambda member=member: str(member.sidecar.ready()),
        )


def test_of_a_replica(running: Database) -> None:
    primary, source, target = running.members
    give_snapshot(running, source, target)
    if primary.server.flavour == "mysql":

        def duplicate() -> list[str]:
            found = primary.sidecar.ready()[1]["problems"]
            return [one["detail"] for one in found if "server_uuid" in one["detail"]]

        (advice,) = until(duplicate, what=lambda: str(primary.sidecar.ready()))
        assert "the ordinals 1 and 2 have one server_uuid" in advice
        assert "in the pod that was given the copy" in advice
        for replica in running.replicas:
            assert {*running.rows(replica)} <= {1, 2}
        make_it_another_server(target)
        for replica in running.replicas:  # the other one asks again twice a minute
            until(lambda replica=replica: replica.server.replicates, timeout=60)
    all_follow(running)


def test_of_the_primary(running: Database) -> None:
    target = running[2]
    give_snapshot(running, running.primary, target)
    if target.server.flavour == "mysql":
        assert "auto.cnf" in target.sidecar.wait_for("refused")
        assert target.sidecar.ready()[0] == 503
        assert running.rows(target) == [1]
        make_it_another_server(target)
    all_follow(running)

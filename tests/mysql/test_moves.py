"""The primary's role moves to another pod, under writes; and does not while rows could be lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .database import Database, Member
from .volumes import restore, save
from .waiting import until
from .writer import Writer

pytestmark = pytest.mark.timeout(240)

LONGEST_GAP = 20.0
"""Seconds without a writer that is acknowledged; a bound for a busy machine, not a promise."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "primary"
    path.write_text("0\n")
    return path


@pytest.fixture(params=[(), ("--durability", "semi-sync")], ids=["async", "semi-sync"])
def db(request: pytest.FixtureRequest, make_every: Callable[..., Database], file: Path) -> Database:
    return started(make_every(setup=request.param), file)


def started(db: Database, file: Path) -> Database:
    for member in db.members:
        member.sidecar.environment["PEERDISCO_MYSQL_PRIMARY_ORDINAL_FILE"] = str(file)
    return db.open_shop()


def problem(member: Member) -> str:
    found = [one for one in member.sidecar.ready()[1]["problems"] if one["code"] == "move"]
    return str(found[0]["detail"]) if found else ""


def wait_moved(db: Database, new: Member) -> None:
    new.sidecar.wait_for("primary", timeout=60)
    for member in db.members:
        if member is not new:
            until(
                lambda member=member: (
                    member.server.replicates
                    and str(member.server.replica_status()).count(f"{new.name}.mysql")
                ),
                timeout=60,
                what=lambda member=member: (
                    f"{member.name} follows: {member.sidecar.said} {member.server.replica_status()}"
                ),
            )
            assert member.server.variable("read_only")


def wait_equal(db: Database, new: Member) -> set[int]:
    rows = db.rows(new)
    for member in db.members:
        until(lambda member=member: db.rows(member) == rows, what=f"{member.name} has the rows")
    return set(rows)


def test_the_role_moves_there_and_back_without_a_lost_row(
    db: Database, file: Path, record_property: Callable[[str, object], None]
) -> None:
    old, new = db[0], db[1]
    acknowledged: list[int] = []
    for first, (old, new) in ((1, (db[0], db[1])), (1_000_000, (db[1], db[0]))):
        with Writer(old.server, first) as before:
            before.wait(50)
            new.server.sql("FLUSH TABLES")  # logged as its own, and no change of its data
            file.write_text(f"{new.name[-1]}\n")
            until(
                lambda old=old: old.server.variable("read_only"),
                what=lambda old=old, new=new: (
                    f"the old one is closed: {problem(old)}; {new.name}: {new.sidecar.said}"
                ),
            )
            closed_at = time.monotonic()
            with Writer(new.server, first + 500_000) as after:
                after.wait(1)
                gap = time.monotonic() - closed_at
                record_property("write gap in seconds", round(gap, 2))
                assert gap < LONGEST_GAP
                wait_moved(db, new)
                after.wait(20)
        acknowledged += [*before.acknowledged, *after.acknowledged]
        assert set(acknowledged) <= wait_equal(db, new)


def test_a_pod_without_acknowledged_rows_is_not_opened(
    make: Callable[..., Database], file: Path
) -> None:
    """Neither while it lags, nor while the old primary cannot be asked."""
    db = started(make(), file)
    old, new = db[0], db[1]
    with Writer(old.server) as writer:
        writer.wait(20)
        with new.server.holding("LOCK TABLES shop.orders READ"):
            writer.wait(100)
            # The old one is gone before its sidecar reads the file.
            old.kill()
            file.write_text("1")
            until(
                lambda: "mysql-0, the primary until now, cannot be asked" in problem(new),
                what=lambda: str(new.sidecar.ready()),
            )
            assert new.server.variable("read_only")
    assert "without mysql-0" in problem(new)
    old.start()
    wait_moved(db, new)
    assert set(writer.acknowledged) <= wait_equal(db, new)


def test_the_role_stays_while_the_wanted_pod_does_not_replicate(
    make_every: Callable[..., Database], file: Path
) -> None:
    db = started(make_every(), file)
    db[2].stop()
    file.write_text("2")
    until(lambda: "mysql-2 cannot be asked" in problem(db.primary))
    # Nor for a pod that does not exist; and the others follow the primary, also after a restart.
    file.write_text("7")
    until(lambda: "mysql-7 cannot be asked" in problem(db.primary))
    db[1].server.restart()
    db.primary.server.sql("INSERT INTO shop.orders VALUES (1)")
    until(lambda: db.rows(db[1]) == [1], what=lambda: f"it follows: {db[1].sidecar.said}")
    assert db.primary.sidecar.ready()[0] == 200
    file.write_text("two")
    until(
        lambda: (
            "the last value, 7, stays" in problem(db.primary)
            or "got 'two'" in str(db.primary.sidecar.ready())
        )
    )
    # Nor behind a lock of a client, for which all writes would wait.
    with db.primary.server.holding("LOCK TABLES shop.orders WRITE"):
        file.write_text("1")
        until(lambda: "a lock of a client does not end" in problem(db.primary))
        db.primary.server.sql("CREATE TABLE shop.more (n INT PRIMARY KEY)")
        assert db.primary.sidecar.ready()[0] == 200
    file.write_text("0")
    until(lambda: problem(db.primary) == "")


def test_rows_are_given_up_only_by_name(make: Callable[..., Database], file: Path) -> None:
    db, pause = make(2), file.with_name("pause")
    for member in db.members:
        member.sidecar.environment["PEERDISCO_MYSQL_PAUSE_FILE"] = str(pause)
    started(db, file)
    old, new = db[0], db[1]
    # A pause comes before a move: the pod that takes writes stays the primary for its clients.
    pause.touch()
    until(lambda: old.sidecar.ready()[1]["paused"])
    file.write_text("1")
    until(lambda: "paused" in problem(old), what=lambda: str(old.sidecar.ready()))
    old.server.sql("INSERT INTO shop.orders VALUES (1)")
    status, told = old.sidecar.ready()
    assert (status, told["role"], new.sidecar.ready()[0]) == (200, "primary", 200)
    file.write_text("0")
    until(lambda: problem(old) == "", what=lambda: str(old.sidecar.ready()))
    pause.unlink()
    db.wait_equal()
    old.kill()
    file.write_text("1 without mysql-7")
    until(lambda: "cannot be asked" in problem(new))
    assert new.server.variable("read_only")
    file.write_text("1 without mysql-0")
    new.sidecar.wait_for("primary")
    assert db.rows(new) == [1]


def test_the_option_moves_the_role_as_carefully_as_the_file(make: Callable[..., Database]) -> None:
    """Pods that are restarted with ``--ordinal 1`` while mysql-1 is behind, and mysql-0 is down."""
    db = make(2)
    db.start()
    db.wait()
    db.create_shop()
    db.wait_equal()
    old, new = db.members
    new.sidecar.stop()
    new.server.sql("STOP REPLICA")
    old.server.sql(*(f"INSERT INTO shop.orders VALUES ({n})" for n in range(1, 31)))
    old.stop()
    new.sidecar.start("--ordinal", "1")
    until(
        lambda: "mysql-0, the primary until now, cannot be asked" in problem(new),
        what=lambda: str(new.sidecar.ready()),
    )
    assert new.server.variable("read_only")
    assert new.sidecar.state != "primary"
    assert db.rows(new) == []
    old.server.start()
    old.sidecar.start("--ordinal", "1")
    wait_moved(db, new)
    assert wait_equal(db, new) == {*range(1, 31)}
    assert new.sidecar.ready()[1]["role"] == "primary"


def test_a_log_that_lost_its_beginning_is_not_taken_for_the_whole(
    make_every: Callable[..., Database], file: Path
) -> None:
    """On MariaDB, dropping administrative statements drops all of a replica's own log."""
    db = started(make_every(), file)
    new, empty = db[1], db[2]
    new.server.sql("FLUSH TABLES")
    db.primary.server.sql("INSERT INTO shop.orders VALUES (1)")
    db.wait_equal()
    file.write_text("1\n")
    wait_moved(db, new)
    new.server.sql("CREATE TABLE shop.more (n INT PRIMARY KEY)")
    empty.stop()
    empty.server.wipe()
    empty.start()
    empty.server.wait_ready()
    if new.server.flavour == "mariadb":
        assert "can no longer send what this pod needs" in empty.sidecar.wait_for("refused")
        assert db.rows(empty) == []
        assert "shop" not in empty.server.schemas()
        assert empty.sidecar.ready()[0] == 503
    else:
        assert wait_equal(db, new) == {1}


def test_a_former_primary_gets_a_copy_of_what_it_wrote_itself(
    make_every: Callable[..., Database], file: Path
) -> None:
    """A replica skips transactions with its own server_id, and would be without these rows."""
    db = started(make_every(2), file)
    first, second = db.members
    first.server.sql("INSERT INTO shop.orders VALUES (1)")
    db.wait_equal()
    second.stop()
    older = save(second, "older")
    second.start()
    for member, row in ((second, 2), (first, 3)):
        file.write_text(f"{member.name[-1]}\n")
        wait_moved(db, member)
        member.server.sql(f"INSERT INTO shop.orders VALUES ({row})")
        wait_equal(db, member)
    second.stop()
    second.server.wipe()
    second.start()
    for rows in ([], [1]):
        why = second.sidecar.wait_for("refused")
        assert "a server skips what it has written itself" in why
        status, told = second.sidecar.ready()
        assert (status, told["verdict"]["reasons"][0]["code"]) == (503, "needs-copy")
        assert db.rows(second) == rows
        if not rows:
            second.stop()
            restore(second, older)
            second.start()
    second.stop()
    first.stop()
    restore(second, save(first, "copy"))
    for member in db.members:
        member.start()
    db.wait()
    assert db.wait_equal() == [1, 2, 3]


def test_the_role_is_wanted_back_while_the_other_pod_is_being_opened(
    make_every: Callable[..., Database], file: Path
) -> None:
    """Two pods must not be open at once, however long the opening of one takes."""
    db = started(make_every(2), file)
    old, new = db.members

    def both_open() -> bool:
        return not any(member.server.variable("read_only") for member in db.members)

    def opening() -> bool:
        sessions = new.server.sql("SHOW PROCESSLIST")
        return any(str(one["Info"]).startswith("INSERT INTO peerdisco.epochs") for one in sessions)

    with Writer(old.server) as before:
        before.wait(20)
        with new.server.holding("LOCK TABLES peerdisco.epochs READ"):
            file.write_text("1")
            until(opening, what=lambda: str(new.sidecar.ready()))
            file.write_text("0")
            until(
                lambda: "at this moment" in str(old.sidecar.ready()),
                what=lambda: str(old.sidecar.ready()),
            )
            assert old.server.variable("read_only")

        def is_back() -> bool:
            assert not both_open()
            return bool(new.server.replicates and not old.server.variable("read_only"))

        until(is_back, timeout=60, what=lambda: f"{old.sidecar.said} {new.sidecar.said}")
        before.wait(20)
    wait_moved(db, old)
    assert set(before.acknowledged) <= wait_equal(db, old)

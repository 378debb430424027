"""From nothing to a replicating database, by the sidecars alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from .database import Database, Image, Member
from .pods import Network
from .waiting import until

PRIMARY = "mysql-0.mysql.default.svc.cluster.local"


def replicates(db: Database) -> None:
    """What is written to the primary is read on every replica."""
    db.create_shop()
    db.primary.server.sql("INSERT INTO shop.orders VALUES (1), (2), (3)")
    assert db.wait_equal() == [1, 2, 3]


@pytest.mark.parametrize(
    "order",
    [
        pytest.param(
            order, marks=() if order in ((0, 1, 2), (2, 1, 0)) else pytest.mark.long, id=str(order)
        )
        for order in itertools.permutations(range(3))
    ],
)
def test_three_pods_in_any_order(db: Database, order: tuple[int, ...]) -> None:
    db.start(*order)
    db.wait()
    replicates(db)
    assert not db.primary.server.variable("read_only")
    assert db.primary.server.replica_status() == {}
    for replica in db.replicas:
        assert replica.server.variable("read_only")
        assert replica.server.replica_status()["Source_Host"] == PRIMARY


def test_three_pods_on_loopback(
    make: Callable[..., Database], loopback: Network, image: Image
) -> None:
    db = make(3, loopback)
    db.start(2, 0, 1)
    db.wait()
    replicates(db)


@pytest.mark.parametrize("last", range(3))
def test_a_pod_that_comes_late(db: Database, last: int) -> None:
    """Ordinal 0 decides only when all have answered, and a late replica finds its way."""
    first = [member for member in db.members if member is not db[last]]
    for member in first:
        member.start()
    for member in first:
        member.sidecar.wait_for("waiting")
    if last != 0:
        assert first[0].server.variable("read_only")
    db[last].start()
    db.wait()
    replicates(db)


def test_the_first_start_that_was_announced_waits_for_nobody(db: Database) -> None:
    db.primary.server.start()
    db.primary.sidecar.start("--first-start")
    db.primary.sidecar.wait_for("primary")
    db.create_shop()
    for replica in db.replicas:
        replica.start()
    db.wait()
    assert db.wait_equal() == []


def test_a_single_pod(make: Callable[..., Database]) -> None:
    db = make(1)
    db.start()
    db.primary.sidecar.wait_for("primary")
    assert not db.primary.server.variable("read_only")


@pytest.mark.parametrize("completion", ["RELEASE", pytest.param("CHAIN", marks=pytest.mark.long)])
def test_session_settings_of_the_server_change_no_statement(
    make_every: Callable[..., Database], completion: str
) -> None:
    db = make_every(1)
    session = "SET sql_safe_updates = 1, autocommit = 0"
    db.primary.server.arguments = (
        f"--completion-type={completion}",
        f"--init-connect={session}",
        "--sql-mode=ANSI_QUOTES,NO_BACKSLASH_ESCAPES",
    )
    db.start()
    db.wait()
    before = db.primary.server.value("SELECT counter FROM peerdisco.heartbeat")
    db.primary.server.restart()
    db.wait()
    until(
        lambda: db.primary.server.value("SELECT counter FROM peerdisco.heartbeat") > before + 2,
        what=lambda: str(db.primary.sidecar.ready()),
    )


def test_a_second_start_changes_nothing(db: Database) -> None:
    """Nothing but the heartbeat, which goes on."""
    db.start()
    db.wait()
    # Replicas receive the history from the primary, some time after they are ready.
    until(lambda: all(map(history, db.members)), what="every member has the history")
    before = [history(member) for member in db.members]
    for member in db.members:
        assert member.sidecar.stop() == 0
    for member in db.members:
        member.sidecar.start()
    db.wait()
    assert [history(member) for member in db.members] == before
    for member in db.members:
        done = [why for _, why in member.sidecar.states if "(done:" in why]
        assert [why for why in done if "the receiver" not in why] == []


def history(member: Member) -> list[dict[str, object]]:
    """The rows of the history; none where the table has not been replicated yet."""
    known = "SELECT 1 FROM information_schema.tables WHERE table_name = 'epochs'"
    return member.server.sql(known) and member.server.sql("SELECT * FROM peerdisco.epochs")


def test_a_restart_of_all_pods(db: Database) -> None:
    db.start()
    db.wait()
    replicates(db)
    for member in reversed(db.members):
        member.stop()
    # Whatever it was, a server that starts is closed until its sidecar has looked.
    for member in db.members:
        member.server.start()
        assert member.server.variable("read_only")
        assert member.server.replica_status().get("Replica_IO_Running", "No") == "No"
    for member in db.members:
        member.sidecar.start()
    db.wait()
    db.primary.server.sql("INSERT INTO shop.orders VALUES (4)")
    assert db.wait_equal() == [1, 2, 3, 4]


def test_ready_says_who_is_what(db: Database) -> None:
    db.start()
    db.wait()
    status, told = db.primary.sidecar.ready()
    assert (status, told["role"], told["state"]) == (200, "primary", "primary")
    identity = told["identity"]
    assert identity == db.primary.server.value("SELECT id FROM peerdisco.cluster")
    for replica in db.replicas:
        until(lambda replica=replica: replica.sidecar.ready()[0] == 200, what="it is ready")
        status, told = replica.sidecar.ready()
        assert (told["role"], told["state"]) == ("replica", "replica")
        assert isinstance(told["lag"], int)
        assert told["source"] == PRIMARY
        assert told["identity"] == identity
    assert db.primary.sidecar.get("/healthz")[0] == 200
    status, metrics = db.primary.sidecar.get("/metrics")
    assert status == 200
    assert "# TYPE " in metrics

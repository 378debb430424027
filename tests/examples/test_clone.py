"""Copies of real servers by the scripts, as an init container runs them, killed at each stage."""

from __future__ import annotations

import pytest

from tests.mysql.waiting import DEADLINE, until

from .databases import (
    COUNT,
    REPLICATED,
    ROW,
    ROWS,
    SHOP,
    Pods,
    altering,
    locked,
    unacknowledged,
    wait_until_held,
)

pytestmark = pytest.mark.timeout(120)

STAGES = ("source", "prepare", "start", "copy", "check", "stop", "finish")
BEGINNING = "mysql-0.mysql.default.svc.cluster.local"
NEAREST = "mysql-1.mysql.default.svc.cluster.local"


def test_copy_takes_up_where_it_ended(pods: Pods) -> None:
    primary, volume = pods.server(0, ROW, SHOP), pods.volume(1)
    assert volume.find() == 0
    assert volume.last == f"clone: source: {BEGINNING}"
    assert volume.clone() == 0, volume.story
    assert [line.split(":")[1].strip() for line in volume.said[1:]] == [*STAGES, "done"]
    assert volume.files == {"data"}, "nothing is left beside the data directory"
    assert not (volume.run / "source.cnf").exists()

    copy = volume.server
    pods.assert_replicates(copy, primary)
    assert copy.value("SELECT n FROM shop.first") == 1
    assert copy.sql("CALL shop.count_them()") == [{"COUNT(*)": ROWS + 1}]
    copy.stop()
    # What a restart reads of the position is not a row that the dump brought.
    copy.start()
    assert copy.variable("gtid_slave_pos") == primary.variable("gtid_binlog_pos")


def test_nothing_is_done_where_there_is_data(pods: Pods) -> None:
    pods.server(0, ROW, SHOP)
    volume = pods.volume(1)
    own = volume.server.datadir
    own.mkdir()
    (own / "ibdata1").write_text("somebody's")
    pods.network.own(own)
    assert volume.find() == 0
    assert volume.last == f"clone: skipped: {own} holds data already"
    assert (volume.run / "sources").read_text() == ""
    assert volume.clone() == 0
    assert volume.last == f"clone: skipped: {own} holds data already"
    assert [file.name for file in own.iterdir()] == ["ibdata1"]


def test_directory_that_a_mount_has_created_is_no_data(pods: Pods) -> None:
    primary, volume = pods.server(0, ROW, SHOP), pods.volume(1)
    volume.server.datadir.mkdir()
    pods.network.own(volume.path)
    assert (volume.find(), volume.clone()) == (0, 0), volume.story
    pods.assert_replicates(volume.server, primary)


@pytest.mark.parametrize(
    "stage",
    [
        pytest.param(stage, marks=() if stage in ("copy", "finish") else pytest.mark.long)
        for stage in STAGES
    ],
)
def test_copy_that_is_killed_begins_again(pods: Pods, stage: str) -> None:
    primary, volume = pods.server(0, ROW, SHOP), pods.volume(1)
    volume.find()
    if stage == "copy":
        with locked(primary):
            script = volume.script("clone-mariadb.sh")
            script.wait_for("clone: copy:")
            wait_until_held(primary)
            volume.kill(script)
    else:
        script = volume.script("clone-mariadb.sh")
        script.wait_for(f"clone: {stage}:")
        volume.kill(script)
    # On a busy machine the script may have come further before it was killed.
    if not script.said("clone: finish:"):
        assert volume.files <= {"data.unfinished", "data.scratch"}, "half a copy has no name"

    assert (volume.find(), volume.clone()) == (0, 0), volume.story
    assert volume.files == {"data"}
    pods.assert_replicates(volume.server, primary)


def test_copy_that_is_told_to_stop_stops_at_once(pods: Pods) -> None:
    primary, volume = pods.server(0, ROW, SHOP), pods.volume(1)
    volume.find()
    with locked(primary):
        script = volume.script("clone-mariadb.sh")
        script.wait_for("clone: copy:")
        wait_until_held(primary)
        script.terminate()
        # In a container all that it started ends with it; here the dump waits for its table.
        assert script.process.wait(DEADLINE) == 143
    script.ended()
    assert not (volume.run / "source.cnf").exists()
    assert volume.files == {"data.unfinished", "data.scratch"}


def test_source_that_goes_away_leaves_no_copy(pods: Pods) -> None:
    primary, volume = pods.server(0, ROW, SHOP), pods.volume(1)
    volume.find()
    with locked(primary):
        script = volume.script("clone-mariadb.sh")
        script.wait_for("clone: copy:")
        wait_until_held(primary)
        primary.kill()
        assert script.ended() == 1
    assert script.lines[-1].startswith(f"clone: failed: mariadb-dump from {BEGINNING}:")
    assert volume.files == {"data.unfinished", "data.scratch"}
    primary.start()
    assert volume.clone() == 0, volume.story
    pods.assert_replicates(volume.server, primary)


def test_wrong_password_is_one_clear_line(pods: Pods) -> None:
    pods.server(0, ROW, SHOP)
    volume = pods.volume(1)
    pods.password.write_text("quite another one")
    pods.evidence.secrets.append("quite another one")
    volume.find()
    script = volume.script("clone-mariadb.sh")
    assert script.ended() == 1
    _, failed = script.lines
    assert failed.startswith(
        f"clone: failed: {BEGINNING} does not take the password in {pods.password} "
        "for peerdisco_backup: ERROR 1045 (28000): Access denied"
    )
    assert volume.files == set()
    volume.said += script.lines


@pytest.mark.parametrize(
    ("content", "complaint"),
    [("", "is empty"), ("two\nlines\n", "has several lines"), (None, "cannot be read")],
)
def test_password_file_that_cannot_be_used(pods: Pods, content: str | None, complaint: str) -> None:
    pods.server(0, ROW)
    volume = pods.volume(1)
    volume.find()
    if content is None:
        pods.password.unlink()
    else:
        pods.password.write_text(content)
    assert volume.clone() == 1
    assert volume.last.startswith(f"clone: failed: {pods.password} {complaint}")


def test_source_that_cannot_be_reached_is_waited_for_a_while(pods: Pods) -> None:
    primary, volume = pods.server(0, ROW, SHOP), pods.volume(1)
    volume.find()
    primary.stop()
    assert volume.clone(CLONE_TIMEOUT="1") == 1
    assert volume.last.startswith(f"clone: failed: no source within 1 s: {BEGINNING}: ERROR 2002")
    assert volume.files == set()

    script = volume.script("clone-mariadb.sh")
    script.wait_for("clone: source:")
    primary.start()
    assert script.ended() == 0, volume.story
    pods.assert_replicates(volume.server, primary)


def test_first_start_has_nothing_to_copy(pods: Pods) -> None:
    pods.server(0)
    volumes = [pods.volume(1), pods.volume(2)]
    pods.network.dns.publish("mysql-1")  # it is not listed yet
    for volume in volumes:
        assert (volume.find(), volume.clone()) == (0, 0)
        assert volume.last == (
            f"clone: skipped: {BEGINNING}: it holds no data, "
            "so the server starts with an empty volume"
        )
        assert volume.files == set()


def test_nearest_pod_is_asked_first_and_the_primary_decides(pods: Pods) -> None:
    primary = pods.server(0, ROW, SHOP)
    nearest = pods.server(1)
    volume = pods.volume(2)
    assert volume.find() == 0
    # Another new pod has no data, which is no reason to begin without.
    assert volume.said[-2] == "peerdisco: mysql-1 is not used: it holds no data of a cluster"
    assert volume.last == f"clone: source: {BEGINNING}"
    assert volume.clone() == 0
    assert volume.last == f"clone: done: copied from {BEGINNING}"
    nearest.stop()
    pods.assert_replicates(volume.server, primary)


def test_copy_of_a_copy_takes_up_where_the_first_ended(pods: Pods) -> None:
    primary, first = pods.server(0, ROW, SHOP), pods.volume(1)
    assert (first.find(), first.clone()) == (0, 0), first.story
    first.server.start()  # nothing has been written since, so its own binary log is empty
    second = pods.volume(2)
    assert (second.find(), second.clone()) == (0, 0), second.story
    assert second.last == "clone: done: copied from mysql-1.mysql.default.svc.cluster.local"
    pods.assert_replicates(second.server, primary)


def test_dump_that_knows_too_little_is_refused(pods: Pods) -> None:
    pods.server(0, ROW, SHOP)
    # A replica that was restored by other means: the position is set, but not in the binary log.
    nearest = pods.server(1)
    nearest.script(
        f"SET SESSION sql_log_bin = 0; {ROW} {SHOP} SET GLOBAL gtid_slave_pos = '0-100-500,7-100-3'"
    )
    volume = pods.volume(2)
    (volume.run / "sources").write_text(f"{NEAREST}\n")
    assert volume.clone() == 1
    assert volume.last.startswith("clone: failed: the copy has no position")
    nearest.sql("CREATE SCHEMA other")
    assert volume.clone() == 1
    assert "holds 0-101-501, and mysql-1" in volume.last
    assert "held 0-100-500,7-100-3 before" in volume.last
    # The primary is asked when the nearest pod has failed.
    (volume.run / "sources").write_text(f"{NEAREST}\n{BEGINNING}\n")
    assert volume.clone() == 0, volume.story
    assert volume.last == f"clone: done: copied from {BEGINNING}"


@pytest.mark.parametrize("engine", ["MyISAM", "Aria", "MEMORY"])
def test_tables_that_a_copy_would_have_half_are_refused(pods: Pods, engine: str) -> None:
    primary, volume = pods.server(0, ROW, SHOP), pods.volume(1)
    primary.sql(f"CREATE TABLE shop.hits (n INT) ENGINE = {engine}")
    assert (volume.find(), volume.clone()) == (0, 1)
    assert f"has tables that cannot be copied consistently: shop.hits ({engine})" in volume.last
    assert volume.files == set()
    primary.sql("ALTER TABLE shop.hits ENGINE = InnoDB")
    assert volume.clone() == 0, volume.story


def test_copy_that_waits_for_a_lock_is_ended(pods: Pods) -> None:
    """A commit that waits for a replica is no reason: MariaDB's dump locks nothing."""
    primary, volume = pods.server(0, ROW, SHOP), pods.volume(1)
    volume.find()
    with primary.holding("LOCK TABLES shop.orders WRITE"):
        assert volume.clone(CLONE_TIMEOUT="1") == 1
        assert f"{BEGINNING}: the copy waited for a lock, and was ended: S" in volume.last
        assert volume.files <= {"data.unfinished", "data.scratch"}
    with unacknowledged(primary):
        assert (volume.find(), volume.clone()) == (0, 0), volume.story


def test_alter_table_in_progress_is_waited_for(pods: Pods) -> None:
    primary, volume = pods.server(0, ROW, SHOP), pods.volume(1)
    volume.find()
    with altering(primary) as release:
        assert volume.clone(CLONE_TIMEOUT="0") == 1
        assert volume.last.startswith(
            f"clone: failed: {BEGINNING} still changes the definition of a table after 0 s: "
            "ALTER TABLE shop.orders (root, "
        )
        assert volume.files == set()
        script = volume.script("clone-mariadb.sh")
        script.wait_for(f"clone: waiting: {BEGINNING} changes the definition of a table: ALTER")
        release()
        assert script.ended() == 0, script.lines
    volume.said += script.lines
    pods.assert_replicates(volume.server, primary)
    assert volume.server.sql("SHOW COLUMNS FROM shop.orders LIKE 'more'")


def test_account_that_does_not_see_an_alter_table_is_reported(pods: Pods) -> None:
    """One of an earlier version: mariadb-dump itself fails with error 1412."""
    primary, volume = pods.server(0, ROW, SHOP), pods.volume(1)
    primary.sql("REVOKE PROCESS ON *.* FROM 'peerdisco_backup'@'%'")
    assert (volume.find(), volume.clone()) == (0, 0), volume.story
    assert any("does not have the privilege PROCESS" in line for line in volume.said)


def test_numbers_of_another_server_are_another_history(pods: Pods) -> None:
    """The same numbers, and as many epochs: only who wrote them differs."""
    pods.server(0, ROW, SHOP)
    pods.server(1, ROW, SHOP, REPLICATED)
    volume = pods.volume(2)
    (volume.run / "sources").write_text(f"{NEAREST}\n{BEGINNING}\n")
    assert volume.clone() == 1
    assert "these are different transactions" in volume.last
    assert "the copy has 0-101-" in volume.last
    assert volume.clone() == 0, volume.story
    assert volume.last == f"clone: done: copied from {BEGINNING}"


def test_named_source_of_a_replica_has_to_have_the_primarys_history(pods: Pods) -> None:
    primary = pods.server(0, ROW, SHOP)
    pods.server(2, ROW, SHOP, REPLICATED)
    volume = pods.volume(1)
    assert volume.find(CLONE_FROM="mysql-2", CLONE_TIMEOUT="1") == 1
    assert "peerdisco: mysql-2 is not used: its history is not the primary's" in volume.said[-3]
    assert volume.last == "clone: failed: CLONE_FROM: mysql-2 may not be copied, see above"
    pods.replica(3, primary)
    assert volume.find(CLONE_FROM="mysql-3") == 0, volume.said
    assert volume.clone() == 0, volume.story
    pods.assert_replicates(volume.server, primary)


def test_rows_that_were_replaced_in_a_versioned_table_are_copied(pods: Pods) -> None:
    primary, volume = pods.server(0, ROW, SHOP), pods.volume(1)
    primary.script(
        "CREATE TABLE shop.prices (n INT PRIMARY KEY, price INT) WITH SYSTEM VERSIONING;"
        "INSERT INTO shop.prices VALUES (1, 10); UPDATE shop.prices SET price = 20;"
    )
    assert (volume.find(), volume.clone()) == (0, 0), volume.story
    pods.assert_replicates(volume.server, primary)
    every = "SELECT price FROM shop.prices FOR SYSTEM_TIME ALL ORDER BY price"
    assert volume.server.sql(every) == [{"price": 10}, {"price": 20}]


HISTORY = (
    "CREATE TABLE peerdisco.epochs (number INT PRIMARY KEY, id CHAR(36), server CHAR(36)); "
    "INSERT INTO peerdisco.epochs VALUES (1, 'a', '100'), "
)


@pytest.mark.parametrize("epoch", ["(2, 'c', '100')", "(2, 'b', '101')"], ids=["id", "server"])
def test_a_source_that_followed_another_primary_is_refused(pods: Pods, epoch: str) -> None:
    pods.server(0, ROW, SHOP, f"{HISTORY} (2, 'b', '100')")
    pods.server(1, ROW, SHOP, HISTORY + epoch, REPLICATED)
    volume = pods.volume(2)
    (volume.run / "sources").write_text(f"{NEAREST}\n{BEGINNING}\n")
    assert volume.clone() == 1
    assert f"the history of the copy is not that of {BEGINNING}" in volume.last
    assert volume.clone() == 0, volume.story
    assert volume.last == f"clone: done: copied from {BEGINNING}"


def test_source_that_is_not_set_up_yet_is_waited_for(pods: Pods) -> None:
    primary, volume = pods.server(0, SHOP), pods.volume(1)
    (volume.run / "sources").write_text(f"{BEGINNING}\n")
    assert volume.clone(CLONE_TIMEOUT="1") == 1
    assert "no row in peerdisco.cluster says of which cluster" in volume.last
    primary.script(ROW)
    assert volume.clone() == 0


def test_primary_has_nobody_to_copy_from(pods: Pods) -> None:
    pods.server(1, ROW, SHOP)
    volume = pods.volume(0)
    assert (volume.find(), volume.clone()) == (0, 0)
    assert volume.said[0].startswith("clone: skipped: this is the primary's pod")
    assert volume.last == (
        "clone: skipped: there is nobody to copy from, the server starts with an empty volume"
    )
    assert volume.files == set()


def test_lost_primary_is_restored_from_the_pod_that_is_named(pods: Pods) -> None:
    replica = pods.server(1, ROW, SHOP, REPLICATED)
    volume = pods.volume(0)
    assert volume.find(CLONE_FROM="mysql-1") == 0
    assert volume.clone(CLONE_FROM="mysql-1") == 0, volume.story
    primary = volume.server
    primary.start()
    primary.sql("SET GLOBAL read_only = OFF")
    before = replica.variable("gtid_binlog_pos")
    pods.replicate(replica, primary)
    primary.sql("INSERT INTO shop.orders VALUES (0, 'since')")
    until(lambda: replica.value(COUNT) == ROWS + 1, what=str(replica.replica_status()))
    # The numbers go on, so no replica takes two transactions for one.
    sequence = int(before.rpartition("-")[2])
    assert primary.variable("gtid_binlog_pos") == f"0-100-{sequence + 1}"


def test_primary_is_not_restored_from_a_pod_that_has_less(pods: Pods) -> None:
    behind, ahead = pods.server(1, ROW, SHOP), pods.server(2, ROW, SHOP)
    for server, position in ((behind, "0-100-40"), (ahead, "0-100-41")):
        server.script(f"RESET MASTER; SET GLOBAL gtid_slave_pos = '{position}'")
        server.script(f"SET GLOBAL gtid_binlog_state = '{position}'")
    volume = pods.volume(0)
    assert volume.find(CLONE_FROM="mysql-1") == 1
    assert any(
        "mysql-2 has transactions that mysql-1 does not have (0-100-41); restore from mysql-2"
        in line
        for line in volume.said
    )
    ahead.stop()
    assert volume.find(CLONE_FROM="mysql-1") == 1
    assert any("mysql-2 does not answer" in line for line in volume.said)
    ahead.start()
    assert volume.find(CLONE_FROM="mysql-2") == 0
    assert volume.clone() == 0, volume.story
    assert volume.server.datadir.is_dir()


def test_named_source_has_to_hold_data(pods: Pods) -> None:
    pods.server(1)
    volume = pods.volume(0)
    assert volume.find(CLONE_FROM="mysql-1") == 1
    assert "peerdisco: no replica holds data" in volume.said


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({"CLONE_FROM": "mysql-7"}, "CLONE_FROM: got 'mysql-7', expected a pod that is listed:"),
        ({"CLONE_FROM": "mysql-0"}, "CLONE_FROM names this pod"),
        ({"CLONE_FROM": "mysql-1'; DROP"}, "'mysql-1'; DROP' is no host name"),
        ({"POD_NAME": "mysql"}, "POD_NAME has to be the pod's name, such as mysql-1, got 'mysql'"),
        ({"CLONE_VOLUME": "here"}, "CLONE_VOLUME and CLONE_RUN have to be absolute paths"),
        ({"CLONE_PORT": "mysql"}, "CLONE_PORT and CLONE_TIMEOUT have to be numbers"),
        ({"CLONE_RUN": "/nowhere/at/all"}, "/nowhere/at/all is no directory"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_wrong_settings_are_one_clear_line(
    pods: Pods, environment: dict[str, str], complaint: str
) -> None:
    volume = pods.volume(0)
    script = volume.script("find-source.sh", **environment)
    assert script.ended() == 1
    (line,) = script.lines
    assert line.startswith(f"clone: failed: {complaint}")


def test_dns_that_is_away_is_said_so(pods: Pods) -> None:
    volume = pods.volume(1)
    pods.network.dns.fail("servfail")
    assert volume.find(CLONE_TIMEOUT="1") == 1
    assert volume.last == "clone: failed: no pod may be copied, see above"
    assert "SERVFAIL" in volume.said[-2]

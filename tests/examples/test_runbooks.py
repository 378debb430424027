"""The runbooks for volumes of MySQL are executed as they are written, and interrupted anywhere."""

from __future__ import annotations

import gzip
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.mysql.database import Database, Member
from tests.mysql.mariadb import beside
from tests.mysql.waiting import until

from .cloning import need_beside
from .kubectl import CLIENTS, Kubectl
from .runbooks import KEEP, LOST, NEW_COPY, PAGE, commands
from .test_recovery import LOCK, received

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(300),
]

BACKUP = "examples/mysql/backup/README.md"


@pytest.fixture
def db(make_every: Callable[..., Database]) -> Database:
    made = make_every()
    for member in made.members:
        member.sidecar.environment["PEERDISCO_MYSQL_LISTEN"] = "8080"
        if member.server.flavour == "mysql":
            member.server.config += "plugin_load_add = mysql_clone.so\nsecure_file_priv = NULL\n"
    made.start()
    made.wait()
    made.create_shop()
    made.primary.server.sql("INSERT INTO shop.orders VALUES (1), (2)")
    made.wait_equal()
    until(lambda: all(one.sidecar.ready()[0] == 200 for one in made.members), what="all are ready")
    return made


@pytest.fixture
def kubectl(db: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    made = Kubectl(db, tmp_path_factory.mktemp("k"))
    with made.serving():
        yield made


def test_a_replica_gets_a_new_copy_if_nothing_is_lost_with_its_volume(
    db: Database, kubectl: Kubectl
) -> None:
    (replace,), (keep, listing) = commands(PAGE, NEW_COPY), commands(PAGE, KEEP)
    primary, _, replica = db.members
    # On the wrong pod, without a primary, and of a server that does not answer.
    refused = kubectl.run(replace.replace("mysql-2", "mysql-0"))
    assert refused.returncode == 1
    assert refused.stderr.endswith("of mysql-0 must not be emptied: it is the primary\n")
    primary.sidecar.stop()
    assert "there is no primary that it could copy" in kubectl.run(replace).stderr
    primary.sidecar.start()
    replica.server.stop()
    assert "its server does not answer" in kubectl.run(replace).stderr
    replica.server.start()
    db.wait()
    # Interrupted after each step, and begun again.
    for step in (1, 2, 3):
        kubectl.calls.clear()
        kubectl.fails_at = step
        assert kubectl.run(replace).returncode != 0
        assert db.rows(replica) == [1, 2]
    kubectl.fails_at = None
    done = kubectl.run(replace)
    assert done.returncode == 0, done.stderr
    kubectl.wait()
    replica.sidecar.wait_for("replica", timeout=90)
    primary.server.sql("INSERT INTO shop.orders VALUES (3)")
    assert db.wait_equal() == [1, 2, 3]
    assert kubectl.kept == {}
    # A row that a client wrote here.
    replica.locally("INSERT INTO shop.orders VALUES (1000)")
    replica.sidecar.wait_for("refused")
    refused = kubectl.run(replace)
    assert refused.returncode == 1
    assert "it may have what the primary does not have (local-writes: " in refused.stderr
    assert db.rows(replica) == [1, 2, 3, 1000]
    done = kubectl.run(keep)
    assert done.returncode == 0, done.stderr
    kubectl.wait()
    replica.sidecar.wait_for("replica", timeout=90)
    assert db.wait_equal() == [1, 2, 3]
    (volume,) = kubectl.kept
    assert kubectl.run(listing).stdout == f"{volume}\n"
    assert any(kubectl.kept[volume].joinpath("shop").glob("orders.*")), "the volume is kept"


def test_a_lost_primary_is_restored_whenever_the_operator_is_interrupted(
    db: Database, kubectl: Kubectl
) -> None:
    restore, forget = commands(PAGE, LOST)
    primary, first, second = db.members
    # While it is there, nothing happens to it.
    refused = kubectl.run(restore)
    assert refused.returncode == 1
    assert "mysql-0 answers, and holds data" in refused.stderr
    with second.server.holding(LOCK):
        before = received(second)
        first.stop()
        primary.server.sql("INSERT INTO shop.orders VALUES (3)")
        until(lambda: received(second) != before, what="one replica has received the row")
        primary.kill()
        primary.server.wipe()
        primary.start()
        primary.server.wait_ready()
        first.start()
        primary.sidecar.wait_for("refused", timeout=60)
        waits = restore.replace("mysql-recover", "mysql-recover --timeout 3")
        until(
            lambda: "has received transactions that it has not" in kubectl.run(waits).stderr,
            timeout=90,
            what=lambda: kubectl.run(waits).stderr,
        )
        assert kubectl.run(waits).returncode == 5
    for step in range(1, 7):
        kubectl.calls.clear()
        kubectl.fails_at = step
        assert kubectl.run(restore).returncode != 0, kubectl.calls
        kubectl.fails_at = None
        kubectl.run(forget)
        assert db.rows(second) == [1, 2, 3]
    done = kubectl.run(restore)
    assert done.returncode == 0, done.stderr
    kubectl.wait()
    primary.sidecar.wait_for("primary", timeout=90)
    assert kubectl.run(forget).returncode == 0
    # The other replica had less than the copy, whose log does not reach back.
    assert "needs" in first.sidecar.wait_for("refused", timeout=60)
    (new_copy,) = commands(PAGE, NEW_COPY)
    done = kubectl.run(new_copy.replace("--pod mysql-2", "--pod mysql-1"))
    assert done.returncode == 0, done.stderr
    kubectl.wait()
    first.sidecar.wait_for("replica", timeout=90)
    db.wait()
    primary.server.sql("INSERT INTO shop.orders VALUES (4)")
    assert db.wait_equal() == [1, 2, 3, 4]


DUMPS = {
    "mariadb": "mariadb-dump --single-transaction --gtid --master-data=2",
    "mysql": "mysqldump --single-transaction --source-data=2 --set-gtid-purged=OFF",
}


def test_a_backup_is_restored_into_the_primary_alone_and_if_it_is_whole(
    db: Database, kubectl: Kubectl, tmp_path: Path
) -> None:
    name, restore = commands(BACKUP, "## Restore")
    primary, replica, _ = db.members
    dumper, *options = DUMPS[primary.server.flavour].split()
    need_beside(primary.server.program, dumper, CLIENTS[primary.server.flavour])
    dump = subprocess.run(
        [
            str(beside(primary.server.program, dumper)),
            *(f"--socket={primary.server.socket}", "--user=root", *options, "--databases", "shop"),
        ],
        capture_output=True,
        check=True,
        timeout=60,
    ).stdout
    restore = restore.replace("mariadb --user", f"{CLIENTS[primary.server.flavour]} --user")
    broken, whole = tmp_path / "broken.gz", tmp_path / "whole.gz"
    broken.write_bytes(gzip.compress(dump)[:-20])
    whole.write_bytes(gzip.compress(dump))
    primary.server.sql("INSERT INTO shop.orders VALUES (3)")
    db.wait_equal()

    def into(file: Path, member: Member) -> int:
        assert name == "FILE=mysql-20260101T031700Z.sql.gz PRIMARY=mysql-0"
        return kubectl.run(f"FILE={file} PRIMARY={member.name}\n{restore}").returncode

    assert into(broken, primary) != 0
    assert into(whole, replica) != 0
    assert db.wait_equal() == [1, 2, 3]
    assert into(whole, primary) == 0
    assert db.rows(primary) == [1, 2]
    assert db.wait_equal() == [1, 2]
    assert all(one.sidecar.ready()[0] == 200 for one in db.members)

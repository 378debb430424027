"""Copies of real servers by mariadb-backup, which the source sends over verified TLS."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mysql.mariadb import MariaDB, beside, connected, programs
from tests.mysql.waiting import until

from .cloning import CLONE, Script, Volume, need_beside
from .databases import ROW, ROWS, SHOP, Pods, altering, unacknowledged

FILES = ("mariadb-backup", "mbstream")
"""Of the server's own version."""
NEEDED = ("socat", "openssl")
MISSING = [program for program in NEEDED if shutil.which(program) is None]

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]

STAGES = ("source", "prepare", "copy", "recover", "start", "check", "stop", "finish")


def certificate(path: Path) -> Path:
    """A certificate and its key, as README.md makes them."""
    command = (CLONE / "README.md").read_text()
    command = command[command.index("openssl req") :].partition("```")[0].partition("$ ")[0]
    command = command.replace("copy.pem", str(path))
    subprocess.run(["sh", "-euc", command], check=True, capture_output=True, timeout=20)
    return path


class Files:
    """The pods' shared certificate, and the containers that send a copy."""

    def __init__(self, pods: Pods) -> None:
        self.pods = pods
        self.pem = certificate(pods.network.directory / "copy.pem")
        pods.network.own(self.pem)
        self.served: list[Script] = []

    def serve(self, server: MariaDB, path: str = "") -> Script:
        run = self.pods.network.directory / f"serve-{server.pod.name}"
        run.mkdir(exist_ok=True)
        self.pods.network.own(run)
        settings = {
            "CLONE_RUN": str(run),
            "CLONE_PASSWORD_FILE": str(self.pods.password),
            "STREAM_DATADIR": str(server.datadir),
            "STREAM_CERTIFICATE": str(self.pem),
            "STREAM_BIND": server.pod.bind,
            "STREAM_HOST": server.pod.bind,
        }
        path = os.pathsep.join(filter(None, (path, programs(server.program))))
        script = Script(server.pod, CLONE / "serve-mariadb-backup.sh", env=settings, path=path)
        script.wait_for("clone: serving")
        self.served.append(script)
        return script

    def clone(self, volume: Volume, **environment: str) -> int:
        script = self.script(volume, **environment)
        status = script.ended()
        volume.said += script.lines
        return status

    def script(self, volume: Volume, **environment: str) -> Script:
        settings = {"STREAM_CERTIFICATE": str(self.pem), **environment}
        return volume.script("clone-mariadb-backup.sh", **settings)

    def close(self) -> None:
        for script in self.served:
            script.kill()
            self.pods.evidence.add("serve", "\n".join(script.lines))


@pytest.fixture
def files(pods: Pods) -> Iterator[Files]:
    need_beside(pods.image.server.program, *FILES)
    made = Files(pods)
    yield made
    made.close()


def test_copy_takes_up_where_it_ended(pods: Pods, files: Files) -> None:
    primary, volume = pods.server(0, ROW, SHOP), pods.volume(1)
    files.serve(primary)
    assert volume.find() == 0, volume.said
    assert files.clone(volume) == 0, volume.story
    assert [line.split(":")[1].strip() for line in volume.said[1:]] == [*STAGES, "done"]
    assert volume.files == {"data"}
    assert not (volume.run / "source.cnf").exists()
    left = {file.name for file in volume.server.datadir.iterdir()}
    assert not any(
        name.startswith(("xtrabackup", "mariadb_backup_", "peerdisco_")) for name in left
    )
    pods.assert_replicates(volume.server, primary)
    assert volume.server.sql("CALL shop.count_them()") == [{"COUNT(*)": ROWS + 1}]
    assert volume.server.value("SELECT MAX(n) FROM shop.orders") == ROWS + 1


@pytest.mark.parametrize("stage", ["copy", "recover", "finish"])
def test_copy_that_is_killed_begins_again(pods: Pods, files: Files, stage: str) -> None:
    primary, volume = pods.server(0, ROW, SHOP), pods.volume(1)
    files.serve(primary)
    volume.find()
    script = files.script(volume)
    script.wait_for(f"clone: {stage}:")
    volume.kill(script)
    # On a busy machine the script may have come further before it was killed.
    if not script.said("clone: finish:"):
        assert volume.files <= {"data.unfinished", "data.scratch"}, "half a copy has no name"
    assert (volume.find(), files.clone(volume)) == (0, 0), volume.story
    assert volume.files == {"data"}
    pods.assert_replicates(volume.server, primary)


def test_copy_of_a_replica_under_writes_is_of_the_primarys_history(
    pods: Pods, files: Files
) -> None:
    primary = pods.server(0, ROW, SHOP)
    replica, volume = pods.replica(1, primary), pods.volume(2)
    files.serve(replica)
    assert volume.find() == 0
    stop = threading.Event()

    def write() -> None:
        with connected(primary.socket) as cursor:
            for number in itertools.count(ROWS + 1):
                if stop.is_set():
                    return
                cursor.execute("INSERT INTO shop.orders VALUES (%s, 'during')", (number,))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert files.clone(volume) == 0, volume.story
    finally:
        stop.set()
        writer.join()
    assert volume.last == "clone: done: copied from mysql-1.mysql.default.svc.cluster.local"
    copy = volume.server
    copy.start()
    assert copy.replica_status() == {}, "nothing of the source's own replication is copied"
    pods.replicate(copy, primary)
    rows = "SELECT n, note FROM shop.orders ORDER BY n"
    until(
        lambda: copy.sql(rows) == primary.sql(rows),
        what=lambda: str(copy.replica_status()),
    )
    # A copy of this copy begins where it ended, although its own binary log is short.
    files.serve(copy)
    second = pods.volume(3)
    (second.run / "sources").write_text(f"{copy.pod.name}.mysql\nmysql-0.mysql\n")
    assert files.clone(second) == 0, second.story
    pods.assert_replicates(second.server, primary)


def test_backup_that_fails_in_the_source_is_no_copy(pods: Pods, files: Files) -> None:
    """A stream that ends is not distinguished from one that is complete, but for its last file."""
    primary, volume = pods.server(0, ROW, SHOP), pods.volume(1)
    files.serve(primary)
    volume.find()
    primary.sql("REVOKE RELOAD ON *.* FROM 'peerdisco_backup'@'%'")
    assert files.clone(volume) == 1
    assert volume.last.startswith(
        "clone: failed: mariadb-backup in mysql-0.mysql.default.svc.cluster.local: "
    )
    assert "RELOAD" in volume.last
    assert volume.files <= {"data.unfinished", "data.scratch"}
    primary.sql("GRANT RELOAD ON *.* TO 'peerdisco_backup'@'%'")
    assert files.clone(volume) == 0, volume.story
    pods.assert_replicates(volume.server, primary)


@pytest.mark.parametrize("arrives", ["head -c 1000000", "cat"], ids=["a part", "all but the end"])
def test_stream_that_breaks_off_is_no_copy(pods: Pods, files: Files, arrives: str) -> None:
    """The container in the source is killed, and the connection ends as it does after all files."""
    primary, volume = pods.server(0, ROW, SHOP), pods.volume(1)
    real = beside(primary.program, "mariadb-backup")
    killed = pods.network.directory / "programs"
    killed.mkdir()
    backup = killed / "mariadb-backup"
    backup.write_text(f'#!/bin/sh\n{real} "$@" | {arrives}\nkill -9 $PPID\n')
    backup.chmod(0o755)
    pods.network.own(killed)
    served = files.serve(primary, path=str(killed))
    volume.find()
    assert files.clone(volume) == 1
    assert volume.last.startswith("clone: failed: ")
    if arrives == "cat":
        assert "the connection ended before the copy did" in volume.last
    assert volume.files <= {"data.unfinished", "data.scratch"}
    served.kill()
    files.serve(primary)
    assert files.clone(volume) == 0, volume.story


def test_only_who_has_the_key_gets_a_copy(pods: Pods, files: Files) -> None:
    primary, volume = pods.server(0, ROW, SHOP), pods.volume(1)
    files.serve(primary)
    volume.find()
    other = certificate(pods.network.directory / "other.pem")
    pods.network.own(other)
    assert files.clone(volume, STREAM_CERTIFICATE=str(other)) == 1
    assert volume.last.startswith("clone: failed: receiving from mysql-0.")
    assert not any("sending" in line for script in files.served for line in script.lines)
    assert files.clone(volume, STREAM_CERTIFICATE="/nowhere") == 1
    assert volume.last == "clone: failed: /nowhere cannot be read (set STREAM_CERTIFICATE)"


def test_alter_table_in_progress_is_waited_for(pods: Pods, files: Files) -> None:
    primary, volume = pods.server(0, ROW, SHOP), pods.volume(1)
    files.serve(primary)
    volume.find()
    with altering(primary) as release:
        script = files.script(volume)
        script.wait_for("clone: waiting: mysql-0.mysql.default.svc.cluster.local changes")
        release()
        assert script.ended() == 0, script.lines
    pods.assert_replicates(volume.server, primary)
    assert volume.server.sql("SHOW COLUMNS FROM shop.orders LIKE 'more'")


def test_copy_does_not_hold_up_writes_behind_its_lock(pods: Pods, files: Files) -> None:
    primary, volume = pods.server(0, ROW, SHOP), pods.volume(1)
    files.serve(primary)
    volume.find()
    with unacknowledged(primary):
        assert files.clone(volume, CLONE_LOCK_TIMEOUT="1") == 1
        assert "the copy waited for a lock, and was ended: BACKUP STAGE" in volume.last
    assert (volume.find(), files.clone(volume)) == (0, 0), volume.story


def test_tables_that_a_copy_would_have_half_are_refused(pods: Pods, files: Files) -> None:
    primary, volume = pods.server(0, ROW, SHOP), pods.volume(1)
    files.serve(primary)
    primary.sql("CREATE TABLE shop.hits (n INT) ENGINE = MEMORY")
    volume.find()
    assert files.clone(volume) == 1
    assert "has tables that cannot be copied consistently: shop.hits (MEMORY)" in volume.last

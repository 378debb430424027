"""Backups by mariadb-backup, and their restore into an empty volume, of real servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.mysql.conftest import databases
from tests.mysql.database import PASSWORDS, Database, Image, Member
from tests.mysql.mariadb import programs
from tests.mysql.pods import Network, Pod
from tests.mysql.waiting import until

from .cloning import CLONE, Script, need_beside
from .test_backup import BACKUP
from .test_clone_files import FILES, MISSING, certificate

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]

HISTORY = "SELECT number, id, server, left_position FROM peerdisco.epochs ORDER BY number"


class Job:
    """The pod of the job, and the containers beside the servers that send their files."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.pod: Pod = db.network.pod("backup", publish=False)
        self.target, self.run = (db.network.directory / name for name in ("backups", "run"))
        for directory in (self.target, self.run):
            directory.mkdir()
            db.network.own(directory)
        self.key = certificate(db.network.directory / "copy.pem")
        db.network.own(self.key)
        self.password = str(
            db.network.directory / "passwords" / PASSWORDS["PEERDISCO_MYSQL_BACKUP_PASSWORD"]
        )
        self.served: list[Script] = []

    def serve(self, member: Member) -> None:
        run = self.db.network.directory / f"serve-{member.name}"
        run.mkdir()
        self.db.network.own(run)
        settings = {
            "CLONE_RUN": str(run),
            "CLONE_PASSWORD_FILE": self.password,
            "STREAM_DATADIR": str(member.server.datadir),
            "STREAM_CERTIFICATE": str(self.key),
        }
        path = programs(member.server.program)
        serve = CLONE / "serve-mariadb-backup.sh"
        self.served.append(Script(member.pod, serve, env=settings, path=path))
        self.served[-1].wait_for("clone: serving")

    def script(self, name: str, pod: Pod | None = None, **environment: str) -> Script:
        settings = {
            **self.db.environment,
            "PEERDISCO_SERVICE": "mysql",
            "BACKUP_DIR": str(self.target),
            "BACKUP_RUN": str(self.run),
            "BACKUP_PASSWORD_FILE": self.password,
            "BACKUP_READY_PORT": "",
            "BACKUP_TIMEOUT": "20",
            "STREAM_CERTIFICATE": str(self.key),
            **environment,
        }
        command = name.split()
        path = programs(self.db.image.server.program)
        return Script(pod or self.pod, BACKUP / command[0], *command[1:], env=settings, path=path)

    def backup(self, **environment: str) -> Script:
        found = self.script("find-candidate.sh")
        assert found.ended() == 0, found.lines
        made = self.script("files-mariadb.sh", **environment)
        made.ended()
        return made

    def restore(self, member: Member, file: str = "") -> Script:
        settings = {
            "RESTORE_VOLUME": str(member.server.volume),
            "RESTORE_DIRECTORY": member.server.datadir.name,
            "RESTORE_RUN": str(self.run),
            "RESTORE_DEFAULTS_FILE": str(member.server.defaults_file),
            "RESTORE_FROM": str(self.target),
        }
        made = self.script(f"restore-mariadb.sh {file}", member.pod, **settings)
        made.ended()
        return made

    @property
    def files(self) -> list[str]:
        return sorted(file.name for file in self.target.iterdir())


@pytest.fixture
def running(bridge: Network, every_mariadb: Image) -> Iterator[Database]:
    need_beside(every_mariadb.server.program, *FILES)
    for make in databases(bridge, every_mariadb):
        db = make()
        db.start()
        db.wait()
        db.create_shop()
        yield db


@pytest.fixture
def job(running: Database) -> Iterator[Job]:
    made = Job(running)
    yield made
    for script in made.served:
        script.kill()


def write(db: Database, first: int, last: int) -> None:
    numbers = range(first, last + 1)
    db.primary.server.sql(*(f"INSERT INTO shop.orders VALUES ({n})" for n in numbers))
    db.wait_equal()


def test_backup_of_a_replica_is_restored_into_empty_volumes(running: Database, job: Job) -> None:
    """Its rows, its history and its accounts are those of the moment; the other pods get them."""
    db = running
    write(db, 1, 50)
    rows = db.rows(db.primary)
    history = db.primary.server.sql(HISTORY)
    for replica in db.replicas:
        job.serve(replica)

    db.primary.server.sql("CREATE TABLE shop.hits (n INT) ENGINE = MEMORY")
    until(lambda: db[2].server.sql("SHOW TABLES FROM shop LIKE 'hits'"), what="it is replicated")
    refused = job.backup()
    assert "shop.hits (MEMORY)" in refused.lines[-1]
    assert job.files == []
    db.primary.server.sql("DROP TABLE shop.hits")
    until(lambda: not db[2].server.sql("SHOW TABLES FROM shop LIKE 'hits'"), what="it is gone")

    made = job.backup()
    assert made.lines[0].startswith("backup: from mysql-2."), made.lines
    assert made.lines[-1].startswith("backup: done: "), made.lines
    (name,) = job.files
    assert (job.target / name).stat().st_mode & 0o077 == 0, "others can read it"
    write(db, 51, 90)

    # A volume that has data is left alone, and everything is lost.
    refused = job.restore(db.primary, name)
    assert refused.lines[-1].endswith("holds data already")
    for member in db.members:
        member.stop()
        member.server.wipe()
    restored = job.restore(db.primary, name)
    assert restored.lines[-1].startswith("restore: done: cluster "), restored.lines
    db.primary.start()
    db.primary.sidecar.wait_for("primary")
    assert db.rows(db.primary) == rows
    assert db.primary.server.sql(HISTORY)[: len(history)] == history
    db.primary.server.sql("INSERT INTO shop.orders VALUES (1000)")
    for replica in db.replicas:
        job.restore(replica)
        replica.start()
    db.wait()
    assert db.wait_equal() == [*rows, 1000]

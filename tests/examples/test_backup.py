"""Backups of real servers by the scripts, as the job runs them."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT
from tests.mysql.mariadb import MariaDB, beside, connected, programs
from tests.mysql.namespaces import Process
from tests.mysql.pods import Pod
from tests.mysql.waiting import until

from .cloning import Script
from .databases import (
    ALTER,
    COUNT,
    REPLICATED,
    ROW,
    ROWS,
    SHOP,
    Pods,
    locked,
    unacknowledged,
    wait_until_altering,
    wait_until_held,
)

pytestmark = pytest.mark.timeout(120)

BACKUP = ROOT / "examples" / "mysql" / "backup"
SIDECAR = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()
        self.wfile.write(sys.argv[3].encode())
http.server.HTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
"""
"""Of which the job asks nothing but its state, and whether the pod is ready."""
LAST = "mysql-2.mysql.default.svc.cluster.local"


class Job:
    """The pod of the job, in which no server runs."""

    def __init__(self, pods: Pods) -> None:
        self.pods = pods
        self.pod: Pod = pods.network.pod("backup", publish=False)
        self.target = pods.network.directory / "backups"
        self.run_directory = pods.network.directory / "run-backup"
        for directory in (self.target, self.run_directory):
            directory.mkdir()
            pods.network.own(directory)
        self.environment = {
            "BACKUP_DIR": str(self.target),
            "BACKUP_RUN": str(self.run_directory),
            "BACKUP_PASSWORD_FILE": str(pods.password),
            "BACKUP_READY_PORT": "",
            "BACKUP_TIMEOUT": "1",
            "PEERDISCO_MYSQL_REPLICATION_PASSWORD_FILE": str(pods.password.parent / "replication"),
            "BACKUP_KEEP": "2",
            "PEERDISCO_SERVICE": "mysql",
        }
        self.said: list[str] = []

    def script(self, name: str, **environment: str) -> Script:
        return Script(
            self.pod,
            BACKUP / name,
            env={**self.environment, **environment},
            path=programs(self.pods.image.server.program),
        )

    def find(self, **environment: str) -> int:
        return self._run("find-candidate.sh", environment)

    def dump(self, **environment: str) -> int:
        return self._run("dump-mariadb.sh", environment)

    def _run(self, name: str, environment: dict[str, str]) -> int:
        script = self.script(name, **environment)
        status = script.ended()
        self.said += script.lines
        self.pods.evidence.add(name, "\n".join(script.lines))
        return status

    @property
    def last(self) -> str:
        return self.said[-1]

    @property
    def files(self) -> list[str]:
        return sorted(file.name for file in self.target.iterdir())


@pytest.fixture
def job(pods: Pods) -> Job:
    return Job(pods)


@pytest.fixture
def primary(pods: Pods) -> MariaDB:
    return pods.server(0, ROW, SHOP)


@pytest.fixture
def replica(pods: Pods, primary: MariaDB) -> MariaDB:
    """The only one."""
    return pods.replica(1, primary)


def test_backup_of_the_last_replica_is_whole_and_can_be_restored(
    pods: Pods, job: Job, primary: MariaDB, replica: MariaDB
) -> None:
    pods.replica(2, primary)
    assert job.find() == 0, job.said
    assert job.last == f"backup: from {LAST}"
    assert job.dump() == 0, job.said
    (name,) = job.files
    file = job.target / name
    assert file.stat().st_mode & 0o077 == 0, "others can read it"
    text = gzip.decompress(file.read_bytes()).decode()
    assert "-- SET GLOBAL gtid_slave_pos='0-100-" in text
    assert "`peerdisco`" not in text
    assert not list(job.run_directory.glob("*.cnf"))

    # As the README says it: into a server that is running, by its administrator.
    other = pods.server(3)
    restore(other, file)
    assert other.schemas() == {"shop"}
    assert other.value(COUNT) == ROWS
    assert other.sql("CALL shop.count_them()") == [{"COUNT(*)": ROWS}]
    assert other.value("SELECT n FROM shop.first") == 1


def restore(server: MariaDB, file: Path) -> None:
    client = beside(server.program, "mariadb")
    command = f"gzip -dc '{file}' | {client} --no-defaults --socket='{server.socket}' --user=root"
    file.chmod(0o644)
    server.pod.run("sh", "-c", command, timeout=40)


def test_tables_that_a_dump_would_have_of_another_moment_are_refused(
    pods: Pods, job: Job, replica: MariaDB
) -> None:
    job.find()
    replica.sql("STOP REPLICA")
    replica.sql("CREATE TABLE shop.hits (n INT) ENGINE = MyISAM")
    assert job.dump() == 1
    assert "shop.hits (MyISAM)" in job.last
    assert job.files == []
    replica.script(
        "DROP TABLE shop.hits; CREATE TABLE shop.prices (price INT) WITH SYSTEM VERSIONING;"
        "INSERT INTO shop.prices VALUES (10); UPDATE shop.prices SET price = 20;"
    )
    assert job.dump() == 0, job.said
    other = pods.server(3)
    restore(other, job.target / job.files[0])
    every = "SELECT price FROM shop.prices FOR SYSTEM_TIME ALL ORDER BY price"
    assert other.sql(every) == [{"price": 10}, {"price": 20}]


@pytest.mark.usefixtures("replica")
def test_only_so_many_are_kept(pods: Pods, job: Job) -> None:
    others = ["mysql-20200101T000000Z.sql.gz.txt", "other-20200101T000000Z.sql.gz"]
    old = [f"mysql-2020010{day}T000000Z.sql.gz" for day in (1, 2, 3)]
    partial = "mysql-20200104T000000Z.sql.gz.partial"
    for name in [*others, *old, partial]:
        (job.target / name).write_text("a backup")
    pods.network.own(job.target)
    assert (job.find(), job.dump()) == (0, 0), job.said
    assert [name for name in job.files if name in old] == [old[-1]]
    assert set(others) <= set(job.files)
    assert partial not in job.files, "what a backup left that was killed"
    assert len(job.files) == len(others) + 2


def test_primary_is_not_used_unless_configured(pods: Pods, job: Job) -> None:
    primary = pods.server(0, ROW, SHOP, "SET GLOBAL read_only = OFF")
    assert job.find() == 1
    assert job.said == [
        "peerdisco: there is no pod that may be used",
        (
            "backup: failed: no pod may be backed up, see above "
            "(BACKUP_FROM_PRIMARY=1 permits the primary)"
        ),
    ]
    # Whatever the name: a server that takes writes is the primary.
    (job.run_directory / "host").write_text(f"{primary.pod.name}.mysql\n")
    assert job.dump() == 1
    assert "mysql-0.mysql takes writes, and the primary is left in peace" in job.last
    assert job.files == []

    assert job.find(BACKUP_FROM_PRIMARY="1") == 0
    assert job.dump(BACKUP_FROM_PRIMARY="1") == 0, job.said
    assert len(job.files) == 1


def test_primary_is_used_where_no_replica_may_be(
    pods: Pods, job: Job, primary: MariaDB, replica: MariaDB
) -> None:
    assert job.find(BACKUP_FROM_PRIMARY="1") == 0
    assert job.last.startswith("backup: from mysql-1.")
    replica.stop()
    assert job.find(BACKUP_FROM_PRIMARY="1") == 0
    assert job.last.startswith("backup: from mysql-0.")
    primary.stop()
    assert job.find(BACKUP_FROM_PRIMARY="1") == 1
    assert "mysql-0: it does not answer" in job.said[-2]


def test_replica_of_another_history_gives_no_backup(
    pods: Pods, job: Job, primary: MariaDB, replica: MariaDB
) -> None:
    pods.server(2, ROW, SHOP, REPLICATED)
    assert job.find() == 0
    assert "peerdisco: mysql-2 is not used: its history is not the primary's" in job.said[-2]
    assert job.last.startswith("backup: from mysql-1.")


def test_replica_that_is_not_ready_gives_no_backup(
    pods: Pods, job: Job, primary: MariaDB, replica: MariaDB
) -> None:
    reports = {
        primary.pod: '{"ready": true, "state": "primary"}',
        replica.pod: '{"ready": false, "state": "replica", "reason": "900 seconds behind"}',
    }
    started = [sidecar(pod, report) for pod, report in reports.items()]
    assert job.find(BACKUP_READY_PORT=PORT) == 1
    assert "mysql-1 is not used: its sidecar is not ready" in job.said[-3]
    assert "reports of its own pod: replica: 900 seconds" in job.said[-3]
    started.pop().kill()
    started.append(sidecar(replica.pod, '{"ready": true, "state": "replica"}'))
    assert job.find(BACKUP_READY_PORT=PORT) == 0, job.said
    # A primary that is refused may hold older data than its replicas.
    started.pop(0).kill()
    assert job.find(BACKUP_READY_PORT=PORT, BACKUP_FROM_PRIMARY="1") == 1
    assert (
        "mysql-0: its sidecar has not opened it, and reports of its own pod: no answer:"
        in job.said[-2]
    )
    started.pop().kill()


PORT = "8080"


def sidecar(pod: Pod, report: str) -> Process:
    made = pod.popen(sys.executable, "-c", SIDECAR, pod.address, PORT, report)
    until(lambda: answers(pod, PORT), what="the sidecar answers")
    return made


def answers(pod: Pod, port: str) -> bool:
    probe = f"import socket; socket.create_connection(('{pod.address}', {port})).close()"
    return "no" not in pod.run("sh", "-c", f'{sys.executable} -c "{probe}" 2>&1 || echo no')


def test_dump_that_breaks_off_is_no_backup(job: Job, replica: MariaDB) -> None:
    job.find()
    with locked(replica):
        script = job.script("dump-mariadb.sh", BACKUP_TIMEOUT="20")
        script.wait_for("backup: from")
        wait_until_held(replica)
        assert [Path(name).suffix for name in job.files] == [".partial"]
        replica.kill()
        assert script.ended() == 1
    assert script.lines[-1].startswith("backup: failed: mariadb-dump: ")
    assert job.files == []


def test_job_that_is_killed_leaves_no_backup(job: Job, replica: MariaDB) -> None:
    job.find()
    with locked(replica):
        script = job.script("dump-mariadb.sh", BACKUP_TIMEOUT="20")
        script.wait_for("backup: from")
        wait_until_held(replica)
        script.kill()
    assert [Path(name).suffix for name in job.files] == [".partial"]
    assert job.dump() == 0, job.said
    assert [Path(name).suffix for name in job.files] == [".gz"]


@pytest.mark.usefixtures("replica")
def test_volume_that_is_full_is_no_backup(pods: Pods, job: Job) -> None:
    job.find()
    limit = Script(
        job.pod,
        "-c",
        f"ulimit -f 8; exec sh '{BACKUP / 'dump-mariadb.sh'}'",
        env=job.environment,
    )
    assert limit.ended() == 1
    assert limit.lines[-1].startswith("backup: failed: gzip")
    assert job.files == []


@pytest.mark.usefixtures("replica")
def test_wrong_password_is_one_clear_line(pods: Pods, job: Job) -> None:
    job.find()
    pods.password.write_text("quite another one")
    assert job.dump() == 1
    assert job.last.startswith(
        "backup: failed: mysql-1.mysql.default.svc.cluster.local: ERROR 1045"
    )


def test_nothing_of_yours_is_no_backup(pods: Pods, job: Job) -> None:
    pods.replica(1, pods.server(0, ROW))
    job.find()
    assert job.dump() == 1
    assert "holds no schema of yours" in job.last


def test_outage_of_the_dns_is_said_so(pods: Pods, job: Job) -> None:
    pods.network.dns.fail("servfail")
    assert job.find() == 1
    assert job.last.startswith("backup: failed: no pod may be backed up, see above")
    assert "SERVFAIL" in job.said[-2]


def test_alter_table_in_progress_is_waited_for(
    job: Job, primary: MariaDB, replica: MariaDB
) -> None:
    """Of replication: the statement that the primary has executed."""
    job.find()
    with connected(replica.socket) as reader:
        reader.execute("START TRANSACTION")
        reader.execute("SELECT * FROM shop.orders LIMIT 1")
        primary.sql(ALTER)
        wait_until_altering(replica)
        assert job.dump() == 1
        assert "mysql-1.mysql.default.svc.cluster.local still changes the definition" in job.last
        assert "ALTER TABLE shop.orders (system user, " in job.last
        assert job.files == []
        script = job.script("dump-mariadb.sh", BACKUP_TIMEOUT="20")
        script.wait_for("backup: waiting: mysql-1.")
        reader.execute("ROLLBACK")
        assert script.ended() == 0, script.lines
    (name,) = job.files
    assert "`more` int" in gzip.decompress((job.target / name).read_bytes()).decode()


def test_backup_that_waits_for_a_lock_is_ended(pods: Pods, job: Job) -> None:
    """A commit that waits for a replica is no reason: MariaDB's dump locks nothing."""
    primary = pods.server(0, ROW, SHOP, "SET GLOBAL read_only = OFF")
    assert job.find(BACKUP_FROM_PRIMARY="1") == 0
    with primary.holding("LOCK TABLES shop.orders WRITE"):
        assert job.dump(BACKUP_FROM_PRIMARY="1") == 1
        assert "it waited for a lock, and was ended: S" in job.last
        sessions = primary.sql("SHOW PROCESSLIST")
        assert not any(row["User"] == "peerdisco_backup" for row in sessions)
    assert job.files == []
    with unacknowledged(primary):
        assert job.dump(BACKUP_FROM_PRIMARY="1", BACKUP_TIMEOUT="20") == 0, job.said


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({"BACKUP_KEEP": "0"}, "BACKUP_KEEP: got '0', expected a number of 1 or more"),
        ({"BACKUP_TIMEOUT": "long"}, "BACKUP_TIMEOUT: got 'long', expected a number of seconds"),
        ({"BACKUP_NAME": "../x"}, "BACKUP_NAME: got '../x', expected letters"),
        ({"BACKUP_DIR": "/nowhere"}, "/nowhere is no directory"),
        ({}, "find-candidate.sh has to run first"),
    ],
    ids=lambda value: next(iter(value), "no host") if isinstance(value, dict) else "",
)
def test_wrong_settings_are_one_clear_line(
    job: Job, environment: dict[str, str], complaint: str
) -> None:
    assert job.dump(**environment) == 1
    (line,) = job.said
    assert complaint in line

"""Backups of real servers by the scripts, as the job runs them."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT
from tests.mysql.mariadb import MariaDB
from tests.mysql.pods import Pod
from tests.mysql.waiting import until

from .cloning import Script
from .databases import COUNT, ROW, ROWS, SHOP, Pods, locked, wait_until_held

pytestmark = pytest.mark.timeout(120)

BACKUP = ROOT / "examples" / "mysql" / "backup"
SIDECAR = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(sys.argv[3]) if self.path == "/readyz" else 404)
        self.end_headers()
        self.wfile.write(b'{"state": "replica", "reason": "900 seconds behind"}')
http.server.HTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
"""
"""Of which the job asks nothing but whether the pod is ready."""
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
            "BACKUP_KEEP": "2",
            "PEERDISCO_SERVICE": "mysql",
        }
        self.said: list[str] = []

    def script(self, name: str, **environment: str) -> Script:
        return Script(self.pod, BACKUP / name, env={**self.environment, **environment})

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


def test_backup_of_the_last_replica_is_whole_and_can_be_restored(pods: Pods, job: Job) -> None:
    pods.server(0)
    pods.server(1)
    pods.server(2, ROW, SHOP)
    assert job.find() == 0, job.said
    assert job.last == f"backup: from {LAST}"
    assert job.dump() == 0, job.said
    (name,) = job.files
    file = job.target / name
    assert file.stat().st_mode & 0o077 == 0, "others can read it"
    text = gzip.decompress(file.read_bytes()).decode()
    assert "-- SET GLOBAL gtid_slave_pos='0-102-" in text
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
    command = f"gzip -dc '{file}' | mariadb --no-defaults --socket='{server.socket}' --user=root"
    file.chmod(0o644)
    server.pod.run("sh", "-c", command, timeout=40)


def test_tables_that_a_dump_would_have_of_another_moment_are_refused(pods: Pods, job: Job) -> None:
    pods.server(0)
    replica = pods.server(1, ROW, SHOP)
    job.find()
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


def test_only_so_many_are_kept(pods: Pods, job: Job) -> None:
    pods.server(0)
    pods.server(1, ROW, SHOP)
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
    assert job.last == (
        "backup: failed: there is no replica, and the primary is left in peace "
        "unless BACKUP_FROM_PRIMARY=1"
    )
    # Whatever the name: a server that takes writes is the primary.
    (job.run_directory / "host").write_text(f"{primary.pod.name}.mysql\n")
    assert job.dump() == 1
    assert "mysql-0.mysql takes writes, and the primary is left in peace" in job.last
    assert job.files == []

    assert job.find(BACKUP_FROM_PRIMARY="1") == 0
    assert job.dump(BACKUP_FROM_PRIMARY="1") == 0, job.said
    assert len(job.files) == 1


def test_replica_that_is_not_ready_gives_no_backup(pods: Pods, job: Job) -> None:
    for ordinal in (0, 1):
        pods.network.pod(f"mysql-{ordinal}")
    replica = pods.network.pod("mysql-2")
    for status, expected in ((503, 1), (200, 0)):
        port = str(8080 + status)
        sidecar = replica.popen(sys.executable, "-c", SIDECAR, replica.address, port, str(status))
        until(lambda port=port: answers(replica, port), what="the sidecar answers")
        assert job.find(BACKUP_READY_PORT=port) == expected, job.said
        sidecar.kill()
        if status == 503:
            assert "503: " in job.said[-2]
            assert "900 seconds behind" in job.said[-2]
            assert job.last == f"backup: failed: {LAST} is not ready, see above"
    assert job.find(BACKUP_READY_PORT="9") == 1  # nobody listens there
    assert "Connection refused" in job.said[-2]


def answers(pod: Pod, port: str) -> bool:
    probe = f"import socket; socket.create_connection(('{pod.address}', {port})).close()"
    return "no" not in pod.run("sh", "-c", f'{sys.executable} -c "{probe}" 2>&1 || echo no')


def test_dump_that_breaks_off_is_no_backup(pods: Pods, job: Job) -> None:
    pods.server(0)
    replica = pods.server(1, ROW, SHOP)
    job.find()
    with locked(replica):
        script = job.script("dump-mariadb.sh")
        script.wait_for("backup: from")
        wait_until_held(replica)
        assert [Path(name).suffix for name in job.files] == [".partial"]
        replica.kill()
        assert script.ended() == 1
    assert script.lines[-1].startswith("backup: failed: mariadb-dump: ")
    assert job.files == []


def test_job_that_is_killed_leaves_no_backup(pods: Pods, job: Job) -> None:
    pods.server(0)
    replica = pods.server(1, ROW, SHOP)
    job.find()
    with locked(replica):
        script = job.script("dump-mariadb.sh")
        script.wait_for("backup: from")
        wait_until_held(replica)
        script.kill()
    assert [Path(name).suffix for name in job.files] == [".partial"]
    assert job.dump() == 0, job.said
    assert [Path(name).suffix for name in job.files] == [".gz"]


def test_volume_that_is_full_is_no_backup(pods: Pods, job: Job) -> None:
    pods.server(0)
    pods.server(1, ROW, SHOP)
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


def test_wrong_password_is_one_clear_line(pods: Pods, job: Job) -> None:
    pods.server(0)
    pods.server(1, ROW, SHOP)
    job.find()
    pods.password.write_text("quite another one")
    assert job.dump() == 1
    assert job.last.startswith(
        "backup: failed: mysql-1.mysql.default.svc.cluster.local: ERROR 1045"
    )


def test_nothing_of_yours_is_no_backup(pods: Pods, job: Job) -> None:
    pods.server(0)
    pods.server(1, ROW)
    job.find()
    assert job.dump() == 1
    assert "holds no schema of yours" in job.last


def test_outage_of_the_dns_is_said_so(pods: Pods, job: Job) -> None:
    pods.network.dns.fail("servfail")
    assert job.find() == 1
    assert job.last == "backup: failed: it could not be found out who is there"
    assert "SERVFAIL" in job.said[-2]


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({"BACKUP_KEEP": "0"}, "BACKUP_KEEP: got '0', expected a number of 1 or more"),
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

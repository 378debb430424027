"""HAProxy sends writes to the primary, wherever the role is, without a reload."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import kubernetes_validate
import pymysql
import pytest

from tests.mysql.database import Database
from tests.mysql.mariadb import MariaDB, connected
from tests.mysql.namespaces import Process
from tests.mysql.pods import Pod
from tests.mysql.sidecar import fetch
from tests.mysql.waiting import until
from tests.mysql.writer import Writer

from .manifests import MARIADB, MYSQL, build, named, of_kind

CONFIG = MYSQL / "relay" / "haproxy.cfg"
EXTRA = """
frontend test
    bind unix@{socket} mode 666
    default_backend primary
"""
"""The same backend on a Unix socket, since nothing outside of the pods reaches their addresses."""

pytestmark = pytest.mark.timeout(120)


def test_manifests_are_valid_and_lead_to_the_primary() -> None:
    documents = build(CONFIG.parent)
    for document in documents:
        kubernetes_validate.validate(document, "1.29", strict=True)
    (deployment,) = of_kind(documents, "Deployment")
    pod = deployment["spec"]["template"]
    labels = pod["metadata"]["labels"]
    for kind in ("Service", "NetworkPolicy"):
        (document,) = of_kind(documents, kind)
        selector = document["spec"].get("podSelector", {}).get("matchLabels")
        assert (selector or document["spec"]["selector"]).items() <= labels.items()
    assert labels["mysql-client"] == "true", "the database's NetworkPolicy lets it in"
    pods = [f"mysql-{n}" for n in range(statefulset_replicas())]
    assert re.findall(r"^    server (\S+)", CONFIG.read_text(), re.MULTILINE) == pods


def statefulset_replicas() -> int:
    return int(named(build(MARIADB), "StatefulSet", "mysql")["spec"]["replicas"])


@dataclass
class Relay:
    """HAProxy in a pod of its own, as a server that clients connect to."""

    socket: Path
    process: Process

    @property
    def writer(self) -> MariaDB:
        """What a `Writer` needs of a server: its socket."""
        return cast("MariaDB", self)


CHECKED = "Health check for server primary/mysql-0 succeeded"
"""Before its first check, HAProxy takes a server for one that a single failure takes down."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "primary"
    path.write_text("0\n")
    return path


@pytest.fixture
def started(db: Database, file: Path) -> Database:
    for member in db.members:
        member.sidecar.environment |= {
            "PEERDISCO_MYSQL_PRIMARY_ORDINAL_FILE": str(file),
            "PEERDISCO_MYSQL_LISTEN": "8080",
        }
    db.start()
    db.wait()
    db.create_shop()
    db.primary.server.script("CREATE USER 'shop'@'%'; GRANT SELECT, INSERT ON shop.* TO 'shop'@'%'")
    db.wait_equal()
    return db


@pytest.fixture
def relay(started: Database) -> Iterator[Relay]:
    if (program := shutil.which("haproxy", path="/usr/sbin:/usr/bin")) is None:
        pytest.skip("needs haproxy: apt-get install haproxy")
    directory = started.network.directory
    pod = started.network.pod("relay", publish=False)
    socket, extra = directory / "relay.sock", directory / "extra.cfg"
    extra.write_text(EXTRA.format(socket=socket))
    started.network.own(directory)
    log = directory / "haproxy.log"
    command = ("env", "POD_NAMESPACE=default", program, "-db", "-f", str(CONFIG), "-f", str(extra))
    process = pod.quietly(*command, log=log)
    made = Relay(socket, process)
    until(
        lambda: CHECKED in log.read_text() and ready(pod),
        timeout=40,
        what=lambda: f"HAProxy has found the primary: {log.read_text()}",
    )
    yield made
    process.kill()


def ready(pod: Pod) -> bool:
    """What its readiness probe gets."""
    try:
        return fetch(pod, "127.0.0.1:8405", "/readyz")[0] == 200
    except RuntimeError:
        return False  # it does not listen yet


def server_id(relay: Relay) -> int | None:
    """Of the server that a new connection is sent to; None while there is no primary."""
    try:
        with connected(relay.socket, user="shop") as cursor:
            cursor.execute("SELECT @@server_id AS n")
            row = cursor.fetchone()
    except pymysql.err.OperationalError:
        return None
    assert row is not None
    return int(row["n"])


def test_writes_follow_the_role_and_no_row_is_lost(
    started: Database, relay: Relay, file: Path
) -> None:
    with Writer(relay.writer) as writer:
        writer.wait(50)
        assert {server_id(relay) for _ in range(5)} == {100}
        file.write_text("1\n")
        started[1].sidecar.wait_for("primary")
        until(
            lambda: {server_id(relay) for _ in range(5)} == {101},
            what="new connections go to mysql-1",
        )
        writer.wait(50)
    until(
        lambda: set(writer.acknowledged) <= set(started.rows(started[1])),
        what="no acknowledged row is lost",
    )


def test_a_sidecar_that_restarts_ends_no_session(started: Database, relay: Relay) -> None:
    with connected(relay.socket, user="shop") as cursor:
        started.primary.sidecar.kill()
        started.primary.sidecar.start()
        started.primary.sidecar.wait_for("primary")
        cursor.execute("INSERT INTO shop.orders VALUES (1)")
    until(lambda: server_id(relay) == 100, what="a new connection goes to mysql-0 again")
    assert started.wait_equal() == [1]

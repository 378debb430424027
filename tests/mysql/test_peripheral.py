"""What is wrong beside a healthy database is reported, and closes nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pymysql
import pytest
from pymysql.constants import ER

from peerdisco.mysql import literal
from tests.docs.markdown import ROOT

from .database import Database, Member
from .waiting import until

pytestmark = pytest.mark.timeout(180)  # many restarts, on a busy machine

REPLICATION = "PEERDISCO_MYSQL_REPLICATION_PASSWORD_FILE"


@pytest.fixture
def running(running: Database) -> Database:
    running.evidence.secrets.append("certainly-not")
    return running


@pytest.fixture
def every_running(every_db: Database) -> Database:
    """The same, for each family and version of this machine."""
    every_db.start()
    every_db.wait()
    every_db.create_shop()
    every_db.primary.server.sql("INSERT INTO shop.orders VALUES (1)")
    every_db.wait_equal()
    return every_db


def secret(db: Database) -> Path:
    """The file of the replication password, which all pods mount."""
    return Path(db.environment[REPLICATION])


def problems(member: Member) -> list[str]:
    return [str(found["code"]) for found in member.sidecar.ready()[1]["problems"]]


def problem(member: Member) -> str:
    """What is wrong with the account for replication; empty if nothing is."""
    found = member.sidecar.ready()[1]["problems"]
    return next((one["detail"] for one in found if one["code"] == "replication-account"), "")


def restart(member: Member, what: str) -> None:
    """Restart the server, the sidecar, or both, as the container's end does."""
    if what != "sidecar":
        member.server.restart()
    if what != "server":
        member.sidecar.stop()
        member.sidecar.start()


def test_a_replication_password_that_is_wrong_closes_nothing(running: Database) -> None:
    primary, replica = running.primary, running[1]
    right = secret(running).read_bytes()
    secret(running).write_bytes(b"certainly-not")
    primary.server.restart()
    until(lambda: not primary.server.variable("read_only"), what="the primary is opened again")
    until(lambda: problems(primary) == ["replication-account"], what="the problem is reported")
    status, told = primary.sidecar.ready()
    assert (status, told["state"]) == (200, "primary")
    assert "password" in told["problems"][0]["detail"]
    assert "certainly" not in str(told)
    metrics = primary.sidecar.get("/metrics")[1]
    assert 'peerdisco_mysql_problem{code="replication-account"} 1.0' in metrics
    until(
        lambda: any("warning (replication-account)" in line for line in primary.sidecar.said),
        what="it is logged",
    )
    # A replica still has the password with which it replicates.
    primary.server.sql("INSERT INTO shop.orders VALUES (2)")
    assert running.wait_equal() == [1, 2]
    until(lambda: "replication-account" in problems(replica), what="the replica reports it")
    until(lambda: replica.sidecar.ready()[0] == 200, what="the replica is ready")
    secret(running).write_bytes(right)
    until(lambda: not problems(primary) and not problems(replica), what="all is well")


def test_the_replication_password_is_unusable_from_the_first_start(db: Database) -> None:
    """The primary cannot ask its peers, and waits; nothing ends."""
    right = secret(db).read_bytes()
    secret(db).write_bytes(b"certainly-not\n\n")
    db.evidence.secrets.append("certainly-not")
    db.start()
    sidecar = db.primary.sidecar
    sidecar.wait_for("waiting")
    until(
        lambda: "replication-account" in problems(db.primary),
        what="it says that the password cannot be used",
    )
    assert sidecar.states[-1][0] == "waiting"
    secret(db).write_bytes(right)
    db.wait()


LONGEST = {"mariadb": 96, "mysql": 32}
"""Bytes of the password that a replica of each family can log in with."""


@pytest.mark.long
def test_a_replication_password_that_cannot_be_used_closes_nothing(running: Database) -> None:
    """Nor a restart with it; it is reported with its cause, and replication goes on."""
    primary, right = running.primary, secret(running).read_bytes()
    longest = LONGEST[primary.server.flavour]
    unusable = {
        b"": "empty",
        b"certainly-not\nat all": "one line",
        b"certainly-not\0": "NUL",
        b"certainly-not\xff": "UTF-8",
        "certainly-not 🔑".encode(): "U+FFFF",
        b"certainly-not".ljust(longest + 1, b"!"): f"at most {longest}",
    }
    for row, (content, cause) in enumerate(unusable.items(), 2):
        secret(running).write_bytes(content)
        restart(primary, "pod" if row == 2 else "sidecar")
        restart(running[1], "sidecar")
        primary.sidecar.wait_for("primary")
        for member in (primary, running[1]):
            until(
                lambda member=member, cause=cause: cause in problem(member),
                what=lambda member=member, cause=cause: f"{cause}: {member.sidecar.ready()}",
            )
            assert member.sidecar.ready()[0] == 200
        primary.server.sql(f"INSERT INTO shop.orders VALUES ({row})")
        assert running.wait_equal() == [*range(1, row + 1)]
    secret(running).write_bytes(right)
    until(lambda: not any(map(problems, running.members)), what="all is well")


@pytest.mark.long
def test_passwords_of_any_characters_replicate(running: Database) -> None:
    longest = LONGEST[running.primary.server.flavour]
    awkward = 'it\'s \\ "q" %s `{};-- '
    for row, password in enumerate((awkward, "€ß" * 6 + "ab", "x" * longest), 2):
        running.evidence.secrets.append(password)
        for member in running.members:
            until(
                lambda member=member, password=password: changed(member, password),
                what="the account is changed",
            )
        secret(running).write_text(password)
        for replica in running.replicas:
            replica.server.sql("STOP REPLICA IO_THREAD", "START REPLICA IO_THREAD")
        running.primary.server.sql(f"INSERT INTO shop.orders VALUES ({row})")
        assert running.wait_equal() == [*range(1, row + 1)]
        until(lambda: not any(map(problems, running.members)), what="all is well")


ROTATION = re.compile(r"## Change the replication password\n.*?```sql\n(.*?)```", re.DOTALL)


def changed(member: Member, password: str) -> bool:
    """Execute what the page says; False where the sidecar closed the server meanwhile."""
    found = ROTATION.search((ROOT / "docs" / "how-to" / "mysql.md").read_text())
    assert found is not None
    lines = found[1].replace("'...'", literal(password)).splitlines()
    mysql = member.server.flavour == "mysql"
    statements = (line.split(";  -- ")[0] for line in lines if mysql or "-- MySQL" not in line)
    try:
        member.server.sql(*statements)
    except pymysql.err.MySQLError as error:
        if error.args[0] != ER.OPTION_PREVENTS_STATEMENT:
            raise
        return False
    return True


@pytest.mark.timeout(400)  # MySQL takes seconds to stop and to start, 14 times
@pytest.mark.parametrize(("first", "what"), [("account", "pod"), ("secret", "server")])
def test_the_password_is_rotated_in_any_order(
    every_running: Database, first: str, what: str
) -> None:
    """The account is changed on one server after the other, and pods restart in between."""
    running, new = every_running, "another one's \\ password"
    running.evidence.secrets.append(new)

    def accounts() -> None:
        for member in reversed(running.members):
            until(lambda member=member: changed(member, new), what="the account is changed")
            restart(member, what)
            until(lambda: not running.primary.server.variable("read_only"), what="it takes writes")

    steps = [accounts, lambda: secret(running).write_text(new)]
    for step in steps if first == "account" else steps[::-1]:
        step()
        restart(running.primary, what)
        running.primary.sidecar.wait_for("primary")
    for member in running.members:
        restart(member, what)
    running.wait()
    running.primary.server.sql("INSERT INTO shop.orders VALUES (2)")
    assert running.wait_equal() == [1, 2]
    until(lambda: not any(map(problems, running.members)), what="all is well")


# A peer with other data.


def foreign(member: Member) -> None:
    """Give the pod the volume of a database that was once another cluster."""
    member.sidecar.stop()
    server = member.server
    server.sql("STOP REPLICA", "RESET REPLICA ALL", "SET GLOBAL read_only = OFF")
    server.sql("UPDATE peerdisco.cluster SET id = 'of-an-old-claim'")
    server.sql("INSERT INTO shop.orders VALUES (1000)")
    server.restart()
    member.sidecar.start()


def test_one_replica_with_an_old_claim_does_not_close_the_primary(running: Database) -> None:
    primary, stranger = running.primary, running[2]
    foreign(stranger)
    stranger.sidecar.wait_for("refused")
    for what in ("server", "sidecar", "pod"):
        restart(primary, what)
        primary.sidecar.wait_for("primary")
        until(lambda: not primary.server.variable("read_only"), what="the primary takes writes")
    told = primary.sidecar.ready()[1]
    assert [(found["code"], found["peer"]) for found in told["problems"]] == [
        ("peer-outvoted", "mysql-2")
    ]
    primary.server.sql("INSERT INTO shop.orders VALUES (2)")
    until(lambda: running.rows(running[1]) == [1, 2], what="the other replica follows")
    assert running.rows(stranger) == [1, 1000]


@pytest.mark.parametrize(
    ("bar", "unbar"),
    [("ACCOUNT LOCK", "ACCOUNT UNLOCK"), ("PASSWORD EXPIRE", "PASSWORD EXPIRE NEVER")],
    ids=["locked", "expired"],
)
def test_a_replication_account_that_is_barred_closes_nothing(
    every_db: Database, bar: str, unbar: str
) -> None:
    """MariaDB stops the receiver for good, and permits the login, if the password has expired."""
    db, password = every_db, literal(secret(every_db).read_text())
    db.start()
    db.wait()
    db.create_shop()
    db.wait_equal()
    primary, replica = db.primary, db[1]

    def alter(what: str) -> None:
        sql = f"ALTER USER 'peerdisco_replication'@'%' {what}"
        primary.server.sql("SET SESSION sql_log_bin = 0", sql)

    alter(bar)
    restart(primary, "sidecar")
    replica.server.sql("STOP REPLICA IO_THREAD", "START REPLICA IO_THREAD")
    until(lambda: "replication-account" in problems(primary), what="the primary reports it")
    until(lambda: "replication-account" in problems(replica), what="the replica reports it")
    assert [member.sidecar.ready()[0] for member in (primary, replica)] == [200, 200]
    assert "locked or expired" in str(replica.sidecar.ready()[1]["problems"])
    primary.server.sql("INSERT INTO shop.orders VALUES (1)")
    if bar.startswith("PASSWORD"):
        alter(f"IDENTIFIED BY {password}")
    alter(unbar)
    assert db.wait_equal() == [1]
    until(lambda: not problems(primary) and not problems(replica), what="all is well")

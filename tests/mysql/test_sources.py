"""Which pods may be copied, while real servers and sidecars run."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from .database import Database
from .waiting import until

DOMAIN = "mysql.default.svc.cluster.local"


@pytest.fixture
def db(make: Callable[..., Database]) -> Database:
    made = make()
    for member in made.members:
        member.sidecar.environment["PEERDISCO_MYSQL_LISTEN"] = "8080"
    made.start()
    made.wait()
    made.create_shop()
    made.wait_equal()
    return made


def sources(db: Database, purpose: str, ordinal: int = 2) -> list[str]:
    """What ``peerdisco mysql-source`` prints in a pod: the names of pods."""
    lines = said_by(db, ordinal, purpose).splitlines()
    return [line.removesuffix(f".{DOMAIN}") for line in lines if line.endswith(DOMAIN)]


def said_by(db: Database, ordinal: int, *arguments: str) -> str:
    """What the command says in a pod."""
    pod = db[ordinal].pod
    environment = [f"{name}={value}" for name, value in db.environment.items()]
    program = (sys.executable, "-m", "peerdisco", "mysql-source", *arguments, "--timeout", "1")
    return pod.run(
        "sh", "-c", '"$@" 2>&1 || :', "-", "env", f"POD_NAME={pod.name}", *environment, *program
    )


@pytest.mark.timeout(120)
def test_a_replica_that_is_refused_is_never_a_source(db: Database) -> None:
    """A copy of it would be refused as well, and a copy of that, for ever."""

    def is_ready(ordinal: int) -> bool:
        return db[ordinal].sidecar.ready()[0] == 200

    until(lambda: all(map(is_ready, range(3))), what="all are ready")
    assert sources(db, "copy") == ["mysql-1", "mysql-0"]
    assert sources(db, "copy", 1) == ["mysql-0"]
    assert sources(db, "backup") == ["mysql-2", "mysql-1"]
    db[1].locally("INSERT INTO shop.orders VALUES (1000)")
    db[1].sidecar.wait_for("refused")
    assert sources(db, "copy") == ["mysql-0"]
    assert sources(db, "backup") == ["mysql-2"]
    # Nor may its volume be emptied, as that of the other one may.
    assert said_by(db, 0, "replace", "--pod", "mysql-2") == "mysql-2\n"
    kept = said_by(db, 0, "replace", "--pod", "mysql-1")
    assert "the volume of mysql-1 must not be emptied" in kept
    assert "local-writes" in kept
    assert "it is the primary" in said_by(db, 0, "replace", "--pod", "mysql-0")
    assert "expected one of mysql-0" in said_by(db, 0, "replace", "--pod", "mysql-7")
    assert "needs --pod" in said_by(db, 0, "replace")
    # A primary that its sidecar does not open is no source either.
    db.primary.sidecar.kill()
    assert sources(db, "copy") == []
    assert "no primary that it could copy" in said_by(db, 0, "replace", "--pod", "mysql-2")

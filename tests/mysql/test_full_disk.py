"""A primary on which a write does not complete is not ready, and does not collect connections."""

from __future__ import annotations

import re
import time

from .database import Database, Member
from .waiting import until


def start(db: Database) -> None:
    db.start()
    db.wait()
    db.create_shop()
    until(lambda: db.primary.sidecar.ready()[0] == 200)


def stuck(member: Member) -> str:
    """Wait until the primary is not ready because of a write; why."""
    until(lambda: member.sidecar.ready()[0] == 503, what="it is not ready")
    told = member.sidecar.ready()[1]
    assert told["state"] == "slow", told
    return str(told["reason"])


def writes(member: Member) -> int:
    """How many heartbeats wait on the server."""
    rows = member.server.sql("SHOW FULL PROCESSLIST")
    return sum("peerdisco.heartbeat" in str(row["Info"]) for row in rows)


MOST_SESSIONS = 8
"""Of all sidecars on one server: each may have one that waits for a statement that does not end."""


def sessions(member: Member) -> list[str]:
    """The connections of sidecars that a server has, by what they execute."""
    rows = member.server.sql("SHOW FULL PROCESSLIST")
    return [
        str(row["Info"])
        for row in rows
        if str(row["User"]).startswith("peerdisco") and "Dump" not in str(row["Command"])
    ]


def test_the_disk_of_the_primary_is_full(db: Database) -> None:
    primary = db.primary
    disk = primary.server.volume / "disk"
    disk.mkdir()
    primary.pod.run("mount", "-t", "tmpfs", "-o", "size=8M", "tmpfs", str(disk))
    primary.server.arguments = (f"--log-bin={disk}/binlog",)
    start(db)
    primary.pod.run("sh", "-c", f"cat /dev/zero > {disk}/fill || true")
    # MySQL does not answer questions about its binary log meanwhile, each for seconds.
    seconds = 25 if primary.server.flavour == "mysql" else 4
    assert re.search("heartbeat|binary log: no answer", stuck(primary))
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        assert writes(primary) <= 1
        assert len(sessions(primary)) <= MOST_SESSIONS, sessions(primary)
        assert primary.sidecar.ready()[0] == 503
        time.sleep(0.5)
    assert not primary.server.variable("read_only"), "its readers are served"
    primary.pod.run("rm", f"{disk}/fill")
    primary.server.kill()  # the server itself looks for space once a minute
    primary.server.start()
    until(lambda: primary.sidecar.ready()[0] == 200, what="it is ready again")
    db.wait()
    primary.server.sql("INSERT INTO shop.orders VALUES (1)")
    assert db.wait_equal() == [1]


def test_a_lock_keeps_writes_from_completing(db: Database) -> None:
    start(db)
    with db.primary.server.holding("FLUSH TABLES WITH READ LOCK"):
        assert "heartbeat" in stuck(db.primary)
        time.sleep(4)
        assert writes(db.primary) <= 1
    until(lambda: db.primary.sidecar.ready()[0] == 200, what="it is ready again")
    db.primary.server.sql("INSERT INTO shop.orders VALUES (1)")
    assert db.wait_equal() == [1]

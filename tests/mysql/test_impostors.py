"""Somebody else answers at the primary's address: a whole sidecar, beside a real server."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from .database import Database, Member
from .impostor_process import LOGINS
from .pods import Pod
from .waiting import until

MOST_MEMORY = 160 * 2**20
"""Bytes of a sidecar; it has about 60 MB."""


def peak(member: Member) -> int:
    """The most memory that a sidecar has had, in bytes."""
    assert member.sidecar.process is not None
    status = Path(f"/proc/{member.sidecar.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


class Stranger:
    """An impostor in a pod.

    Args:
        db: Whose passwords it may get to know.
        pod: Where it listens.
        kind: One of those of `impostor_process`.
    """

    def __init__(self, db: Database, pod: Pod, kind: str) -> None:
        self._file = db.network.directory / "disclosed"
        self._file.unlink(missing_ok=True)
        password = db.environment["PEERDISCO_MYSQL_REPLICATION_PASSWORD_FILE"]
        command = ("-m", "tests.mysql.impostor_process", kind, password, str(self._file))
        self._process = pod.popen(sys.executable, *command)
        until(self._file.exists, what="it listens")

    @property
    def disclosed(self) -> list[str]:
        """The ways in which the password was disclosed to it."""
        ways, _ = json.loads(self._file.read_text())
        return list(ways)

    @property
    def connections(self) -> int:
        """How many connections it got."""
        _, connections = json.loads(self._file.read_text())
        return int(connections)

    def close(self) -> None:
        self._process.kill()


def test_impostors_at_the_address_of_the_primary(running: Database) -> None:
    first, second = running.replicas
    running.primary.kill()
    stranger_pod = running.network.pod("mysql-0")
    for kind in ("clear", "its own key", "every login", "nothing but OK", "endless rows"):
        least = LOGINS if kind == "every login" else 4
        stranger = Stranger(running, stranger_pod, kind)
        until(
            lambda stranger=stranger, least=least: stranger.connections >= least,
            what=f"both sidecars and servers have connected to it: {kind}",
        )
        assert stranger.disclosed == [], kind
        stranger.close()
        for replica in (first, second):
            assert replica.sidecar.alive, (kind, replica.sidecar.said)
            assert replica.sidecar.ready()[0] == 200, (kind, replica.sidecar.said)
            assert peak(replica) < MOST_MEMORY, kind
            assert replica.server.variable("read_only")
    for line in (*first.sidecar.said, *second.sidecar.said):
        assert line.isprintable()
        assert len(line) < 4000
    running.primary.arrive()
    running.primary.start()
    running.wait()
    assert running.wait_equal() == [1]


def test_an_impostor_at_the_address_of_a_replica(running: Database) -> None:
    """The primary asks its peers before it is opened, and is opened all the same."""
    primary = running.primary
    running[2].vanish()
    stranger = Stranger(running, running.network.pod("mysql-2"), "endless rows")
    primary.server.kill()
    primary.server.start()
    until(lambda: not primary.server.variable("read_only"), what="the primary takes writes")
    assert peak(primary) < MOST_MEMORY
    stranger.close()

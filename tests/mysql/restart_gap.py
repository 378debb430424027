"""Measure how long writes fail in a rolling restart, on real servers.

    python -m tests.mysql.restart_gap [--server SERVER] [--times N] [--write]

restarts three pods as a StatefulSet's controller does: from the last one to the primary, each with
a new address, the next one when the one before is ready. In each pod the server ends first, while
its sidecar runs, and the sidecar starts first. Clients of the primary: one that writes all the
time, and five idle ones, as a connection pool has. The sidecars have their default options.

SERVER is mariadb, other-mariadb, mysql, which has what examples/mysql/kubernetes has in its
preStop hook, or mysql-without-hook.

The gap is the time between the two acknowledged rows around it. "until it listens" is the part up
to the server's greeting, and "stop" the part of that in which the old server ended. No image is
pulled and no node is chosen, which adds to it in a cluster. No acknowledged row may be lost, and a
replica that is not ready at any time while the primary is restarted makes the command fail.

--write renews the figures in docs/how-to/mysql.md, and their record in recordings.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Self

from tests.docs.markdown import ROOT

from .database import Database, Member
from .gaps import RECORDINGS, SERVERS, Figures, median, name_of, replicating
from .mariadb import connected
from .waiting import until
from .writer import Writer

FIGURES = Figures(
    page=ROOT / "docs" / "how-to" / "mysql.md",
    module="tests.mysql.restart_gap",
    record=RECORDINGS / "restart-gap.json",
    columns={
        "server": "{server}",
        "restarts": "{restarts}",
        "median gap": "{median} s",
        "longest gap": "{longest} s",
        "stop of the server": "{stop} s",
        "until it listens again": "{listens} s",
    },
)
WITHOUT_HOOK = "mysql-without-hook"
IDLE = 5
"""Clients of the primary that do nothing."""
HOOK = "SET GLOBAL offline_mode = ON"
"""What the example does before it stops MySQL."""


@dataclass(frozen=True)
class Restart:
    """The seconds of one restart of the primary.

    Attributes:
        gap: Between two acknowledged rows.
        stop: Until the server had ended.
        listens: Until it greeted again.
    """

    gap: float
    stop: float
    listens: float


class Readiness:
    """Asks sidecars all the time, on a thread of its own, whether they are ready."""

    def __init__(self, members: list[Member]) -> None:
        self.unready: list[str] = []
        self.asked = 0
        self._members = members
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def _ask(self) -> None:
        while not self._stopped.wait(0.1):
            for member in self._members:
                self.asked += 1
                if found := unready(member):
                    self.unready.append(found)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()


def unready(member: Member) -> str:
    """Why a pod is not ready; empty if it is."""
    try:
        status, body = member.sidecar.ready()
    except RuntimeError as error:
        return str(error)
    return "" if status == 200 else f"{member.name}: {body['state']}: {body['reason']}"


@contextmanager
def idle(member: Member) -> Iterator[None]:
    """Clients that are connected, as those of a pool are, and outlive their server."""
    with ExitStack() as stack:
        for _ in range(IDLE):
            stack.enter_context(connected(member.server.socket, user="shop"))
        yield


def replace(member: Member, hook: str) -> tuple[float, float]:
    """Restart a pod; when its server had ended, and when it greeted again."""
    if hook:
        member.server.sql(hook)
    member.server.stop()
    ended = time.monotonic()
    member.sidecar.stop()
    member.pod.close()
    member.arrive()
    member.sidecar.start()
    member.server.start()
    return ended, time.monotonic()


def wait_ready(member: Member) -> None:
    until(
        lambda: not unready(member),
        timeout=120,
        what=lambda: f"{member.name} is ready: {member.sidecar.said}",
    )


def rolling_restart(db: Database, hook: str, first: int) -> tuple[Restart, list[int]]:
    """Restart all pods; the seconds of the primary's, and the rows that it acknowledged."""
    for replica in reversed(db.replicas):
        replace(replica, hook)
        wait_ready(replica)
    primary = db.primary
    with Writer(primary.server, first) as writer, Readiness(db.replicas) as readiness:
        writer.wait(50)
        with idle(primary):
            began, before = time.monotonic(), len(writer.times)
            ended, listens = replace(primary, hook)
            until(
                lambda: writer.times[-1] > listens,
                timeout=120,
                what=lambda: f"writes are acknowledged: {primary.sidecar.said}",
            )
        wait_ready(primary)
        writer.wait(50)
    assert readiness.asked > 10
    assert not readiness.unready, f"replicas were not ready: {readiness.unready[:9]}"
    times = writer.times[before - 1 :]
    gap = max(after - at for at, after in itertools.pairwise(times))
    return Restart(gap, ended - began, listens - began), writer.acknowledged


def measured(server: str, times: int) -> dict[str, Any]:
    """The figures of a server of this family and version."""
    kind = SERVERS[server.removesuffix("-without-hook")]
    hook = HOOK if server == "mysql" else ""
    with replicating(kind, {}) as db:
        found, acknowledged = [], set[int]()
        for n in range(times):
            restart, written = rolling_restart(db, hook, 1 + n * 1_000_000)
            found.append(restart)
            acknowledged |= set(written)
            lost = acknowledged - set(db.wait_equal())
            assert not lost, f"rows are lost: {sorted(lost)[:9]}"
        name = name_of(db) + (", without the hook" if server == WITHOUT_HOOK else "")
        return {
            "server": name,
            "restarts": times,
            "median": median([one.gap for one in found]),
            "longest": round(max(one.gap for one in found), 1),
            "stop": median([one.stop for one in found]),
            "listens": median([one.listens for one in found]),
        }


if __name__ == "__main__":
    FIGURES.main(__doc__, (*SERVERS, WITHOUT_HOOK), measured)

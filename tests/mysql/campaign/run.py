"""One seed after the other, each with a cluster of its own."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pymysql

from .. import database, mariadb, mysqld, pods
from ..database import Image
from ..mariadb import MariaDB, OtherMariaDB
from ..mysqld import MySQL
from ..pods import Bridge, network
from .cluster import Cluster
from .events import run_round
from .explain import explain
from .plan import Plan

__all__ = ["SERVERS", "Result", "image", "missing", "run"]

SERVERS: dict[str, type[MariaDB]] = {
    "mariadb": MariaDB,
    "other-mariadb": OtherMariaDB,
    "mysql": MySQL,
}


_FAULTS = (
    AssertionError,
    RuntimeError,
    OSError,
    subprocess.SubprocessError,
    pymysql.err.MySQLError,
)
_REPAIR = "counting what is in its log as applied"


@dataclass
class Result:
    """What came of a plan.

    Attributes:
        events: How many of each kind were done.
        rounds: How often the cluster came to rest, and was checked.
        rows: How many rows were acknowledged.
        repairs: How often a sidecar repaired the position of a server that was killed in DDL.
        seconds: How long it took.
        fault: What did not hold; empty if nothing.
        explanation: What each pod did then.
        spent: Seconds by kind of event, and by step of starting and coming to rest.
    """

    events: Counter[str] = field(default_factory=Counter)
    rounds: int = 0
    rows: int = 0
    repairs: int = 0
    seconds: float = 0.0
    fault: str = ""
    explanation: str = ""
    spent: Counter[str] = field(default_factory=Counter)


def missing(server: str) -> str | None:
    """Why no such cluster can be had here; None if it can."""
    checks = {"mariadb": mariadb.missing, "other-mariadb": mariadb.other_missing}
    return checks.get(server, mysqld.missing)() or pods.missing(Bridge)


def image(directory: Path, server: str) -> Image:
    """What the servers begin with."""
    kind = SERVERS[server]
    bare = directory / "bare"
    data = mysqld.template(bare) if kind is MySQL else mariadb.template(bare, kind.program)
    with network(Bridge) as where:
        return database.image(directory / "image", where, data, kind)


def run(plan: Plan, begins_with: Image) -> Result:
    """Do a plan on a cluster of its own."""
    result = Result()
    began = time.monotonic()
    with network(Bridge) as where:
        cluster = Cluster(where, begins_with, plan)
        try:
            with cluster.timing("start"):
                cluster.start()
            for events in plan.rounds:
                result.events.update(event.kind for event in events)
                run_round(cluster, events)
                result.rounds += 1
            cluster.db.close()
        except _FAULTS as error:
            result.fault = f"round {result.rounds + 1}: {error}\n{cluster.described()}"
            result.explanation = explain(cluster)
        finally:
            result.rows = len(cluster.acknowledged)
            said = [line for member in cluster.db.members for line in member.sidecar.lines]
            result.repairs = sum(_REPAIR in line for line in said)
            result.spent = cluster.spent
            cluster.stop_writing()
            cluster.db.evidence.convict()
    result.seconds = time.monotonic() - began
    return result


def directory() -> tempfile.TemporaryDirectory[str]:
    """For the data directory that servers begin with; short, for the sockets below it."""
    return tempfile.TemporaryDirectory(prefix="campaign-", ignore_cleanup_errors=True)

"""What an operator does to a cluster, and what the messages advise then."""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

import pymysql

from ..database import Member
from ..waiting import until
from ..writer import Writer
from .cluster import PATIENCE, Cluster, closed
from .plan import OPERATIONS

__all__ = ["OPERATE"]


def move_role(cluster: Cluster, member: Member, _: Writer) -> None:
    cluster.wants(cluster.db.members.index(member))


def restart_all(cluster: Cluster, _: Member, __: Writer) -> None:
    for member in (*reversed(cluster.replicas), cluster.primary):
        cluster.stop(member)
        member.start()
        role = "primary" if member is cluster.primary else "replica"
        cluster.wait_report(member, lambda one, role=role: one["state"] == role, f"is {role}")


def copy_replica(cluster: Cluster, member: Member, _: Writer) -> None:
    """To the other replica."""
    others = [one for one in cluster.replicas if one is not member]
    cluster.copy(member, *others)
    for one in (member, *others):
        one.start()


def rewind_replica(cluster: Cluster, member: Member, writer: Writer) -> None:
    _take_snapshot(cluster, member, writer)
    cluster.stop(member)
    cluster.restore(member)
    member.start()
    _copy_if_needed(cluster, member)


def lose_replica(cluster: Cluster, member: Member, _: Writer) -> None:
    cluster.stop(member)
    member.server.wipe()
    cluster.restored = True
    member.start()
    _copy_if_needed(cluster, member)


def lose_primary(cluster: Cluster, member: Member, writer: Writer) -> None:
    """Restored as documented. Without semi-sync, what no replica received is lost: nothing is."""
    if cluster.semi_sync:
        writer.wait(20)
    else:
        cluster.stop_writing()
        cluster.check_rows()
    member.kill()
    member.server.wipe()
    replica = cluster.replicas[0]
    ordinal = str(cluster.ordinal)
    environment = [f"{key}={value}" for key, value in cluster.db.environment.items()]
    said = replica.pod.run(
        "env", *environment, f"POD_NAME={replica.name}", sys.executable, "-m", "peerdisco",
        "mysql-recover", "--primary-lost", "--ordinal", ordinal, timeout=PATIENCE,
    )  # fmt: skip
    source = said.split()[-1].partition(".")[0]
    best = next(one for one in cluster.replicas if one.name == source)
    cluster.copy(best, member)
    member.start()
    best.start()


def lock_replica_and_lose_primary(cluster: Cluster, member: Member, writer: Writer) -> None:
    """The rows that a replica received are applied only while the command waits for them."""
    with ExitStack() as locked:
        if cluster.semi_sync:  # without it the rows are compared first
            lock = cluster.replicas[-1].server.holding("LOCK TABLES shop.orders READ")
            locked.enter_context(lock)
        released = threading.Timer(_LOCKED, locked.close)
        released.start()
        try:
            lose_primary(cluster, member, writer)
        finally:
            released.join()


_LOCKED = 3.0


def rewind_primary(cluster: Cluster, member: Member, writer: Writer) -> None:
    """Its replicas answer, so it is not opened, and gets a copy of the one that is named."""
    _take_snapshot(cluster, member, writer)
    if not cluster.semi_sync:
        cluster.stop_writing()
        cluster.check_rows()
    cluster.stop(member)
    cluster.restore(member)
    member.start()
    why = cluster.wait_refused(member)
    assert closed(member), why
    assert "this pod's data are older" in why, why
    _follow_advice(cluster, member, why)


def fork(cluster: Cluster, member: Member, writer: Writer) -> None:
    """It is opened with an older volume before a replica answers, and writes on."""
    replicas = cluster.replicas
    _take_snapshot(cluster, member, writer)
    writer.wait(50)
    until(lambda: _beats(member), what="a heartbeat follows")
    cluster.stop_writing()
    cluster.check_rows()
    kept = set(cluster.acknowledged)
    for one in cluster.db.members:
        cluster.stop(one)
    cluster.restore(member)
    member.start()
    member.server.wait_ready(PATIENCE)
    if cluster.password:  # it may have changed since, and the replicas have to log in
        cluster.accept_password(member)
    if not cluster.semi_sync:
        cluster.wait_report(member, lambda one: one["state"] == "primary", "is opened")
        with cluster.writing() as other:
            other.wait(30)
            apart = cluster.stop_writing()
    else:
        apart = set()
    for replica in replicas:
        replica.start()
    for replica in replicas:
        why = cluster.wait_refused(replica)
        assert "keep this volume" in why, why
        assert kept <= set(cluster.db.rows(replica)), f"{replica.name} lost rows"
    why = cluster.wait_refused(member)
    assert closed(member), why
    assert apart <= set(cluster.db.rows(member)), f"{member.name} lost rows"
    # The operator decides for the replicas; what is apart stays in the volume that is kept.
    cluster.acknowledged = kept
    best = max(replicas, key=_last_beat)
    cluster.copy(best, member)
    best.start()
    member.start()


def reset_log(cluster: Cluster, member: Member, _: Writer) -> None:
    """Its replicas are refused, and get a copy of it."""
    mariadb = member.server.flavour == "mariadb"
    member.server.sql("RESET MASTER" if mariadb else "RESET BINARY LOGS AND GTIDS")
    cluster.wait_report(
        member, lambda one: "binary log was reset" in one["reason"], "reports the reset"
    )
    for replica in cluster.replicas:
        cluster.wait_refused(replica)
    cluster.copy(member, *cluster.replicas)
    for one in cluster.db.members:
        one.start()


def flush(_: Cluster, member: Member, writer: Writer) -> None:
    """Administrative statements are logged as the replica's own transactions."""
    for statement in ("FLUSH TABLES", "ANALYZE TABLE shop.orders"):
        try:
            member.server.sql(statement)
        except pymysql.err.MySQLError:
            assert member.server.flavour == "mysql"  # super_read_only
    writer.wait(10)


def _last_beat(member: Member) -> int:
    """The number of the last heartbeat: of two with the same rows, the other one is older."""
    return int(member.server.value("SELECT counter FROM peerdisco.heartbeat"))


def _beats(member: Member) -> bool:
    before = _last_beat(member)
    time.sleep(1.2)
    return _last_beat(member) > before


def _take_snapshot(cluster: Cluster, member: Member, writer: Writer) -> None:
    """Take a snapshot of a volume if there is none, and wait until there are rows beyond it."""
    if not cluster.has_snapshot(member):
        cluster.stop(member)
        cluster.keep_snapshot(member)
        member.start()
        writer.wait(20)


def _copy_if_needed(cluster: Cluster, member: Member) -> None:
    """Wait until a replica is ready, or says that it needs a copy, and then give it one.

    It may replicate for a moment before the log turns out to be without its beginning.
    """
    found = cluster.wait_report(
        member, lambda one: one["ready"] or one["state"] == "refused", "is ready or refused"
    )
    if found["state"] == "refused":
        codes = {reason["code"] for reason in found["verdict"]["reasons"]}
        assert codes == {"needs-copy"}, found
        cluster.copy(cluster.primary, member)
        cluster.primary.start()
        member.start()


def _follow_advice(cluster: Cluster, member: Member, why: str) -> None:
    named = re.search(r"a copy of (mysql-\d+)'s data", why)
    assert named, why
    best = next(one for one in cluster.db.members if one.name == named[1])
    cluster.copy(best, member)
    best.start()
    member.start()


OPERATE: dict[str, Callable[[Cluster, Member, Writer], None]] = {
    "move the role": move_role,
    "restart all pods": restart_all,
    "copy the volume of a replica": copy_replica,
    "restore an older volume of a replica": rewind_replica,
    "lose the volume of a replica": lose_replica,
    "lose the volume of the primary": lose_primary,
    "lock a replica and lose the volume of the primary": lock_replica_and_lose_primary,
    "restore an older volume of the primary": rewind_primary,
    "open an older volume of the primary": fork,
    "reset the log of the primary": reset_log,
    "flush on a replica": flush,
}

assert set(OPERATE) == set(OPERATIONS)

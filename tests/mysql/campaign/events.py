"""What each kind of event does to a cluster."""

from __future__ import annotations

import re
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pymysql

from ..database import AWKWARD, Member
from ..mariadb import connected
from ..waiting import until
from ..writer import Writer
from .cluster import PATIENCE, Cluster, closed
from .plan import DISTURBANCES, KINDS, OPERATIONS, Event, Round

__all__ = ["run_round"]


def run_round(cluster: Cluster, events: Round) -> None:
    """Do the events of a round while clients write, and check the cluster when it has rested."""
    with cluster.writing() as writer:
        writer.wait(5)
        for event in events:
            with cluster.timing(event.kind):
                _do(cluster, event, writer)
        cluster.rest()


def _do(cluster: Cluster, event: Event, writer: Writer) -> None:
    member = cluster.db[event.pod]
    if event.kind in DISTURBANCES:
        _DO[event.kind](cluster, member, event)
    else:
        _OPERATE[event.kind](cluster, member, writer)
    time.sleep(event.seconds)


# Disturbances: whatever comes of them, the cluster repairs it alone.


def kill_server(_: Cluster, member: Member, __: Event) -> None:
    member.server.kill()
    member.server.start(wait=False)


def kill_sidecar(_: Cluster, member: Member, __: Event) -> None:
    member.sidecar.kill()
    member.sidecar.start()


def kill_pod(_: Cluster, member: Member, event: Event) -> None:
    member.kill()
    time.sleep(event.seconds)
    member.start()


def stop_server(_: Cluster, member: Member, event: Event) -> None:
    assert member.server.process is not None
    member.server.process.signal(signal.SIGSTOP)
    time.sleep(event.seconds)
    member.server.process.signal(signal.SIGCONT)


def stop_sidecar(_: Cluster, member: Member, event: Event) -> None:
    assert member.sidecar.process is not None
    member.sidecar.process.signal(signal.SIGSTOP)
    time.sleep(event.seconds)
    member.sidecar.process.signal(signal.SIGCONT)


def move_pod(_: Cluster, member: Member, event: Event) -> None:
    member.vanish()
    time.sleep(event.seconds)
    member.arrive()
    member.start()


def cut_off(_: Cluster, member: Member, event: Event) -> None:
    member.pod.cut()
    time.sleep(event.seconds)
    member.pod.restore()


def break_dns(cluster: Cluster, _: Member, event: Event) -> None:
    cluster.db.network.dns.fail(event.detail)
    time.sleep(event.seconds)
    cluster.db.network.dns.fail(None)


def unlist(cluster: Cluster, member: Member, event: Event) -> None:
    dns = cluster.db.network.dns
    dns.publish(member.name)
    time.sleep(event.seconds)
    dns.publish(member.name, member.pod.address)


def pause(cluster: Cluster, member: Member, event: Event) -> None:
    """A server restarts while its sidecar is paused, as for maintenance."""
    file = cluster.pause_file(member)
    file.touch()
    time.sleep(event.seconds)
    cluster.stop_server(member)
    member.server.start(wait=False)
    time.sleep(event.seconds)
    file.unlink()


def restart_pod(cluster: Cluster, member: Member, _: Event) -> None:
    cluster.stop(member)
    cluster.keep_snapshot(member)
    member.start()


def change_tables(cluster: Cluster, _: Member, event: Event) -> None:
    with _Tables(cluster):
        time.sleep(event.seconds)


def kill_during_ddl(cluster: Cluster, member: Member, event: Event) -> None:
    with _Tables(cluster, pause=0.0):
        time.sleep(event.seconds)
        member.server.kill()
        if member is not cluster.primary and member.server.flavour == "mariadb":
            cluster.killed_in_ddl.add(event.pod)
        member.server.start(wait=False)
        time.sleep(event.seconds)


def change_password(cluster: Cluster, member: Member, event: Event) -> None:
    """In any order, with a restart in between."""
    cluster.password = AWKWARD + secrets.token_hex(6)
    cluster.db.evidence.secrets.append(cluster.password.removeprefix(AWKWARD))
    file = Path(cluster.db.environment["PEERDISCO_MYSQL_REPLICATION_PASSWORD_FILE"])

    def change_secret() -> None:
        file.write_text(cluster.password)

    steps = [cluster.accept_password, change_secret]
    if event.detail != "account first":
        steps.reverse()
    steps[0]()
    time.sleep(event.seconds)
    kill_server(cluster, member, event)
    steps[1]()


class _Tables:
    """A client that makes, changes and drops tables on the primary, whatever becomes of it."""

    def __init__(self, cluster: Cluster, pause: float = 0.01) -> None:
        self._server = cluster.primary.server
        self._pause = pause
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tables", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                with connected(self._server.socket, user="shop") as cursor:
                    for statement in _STATEMENTS:
                        cursor.execute(statement)
                        if self._stopped.wait(self._pause):
                            break
            except (pymysql.err.MySQLError, OSError):
                self._stopped.wait(0.1)


_STATEMENTS = (
    "CREATE TABLE IF NOT EXISTS play.t (n INT PRIMARY KEY AUTO_INCREMENT, word TEXT)",
    "INSERT INTO play.t (word) VALUES ('a'), ('b')",
    "ALTER TABLE play.t ADD COLUMN more INT DEFAULT 1, ADD INDEX (more)",
    "CREATE OR REPLACE VIEW play.v AS SELECT n FROM play.t",
    "ALTER TABLE play.t ENGINE = InnoDB",
    "TRUNCATE TABLE play.t",
    "DROP VIEW play.v",
    "DROP TABLE play.t",
)

_DO: dict[str, Callable[[Cluster, Member, Event], None]] = {
    "kill the server": kill_server,
    "kill the sidecar": kill_sidecar,
    "kill the pod": kill_pod,
    "stop the server for a while": stop_server,
    "stop the sidecar for a while": stop_sidecar,
    "move the pod to another node": move_pod,
    "cut the pod off": cut_off,
    "break the DNS": break_dns,
    "unlist the pod": unlist,
    "pause the sidecar": pause,
    "restart the pod": restart_pod,
    "change tables": change_tables,
    "kill the server while tables change": kill_during_ddl,
    "change the password": change_password,
}


# Operations: an operator does them, and what the messages advise.


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


_OPERATE: dict[str, Callable[[Cluster, Member, Writer], None]] = {
    "move the role": move_role,
    "restart all pods": restart_all,
    "copy the volume of a replica": copy_replica,
    "restore an older volume of a replica": rewind_replica,
    "lose the volume of a replica": lose_replica,
    "lose the volume of the primary": lose_primary,
    "restore an older volume of the primary": rewind_primary,
    "open an older volume of the primary": fork,
    "reset the log of the primary": reset_log,
    "flush on a replica": flush,
}

assert {*_DO, *_OPERATE} == {*KINDS}
assert set(_OPERATE) == set(OPERATIONS)

"""An open primary goes on comparing its data with its peers', and with its own heartbeat."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from peerdisco.clock import SystemClock
from peerdisco.model import Snapshot
from peerdisco.mysql.ensure import ensure_primary
from peerdisco.mysql.errors import DatabaseError
from peerdisco.mysql.facts import read_facts
from peerdisco.mysql.setup import Account
from peerdisco.mysql.sidecar.durability_check import DurabilityCheck
from peerdisco.mysql.sidecar.heart import Heart
from peerdisco.mysql.sidecar.peers import Connection, PeerServers
from peerdisco.mysql.sidecar.primary_role import PrimaryRole
from peerdisco.mysql.sidecar.report import Report, State
from peerdisco.names import Endpoint
from tests.unit.primary.test_verdicts import me, seen

from ..servers import Opened, Server, ServerError

ALL = ("db-0=10.0.0.1", "db-1=10.0.0.2", "db-2=10.0.0.3")


class Primary:
    """The server of ordinal 0, its peers', and its sidecar's role, on a clock that is moved."""

    def __init__(self, *, expected: int | None = 3) -> None:
        self.own = Server(server_id=100)
        self.peers = {f"10.0.0.{n + 1}": Server(server_id=100 + n) for n in (1, 2)}
        self.now = 1000.0
        self.asked: list[str] = []
        self.heart = Heart(self._connect_own, SystemClock(), every=1, timeout=1, name="db-0")
        self.role = PrimaryRole(
            me(),
            PeerServers(self._connect, lambda: Account("repl", "x"), 3306, 2.0),
            "db-0",
            expected=expected,
            first_start=False,
            durability=DurabilityCheck("db-0", None),
            heart=self.heart,
            now=lambda: self.now,
        )
        self.snapshot = seen(*ALL)

    async def _connect_own(self) -> Connection:
        return Opened(self.own)

    async def _connect(self, where: Endpoint | None, account: Account) -> Connection:
        assert where is not None
        self.asked.append(where.address)
        if where.address not in self.peers:
            raise DatabaseError.of(ServerError(2003, "nobody"), where.address, "connecting")
        return Opened(self.peers[where.address])

    async def judge(self, *, later: float = 6.0, at: Snapshot | None = None) -> Report:
        self.now += later
        own = await read_facts(self.own, "db-0")
        return await self.role.reconcile(self.own, own, at or self.snapshot)

    async def opened(self) -> None:
        assert (await self.judge()).state is State.PRIMARY
        self.own.logged = "0-100-9"
        for server in self.peers.values():
            server.cluster = self.own.cluster
            server.epochs = list(self.own.epochs)
            server.beat, server.logged = self.own.beat, "0-100-9"
        self.asked.clear()


@pytest.fixture
async def primary() -> Primary:
    made = Primary()
    await made.opened()
    return made


def epoch(number: int, name: str, **given: Any) -> dict[str, Any]:
    made = Server(server_id=100)._epoch(number, name, reset=False)
    return {**made, "left_position": "0-100-9|", "left_beat": 1, **given}


async def test_it_asks_every_few_seconds_and_when_the_peers_change(primary: Primary) -> None:
    await primary.judge(later=1)
    assert primary.asked == []
    await primary.judge(later=6)
    assert sorted(primary.asked) == ["10.0.0.2", "10.0.0.3"]
    primary.asked.clear()
    await primary.judge(later=1, at=seen("db-0=10.0.0.1", "db-1=10.0.0.9"))
    assert primary.asked == ["10.0.0.9"]


async def test_peers_that_do_not_answer_change_nothing(primary: Primary) -> None:
    primary.peers.clear()
    for _ in range(4):
        report = await primary.judge()
        assert (report.state, primary.own.read_only) == (State.PRIMARY, False)


async def test_another_cluster_is_seen_later() -> None:
    """The number of pods is wrong, and no peer was listed when the database was created."""
    primary = Primary(expected=1)
    primary.snapshot = seen("db-0=10.0.0.1")
    await primary.opened()
    for server in primary.peers.values():
        server.cluster = ("the-old-one", "blank")
    assert (await primary.judge(at=seen(*ALL))).state is State.PRIMARY  # it reads twice
    report = await primary.judge(later=0.1, at=seen(*ALL))
    assert report.state is State.REFUSED
    assert "db-1 holds data of the cluster the-old-one" in report.reason
    assert primary.own.read_only
    assert (await primary.judge(at=seen(*ALL))).state is State.REFUSED


async def test_one_peer_of_another_cluster_closes_nothing(primary: Primary) -> None:
    primary.peers["10.0.0.2"].cluster = ("an-old-one", "blank")
    for _ in range(3):
        report = await primary.judge()
        assert (report.state, primary.own.read_only) == (State.PRIMARY, False)
    assert [problem.peer for problem in report.problems] == ["db-1"]
    primary.peers["10.0.0.2"].cluster = primary.own.cluster
    assert (await primary.judge()).problems == ()


async def test_a_newer_epoch_closes_it(primary: Primary) -> None:
    """Another pod was made the primary, and this one was away meanwhile."""
    other = primary.peers["10.0.0.2"]
    other.epochs.append(epoch(2, "newer", server="101"))
    assert (await primary.judge()).state is State.PRIMARY
    report = await primary.judge(later=0.1)
    assert report.state is State.REFUSED
    assert "db-1 has a later epoch" in report.reason
    assert primary.own.read_only


async def test_two_open_primaries_see_each_other(primary: Primary) -> None:
    """The one whose epoch is the older one is closed, and the other one stays open."""
    other = primary.peers["10.0.0.2"]
    other.read_only = False
    primary.own.epochs.append(epoch(2, "newer"))
    for _ in range(3):
        assert (await primary.judge()).state is State.PRIMARY
    other.epochs = [*primary.own.epochs, epoch(3, "newest", server="101")]
    await primary.judge()
    report = await primary.judge(later=0.1)
    assert report.state is State.REFUSED
    assert primary.own.read_only


@pytest.mark.parametrize("left", [0, 1])
async def test_epochs_that_somebody_deleted_are_restored(primary: Primary, left: int) -> None:
    primary.own.epochs.append(epoch(2, "second", predecessor="first"))
    await primary.judge(later=0.1)
    known = (await read_facts(primary.own, "db-0")).history
    del primary.own.epochs[left:]
    primary.own.sent.clear()
    report = await primary.judge(later=0.1)
    assert report.state is State.PRIMARY
    assert report.done == ("writing rows of the history again, which somebody deleted or changed",)
    restored = [sql for sql in primary.own.sent if sql.startswith("INSERT INTO peerdisco.epochs")]
    assert [f"VALUES ({epoch.number}, '{epoch.id}'" in sql for epoch, sql in zip(
        known.epochs[left:], restored, strict=True)] == [True] * (2 - left)  # fmt: skip
    primary.own.epochs = primary.own.epochs[:left]
    # What is as it was needs nothing, and neither do old epochs that somebody removed.
    for epochs in ([epoch(1, "first")], []):
        primary.own.epochs = [*epochs, epoch(2, "second", predecessor="first")]
        primary.role.forget()
        await primary.judge(later=0.1)
        assert (await primary.judge(later=0.1)).done == ()
    primary.own.epochs = [epoch(1, "first"), epoch(2, "second", predecessor="first")]
    await primary.judge(later=0.1)
    del primary.own.epochs[0]
    assert (await primary.judge(later=0.1)).done == ()


async def test_a_heartbeat_that_somebody_deleted_is_restored(primary: Primary) -> None:
    before = primary.own.beat
    assert before is not None
    for damaged in (None, {**before, "epoch": "of-a-dump"}):
        primary.own.beat = damaged
        primary.own.sent.clear()
        report = await primary.judge(later=0.1)
        assert report.state is State.PRIMARY
        written = [sql for sql in primary.own.sent if sql.startswith("INSERT INTO peerdisco.heart")]
        # No replica may have a later one.
        assert f"VALUES ('{before['epoch']}', {before['counter'] + 1000}, 1, " in written[0]
        primary.own.beat = before
        assert (await primary.judge(later=0.1)).done == ()


async def test_a_single_contradiction_is_read_again(primary: Primary) -> None:
    primary.peers["10.0.0.2"].logged = "0-100-12"
    assert (await primary.judge()).state is State.PRIMARY
    primary.own.logged = "0-100-12"
    for _ in range(3):
        assert (await primary.judge()).state is State.PRIMARY
        assert not primary.own.read_only


async def test_a_reset_log_begins_an_epoch_that_nobody_of_before_can_follow(
    primary: Primary,
) -> None:
    assert primary.own.beat is not None
    primary.own.beat["position"] = "0-100-9|"
    primary.own.logged = "0-100-2"
    report = await primary.judge(later=0.5)
    assert report.state is State.PRIMARY
    assert "its binary log was reset before" in report.reason
    assert "each replica of before needs a new copy" in report.reason
    assert [row["log_reset"] for row in primary.own.epochs] == [0, 1]
    assert "beginning an epoch" in report.done
    assert (await primary.judge(later=0.5)).done == ()


async def test_a_reset_that_only_the_heart_has_noticed(primary: Primary) -> None:
    primary.heart.log_reset = True
    report = await primary.judge(later=0.5)
    assert "its binary log was reset" in report.reason
    assert [row["log_reset"] for row in primary.own.epochs] == [0, 1]
    assert not primary.heart.log_reset


@pytest.mark.parametrize("noticed_by", ["heart", "facts"])
async def test_a_reset_while_the_facts_were_read_is_reported_once(
    primary: Primary, noticed_by: str
) -> None:
    """The number of the log is from before the reset, and would later be taken for another one."""
    server = primary.own
    assert server.beat is not None
    server.log_number, server.beat["log_number"] = 20, 20
    server.beat["position"] = "0-100-9|"
    own = await read_facts(server, "db-0")
    server.logged, server.log_number = "0-100-2", 1
    if noticed_by == "heart":
        primary.heart.log_reset = True
    else:
        own = replace(own, log_replaced=True)
    await primary.role.reconcile(server, own, primary.snapshot)
    server.log_number += 1  # it restarts
    primary.role.forget()
    for _ in range(3):
        await primary.judge()
    assert [row["log_reset"] for row in server.epochs].count(1) == 1


async def test_a_reset_that_a_restarted_sidecar_finds_while_it_reads_is_reported_once(
    primary: Primary,
) -> None:
    server = primary.own
    assert server.beat is not None
    server.log_number, server.beat["log_number"] = 20, 20
    own = replace(await read_facts(server, "db-0"), log_replaced=True)
    server.logged, server.log_number = "0-100-2", 1
    await ensure_primary(server, "db-0", own, {}, seen(ALL[0]), me(), expected=1)
    for _ in range(3):
        await primary.judge()
    assert [row["log_reset"] for row in server.epochs].count(1) == 1


async def test_it_gives_way_when_its_name_is_lost(primary: Primary) -> None:
    assert not primary.role.must_close(primary.snapshot)
    assert primary.role.must_close(seen("db-0=10.0.0.77", *ALL[1:]))


async def test_it_is_not_opened_while_another_pod_takes_its_place(primary: Primary) -> None:
    primary.own.read_only = primary.own.super_read_only = primary.own.locked = True
    report = await primary.judge()
    assert report.state is State.WAITING
    assert "another pod is being opened in place of this one" in report.reason
    assert primary.own.read_only
    primary.own.locked = False
    assert (await primary.judge()).state is State.PRIMARY
    # Once it is open, the lock of a pod that only asks changes nothing.
    primary.own.locked = True
    assert (await primary.judge()).state is State.PRIMARY

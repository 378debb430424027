"""When the receiver of a replica is made to reconnect, on a clock that is moved."""

from __future__ import annotations

import pytest

from peerdisco.model import Snapshot
from peerdisco.mysql.facts import ServerFacts, read_facts
from peerdisco.mysql.setup import Account
from peerdisco.mysql.sidecar.peers import Connection, PeerServers
from peerdisco.mysql.sidecar.replica_role import ReplicaRole
from peerdisco.mysql.sidecar.report import Report, State
from peerdisco.names import Endpoint
from tests.unit.primary.test_verdicts import me, seen

from ..servers import MARIADB, MYSQL, ORIGIN, UUID, Opened, Server

NUDGE = ["STOP REPLICA IO_THREAD", "START REPLICA IO_THREAD"]


class Pair:
    """A primary, and a replica that follows it."""

    def __init__(self, version: str) -> None:
        self.mariadb = version == MARIADB
        self.primary = Server(version, server_id=100, cluster=("an-id", "blank"), read_only=False)
        self.replica = Server(version)
        self.now = 1000.0
        peers = PeerServers(self._connect, lambda: Account("repl", "x"), 3306, 2.0)
        self.role = ReplicaRole(peers, "db-1", lambda: self.now)
        self.snapshot = self.at("10.0.0.1")

    async def _connect(self, where: Endpoint | None, account: Account) -> Connection:
        return Opened(self.primary)

    @staticmethod
    def at(address: str) -> Snapshot:
        return seen(f"db-0={address}", "db-1=10.0.0.2", identity=me("db-1", "10.0.0.2"))

    async def judge(self, *, later: float = 10.0) -> Report:
        self.now += later
        own = await read_facts(self.replica, "db-1")
        return await self.role.reconcile(self.replica, own, self.snapshot)

    def gtid(self, number: int) -> str:
        return f"0-100-{number}" if self.mariadb else f"{UUID}:1-{number}"

    def receives(self, number: int) -> None:
        assert self.replica.replica is not None
        column = "Gtid_IO_Pos" if self.mariadb else "Retrieved_Gtid_Set"
        self.replica.replica[column] = self.gtid(number)

    def connects(self, running: str) -> None:
        assert self.replica.replica is not None
        column = "Slave_IO_Running" if self.mariadb else "Replica_IO_Running"
        self.replica.replica[column] = running


@pytest.fixture(params=[MARIADB, MYSQL])
def pair(request: pytest.FixtureRequest) -> Pair:
    return Pair(request.param)


async def test_a_new_address_is_a_nudge_and_the_same_one_is_none(pair: Pair) -> None:
    assert (await pair.judge()).state is State.REPLICA
    await pair.judge()
    assert pair.role.nudges == 0
    assert not pair.role.waits_for_old_address(pair.snapshot)
    pair.snapshot = pair.at("10.0.0.9")
    assert pair.role.waits_for_old_address(pair.snapshot)
    await pair.judge()
    assert pair.replica.sent[-2:] == NUDGE
    await pair.judge()
    assert pair.role.nudges == 1


async def test_a_receiver_that_hears_nothing_of_what_the_primary_has_is_nudged(pair: Pair) -> None:
    """It is connected to where the name led before, and believes that all is well."""
    await pair.judge()
    pair.primary.logged = pair.gtid(7)
    await pair.judge()
    assert pair.role.nudges == 0, "it may be on its way"
    pair.receives(6)
    await pair.judge()
    assert pair.role.nudges == 0, "something has come"
    await pair.judge()
    assert pair.role.nudges == 1
    pair.receives(7)
    await pair.judge()
    await pair.judge()
    assert pair.role.nudges == 1


async def test_a_receiver_that_is_busy_is_left_alone(pair: Pair) -> None:
    await pair.judge()
    for number in range(10, 20):
        pair.primary.logged = pair.gtid(number)
        pair.receives(number - 5)
        await pair.judge()
    assert pair.role.nudges == 0


async def test_a_receiver_without_a_connection_is_nudged_now_and_then(pair: Pair) -> None:
    await pair.judge()
    pair.connects("Connecting")
    for _ in range(8):
        await pair.judge(later=0.5)
        pair.connects("Connecting")
    assert 0 < pair.role.nudges <= 3


async def test_a_receiver_that_was_stopped_is_started_and_not_nudged(pair: Pair) -> None:
    await pair.judge()
    pair.connects("No")
    pair.snapshot = pair.at("10.0.0.9")
    report = await pair.judge()
    assert report.state is State.REPLICA
    assert pair.role.nudges == 0
    assert pair.replica.sent[-1] == "START REPLICA"


async def test_a_replica_is_compared_every_few_seconds(pair: Pair) -> None:
    await pair.judge()
    pair.primary.cluster = ("another-id", "blank")
    pair.replica.cluster = ("an-id", "blank")
    assert (await pair.judge(later=1.0)).state is State.REPLICA
    assert (await pair.judge(later=5.0)).state is State.REFUSED
    assert pair.replica.sent[-1] == "STOP REPLICA"


async def test_what_another_volume_could_not_send_is_asked_for_once_more(pair: Pair) -> None:
    """The error of an older volume stays in the status after the primary has got the right one."""
    epochs = [pair.primary._epoch(number, f"epoch-{number}", reset=False) for number in (1, 2)]
    for epoch in epochs:
        epoch["server"] = "100" if pair.mariadb else UUID
    pair.primary.epochs, pair.replica.epochs = epochs[:1], epochs[:1]
    await pair.judge()

    def fails() -> None:
        assert pair.replica.replica is not None
        pair.connects("No")
        pair.replica.replica["Last_IO_Errno"] = 1236 if pair.mariadb else 13114

    fails()
    report = await pair.judge()
    assert report.state is State.REPLICA
    assert report.done == ("stopping the receiver", "starting replication")
    for _ in range(2):
        fails()
        assert (await pair.judge()).state is State.REFUSED
    # A primary that begins another epoch may have another volume.
    pair.primary.epochs = epochs
    assert (await pair.judge()).state is State.REPLICA
    # What is wrong with the data is no reason to ask.
    fails()
    pair.replica.logged = "0-101-1" if pair.mariadb else f"{ORIGIN}:1"
    sent = len(pair.replica.sent)
    assert (await pair.judge()).state is State.REFUSED
    assert "START REPLICA" not in pair.replica.sent[sent:]


async def test_a_row_of_the_history_may_be_missing_until_it_is_restored(pair: Pair) -> None:
    """Somebody deleted it on the primary, and so here; what is restored comes by replication."""
    for server in (pair.primary, pair.replica):
        server.cluster = ("an-id", "blank")
        server.logged = pair.gtid(3) if server is pair.primary or not pair.mariadb else ""
        server.epochs = [server._epoch(number, f"e{number}", reset=False) for number in (1, 2)]
        server.beat = {"epoch": "e2", "counter": 9, "beat_at": "2026-01-01 00:00:00",
                       "position": None, "log_number": 2}  # fmt: skip
    assert (await pair.judge()).state is State.REPLICA
    gone = pair.replica.epochs.pop()
    for _ in range(3):
        report = await pair.judge(later=3)
        # It is not known meanwhile whose rows it has.
        assert (report.state, report.ready(1000)) == (State.WAITING, False)
        assert "STOP REPLICA" not in pair.replica.sent
    pair.replica.epochs.append(gone)
    assert (await pair.judge(later=30)).state is State.REPLICA
    pair.replica.epochs.pop()
    assert (await pair.judge(later=3)).state is State.WAITING
    assert (await pair.judge(later=11)).state is State.REFUSED
    assert "STOP REPLICA" in pair.replica.sent


def separate(pair: Pair) -> None:
    """Let the primary begin an epoch without transactions that the replica has."""
    pair.replica.cluster = pair.primary.cluster
    (first,) = pair.primary.epochs = pair.replica.epochs = [
        {**pair.primary._epoch(1, "first", reset=False), "server": "100" if pair.mariadb else UUID}
    ]
    pair.primary.logged = pair.gtid(320)
    left = pair.primary.position
    pair.primary.epochs = [first, {**first, "number": 2, "id": "fork", "left_position": left}]
    pair.primary.logged, pair.replica.logged = pair.gtid(340), pair.gtid(330)
    pair.receives(450)


async def test_a_refused_replica_applies_on_however_much_the_primary_writes(pair: Pair) -> None:
    await pair.judge()
    separate(pair)
    assert (await pair.judge()).state is State.REFUSED
    assert pair.replica.sent[-1] == "STOP REPLICA IO_THREAD"
    sent = len(pair.replica.sent)
    pair.primary.logged = pair.gtid(900)
    assert (await pair.judge()).state is State.REFUSED
    # Also if the primary could not be asked in between.
    pair.primary.fails = {"SELECT VERSION()": ConnectionError("nobody")}
    assert (await pair.judge()).verdict.waits  # type: ignore[union-attr]
    pair.primary.fails = {}
    assert (await pair.judge()).state is State.REFUSED
    assert "STOP REPLICA" not in pair.replica.sent[sent:]
    # What came since then may have come from this primary.
    pair.receives(451)
    assert (await pair.judge()).state is State.REFUSED
    assert pair.replica.sent[-1] == "STOP REPLICA"


async def test_another_sidecar_does_not_know_what_came_before(pair: Pair) -> None:
    await pair.judge()
    separate(pair)
    await pair.judge()
    pair.primary.logged = pair.gtid(900)
    pair.role = Pair(pair.primary.version).role
    pair.role._peers = PeerServers(pair._connect, lambda: Account("repl", "x"), 3306, 2.0)
    assert (await pair.judge()).state is State.REFUSED
    assert pair.replica.sent[-1] == "STOP REPLICA"


async def test_what_only_the_relay_log_has_is_not_discarded_by_asking_again(pair: Pair) -> None:
    """The primary has an older volume, and would send its own rows from there on."""
    pair.replica.cluster = pair.primary.cluster
    pair.primary.epochs = pair.replica.epochs = [pair.primary._epoch(1, "first", reset=False)]
    await pair.judge()
    pair.primary.logged = pair.replica.logged = pair.gtid(320)
    pair.receives(520)
    pair.connects("No")
    assert pair.replica.replica is not None
    pair.replica.replica["Last_IO_Errno"] = 1236 if pair.mariadb else 13114
    sent = len(pair.replica.sent)
    report = await pair.judge()
    assert (report.state, report.done) == (State.REFUSED, ())
    assert "has received, and not applied" in report.reason
    assert not [sql for sql in pair.replica.sent[sent:] if "REPLICA" in sql]


async def test_what_is_received_during_a_repair_is_not_more_than_the_primary_has(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair.replica.cluster = ("an-id", "blank")
    pair.primary.logged = pair.gtid(3)
    assert (await pair.judge()).state is State.REPLICA

    async def drop(
        server: Server, own: ServerFacts, primary: ServerFacts
    ) -> tuple[ServerFacts, tuple[str, ...]]:
        pair.primary.logged = pair.gtid(9)
        pair.receives(9)
        return await read_facts(server, "db-1"), ("dropping administrative statements",)

    monkeypatch.setattr(pair.role._local_writes, "drop", drop)
    report = await pair.judge()
    assert report.state is State.REPLICA
    assert not [sql for sql in pair.replica.sent if sql.startswith("STOP")]

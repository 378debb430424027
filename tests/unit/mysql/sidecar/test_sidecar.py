"""The sidecar over a scripted membership and scripted servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from peerdisco import Discovery
from peerdisco.discovery import MIN_INTERVAL
from peerdisco.exceptions import ConfigurationError
from peerdisco.model import Answered, Identity
from peerdisco.mysql.errors import DatabaseError
from peerdisco.mysql.setup import Account
from peerdisco.mysql.sidecar.peers import Connection
from peerdisco.mysql.sidecar.report import ProblemCode, Report, Role, State
from peerdisco.mysql.sidecar.sidecar import Sidecar, SidecarOptions
from peerdisco.names import Endpoint
from peerdisco.testing import ManualClock, ScriptedSource, failure, peers
from peerdisco.testing.scripted import Entry
from tests.unit.primary.test_verdicts import me

from ..servers import Opened, Server, ServerError

FIRST = "10.244.0.3"
"""The address of ordinal 0; the others follow."""

DEADLINE = 20.0


class Pods:
    """Three pods with a server each, as the sidecar of one of them sees them."""

    def __init__(self, ordinal: int, *script: Entry) -> None:
        self.servers: dict[str, Server | Exception] = {
            f"10.244.0.{3 + n}": Server(server_id=100 + n) for n in range(3)
        }
        address = f"10.244.0.{3 + ordinal}"
        self.identity: Identity = replace(
            me(f"mysql-{ordinal}", address),
            namespace="default",
            hostname=f"mysql-{ordinal}.my-database.default.svc.cluster.local",
        )
        self.own = address
        self.source = ScriptedSource("my-database", script or (peers(),))
        self.clock = ManualClock()
        self.links: list[Opened] = []
        self.reports: asyncio.Queue[Report] = asyncio.Queue()
        self.told: list[Report] = []

    def server(self, ordinal: int) -> Server:
        server = self.servers[f"10.244.0.{3 + ordinal}"]
        assert isinstance(server, Server)
        return server

    async def connect(self, where: Endpoint | None, account: Account) -> Connection:
        address = where.address if where is not None else self.own
        server = self.servers.get(address, ServerError(2003, "Connection refused"))
        if isinstance(server, Exception):
            raise DatabaseError.of(server, address, "connecting")
        self.links.append(Opened(server))
        return self.links[-1]

    def _tell(self, report: Report) -> None:
        self.told.append(report)
        self.reports.put_nowait(report)

    @asynccontextmanager
    async def running(self, **options: object) -> AsyncIterator[Sidecar]:
        given: dict[str, object] = {
            "local": lambda: Account("local", "secret"),
            "replication": lambda: Account("repl", "secret"),
            "expected": 3,
            "interval": 0.005,
            "retry_interval": 0.002,
            **options,
        }
        async with Discovery(
            source=self.source, clock=self.clock, identity=self.identity, statefulset="mysql"
        ) as disco:
            sidecar = Sidecar(
                disco,
                self.identity,
                self.connect,
                SidecarOptions(**given),  # type: ignore[arg-type]
                on_report=self._tell,
            )
            running = asyncio.create_task(sidecar.run())
            try:
                yield sidecar
            finally:
                running.cancel()
                await asyncio.wait({running})
                if not running.cancelled():
                    running.result()

    async def until(
        self, *states: State, having: Callable[[Report], bool] = lambda _: True
    ) -> Report:
        """The next report of such a state."""
        async with asyncio.timeout(DEADLINE):
            while True:
                report = await self.reports.get()
                if report.state in states and having(report):
                    return report


async def ended(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0.001)


def moved(*ordinals: int, **addresses: str) -> Answered:
    return peers(addresses={int(n.removeprefix("n")): a for n, a in addresses.items()})


# The primary.


async def test_the_first_start_of_the_primary() -> None:
    pods = Pods(0)
    async with pods.running() as sidecar:
        report = await pods.until(State.PRIMARY)
        assert report.role is Role.PRIMARY
        assert report.done[-1] == "opening it for writes"
        assert not pods.server(0).read_only
        assert sidecar.report.ready(30)
        told = sidecar.report.as_json(30)
        assert (told["role"], told["state"], told["ready"]) == ("primary", "primary", True)
    assert all(link.closed for link in pods.links), "the connection ends with the sidecar"
    assert not pods.server(0).read_only, "the server is left as it is"


async def test_a_primary_without_an_answer_of_all_waits_and_is_read_only() -> None:
    pods = Pods(0)
    pods.servers["10.244.0.5"] = ServerError(2003, "nobody listens")
    pods.server(0).read_only = False
    async with pods.running() as sidecar:
        report = await pods.until(State.WAITING)
        assert "mysql-2 did not answer" in report.reason
        assert pods.server(0).read_only
        assert not sidecar.report.ready(30)
        pods.servers["10.244.0.5"] = Server(server_id=102)
        await pods.until(State.PRIMARY)


async def test_a_wiped_primary_is_refused_and_says_why() -> None:
    pods = Pods(0)
    pods.server(1).cluster = ("an-id", "blank")
    async with pods.running(first_start=True) as sidecar:
        report = await pods.until(State.REFUSED)
        assert "mysql-1 holds data (of the cluster an-id)" in report.reason
        assert pods.server(0).read_only
        verdict = sidecar.report.as_json(30)["verdict"]
        assert isinstance(verdict, dict)
        assert verdict["decision"] == "refused"
        assert verdict["reasons"][0]["code"] == "peer-holds-data"
    assert not any("RESET" in statement for statement in pods.server(0).sent)


async def test_a_primary_whose_name_moves_is_fenced_and_opened_when_it_is_back() -> None:
    pods = Pods(0)
    async with pods.running():
        await pods.until(State.PRIMARY)
        pods.source.then(moved(n0="10.244.0.99"))
        await pods.clock.advance(10)
        report = await pods.until(State.FENCED)
        assert "10.244.0.99" in report.reason
        assert pods.server(0).read_only
        pods.source.then(peers())
        await pods.clock.advance(60)
        await pods.until(State.PRIMARY)
        assert not pods.server(0).read_only


async def test_dns_is_asked_sooner_for_what_is_missing() -> None:
    pods = Pods(1)
    pods.servers[FIRST] = ServerError(2003, "nobody listens")
    async with pods.running() as sidecar:
        await pods.until(State.WAITING)
        for look in range(2, 5):
            lookups = sidecar.passes
            await ended(lambda lookups=lookups: sidecar.passes > lookups + 1)  # type: ignore[misc]
            await pods.clock.advance(MIN_INTERVAL)
            assert pods.source.lookups == look


async def test_a_dns_that_does_not_answer_is_asked_no_sooner() -> None:
    pods = Pods(1)
    pods.servers[FIRST] = ServerError(2003, "nobody listens")
    async with pods.running() as sidecar:
        await pods.until(State.WAITING)
        pods.source.then(failure())
        await pods.clock.advance(10)
        lookups, asked = sidecar.passes, pods.source.lookups
        await ended(lambda: sidecar.passes > lookups + 5)
        assert pods.source.lookups == asked


async def test_an_outage_of_the_dns_closes_nothing() -> None:
    pods = Pods(0)
    async with pods.running() as sidecar:
        await pods.until(State.PRIMARY)
        pods.source.then(failure())
        await pods.clock.advance(120)
        lookups = sidecar.passes
        await ended(lambda: sidecar.passes > lookups + 2)
        assert sidecar.report.state is State.PRIMARY
        assert "DNS does not answer now" in sidecar.report.reason
        assert not pods.server(0).read_only


async def test_an_outage_of_the_dns_opens_nothing() -> None:
    pods = Pods(0, failure())
    async with pods.running():
        report = await pods.until(State.NO_DNS)
        assert "SERVFAIL" in report.reason
        assert pods.server(0).read_only
        pods.source.then(peers())
        await pods.clock.advance(60)
        await pods.until(State.PRIMARY)


async def test_a_sidecar_that_starts_during_an_outage_leaves_an_open_primary_open() -> None:
    pods = Pods(0, failure())
    server = pods.server(0)
    server.cluster, server.read_only, server.super_read_only = ("an-id", "blank"), False, False
    async with pods.running() as sidecar:
        report = await pods.until(State.PRIMARY)
        assert "DNS does not answer now" in report.reason
        assert sidecar.report.ready(30)
        assert not server.read_only
        # What DNS then says counts.
        pods.source.then(peers(ordinals=[1, 2]))
        await pods.clock.advance(60)
        await pods.until(State.WAITING)
        assert server.read_only


async def opened(pods: Pods, sidecar: Sidecar) -> Server:
    """Bring the primary up, and let lookups fail."""
    await pods.until(State.PRIMARY)
    server = pods.server(0)
    server.logged = "0-100-9"
    passes = sidecar.passes
    await ended(lambda: sidecar.passes > passes + 1)
    pods.source.then(failure())
    await pods.clock.advance(30)
    return server


async def test_a_server_that_restarts_during_an_outage_is_opened_again() -> None:
    pods = Pods(0)
    async with pods.running() as sidecar:
        server = await opened(pods, sidecar)
        for _ in range(2):
            pods.servers[FIRST] = ServerError(2002, "not up yet")
            server.fails["SELECT"] = ServerError(2013, "Lost connection")
            await pods.until(State.NO_SERVER, having=lambda report: "not up" in report.reason)
            server.read_only = server.super_read_only = True
            server.fails.clear()
            pods.servers[FIRST] = server
            await pods.until(State.PRIMARY)
            assert not server.read_only


@pytest.mark.parametrize("what", ["other data", "older data", "a newer peer", "another primary"])
async def test_a_server_that_restarts_as_another_during_an_outage_stays_closed(what: str) -> None:
    pods = Pods(0)
    async with pods.running() as sidecar:
        server = await opened(pods, sidecar)
        server.fails["SELECT"] = ServerError(2013, "Lost connection")
        await pods.until(State.NO_SERVER)
        server.read_only = server.super_read_only = True
        assert server.cluster is not None
        if what == "other data":
            server.cluster = ("another-id", "blank")
        elif what == "older data":
            server.logged = "0-100-8"
        else:
            peer = pods.server(1)
            peer.cluster, peer.logged = server.cluster, "0-100-9"
            peer.read_only = peer.super_read_only = what == "a newer peer"
            if what == "a newer peer":
                peer.logged = "0-100-10"
        server.fails.clear()
        await pods.until(State.WAITING, State.REFUSED)
        passes = sidecar.passes
        await ended(lambda: sidecar.passes > passes + 5)
        assert server.read_only


async def test_a_server_that_restarts_after_it_lost_its_name_stays_closed() -> None:
    """An outage begins after DNS named another pod."""
    pods = Pods(0)
    async with pods.running() as sidecar:
        await pods.until(State.PRIMARY)
        pods.source.then(moved(n0="10.244.0.99"))
        await pods.clock.advance(60)
        await pods.until(State.FENCED)
        pods.source.then(failure())
        await pods.clock.advance(60)
        passes = sidecar.passes
        await ended(lambda: sidecar.passes > passes + 5)
        assert pods.server(0).read_only


async def test_a_slow_statement_is_not_a_server_that_is_away() -> None:
    pods = Pods(0)
    async with pods.running():
        await pods.until(State.PRIMARY)
        pods.server(0).fails["SHOW REPLICA"] = TimeoutError("no answer in 5 s")
        report = await pods.until(State.SLOW)
        assert "asking for its state as a replica: no answer in 5 s" in report.reason
        pods.server(0).fails.clear()
        await pods.until(State.PRIMARY)


# Pausing.


async def test_a_paused_sidecar_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "pause"
    file.touch()
    pods = Pods(0)
    async with pods.running(pause_file=file) as sidecar:
        report = await pods.until(State.WAITING)
        assert report.paused
        passes = sidecar.passes
        await ended(lambda: sidecar.passes > passes + 5)
        assert pods.server(0).sent == []
        assert not sidecar.report.ready(30)
        file.unlink()
        report = await pods.until(State.PRIMARY)
        assert not report.paused
        # Somebody closes it for maintenance.
        file.touch()
        await pods.until(State.PRIMARY, having=lambda report: report.paused)
        assert sidecar.report.ready(30), "it is open"
        sent = len(pods.server(0).sent)
        pods.server(0).read_only = pods.server(0).super_read_only = True
        await pods.until(State.WAITING)
        assert sidecar.report.reason == "it may take writes, and is read-only"
        # And its name gets another address.
        pods.server(0).read_only = pods.server(0).super_read_only = False
        await pods.until(State.PRIMARY)
        pods.source.then(moved(n0="10.244.0.99"))
        await pods.clock.advance(60)
        report = await pods.until(State.FENCED)
        assert "the server is open" in report.reason
        assert len(pods.server(0).sent) == sent
        file.unlink()
        await ended(lambda: pods.server(0).read_only)


async def test_a_paused_replica_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "pause"
    pods = with_primary(Pods(1))
    async with pods.running(pause_file=file) as sidecar:
        await pods.until(State.REPLICA)
        await gets_the_row(pods, sidecar)
        file.touch()
        await pods.until(State.REPLICA, having=lambda report: report.paused)
        replica = pods.server(1).replica
        assert replica is not None
        replica |= {"Slave_IO_Running": "No", "Slave_SQL_Running": "No"}
        pods.server(1).read_only = False
        sent = len(pods.server(1).sent)
        await pods.until(State.CONNECTING)
        pods.servers["10.244.0.99"] = pods.servers[FIRST]
        pods.source.then(moved(n0="10.244.0.99"))
        await pods.clock.advance(60)
        passes = sidecar.passes
        await ended(lambda: sidecar.passes > passes + 5)
        assert len(pods.server(1).sent) == sent
        file.unlink()
        await pods.until(State.REPLICA)
        assert pods.server(1).read_only


async def test_a_primary_that_was_opened_by_somebody_else_is_looked_at_all_the_same() -> None:
    pods = Pods(0)
    server = pods.server(0)
    server.cluster, server.read_only = ("an-id", "blank"), False
    pods.server(1).cluster = ("another-id", "blank")
    async with pods.running():
        report = await pods.until(State.REFUSED)
        assert "another-id" in report.reason
        assert server.read_only


async def test_a_server_that_restarts_is_opened_again() -> None:
    pods = Pods(0)
    async with pods.running():
        await pods.until(State.PRIMARY)
        server = pods.server(0)
        pods.servers[FIRST] = ServerError(2002, "not up yet")
        server.fails["SELECT"] = ServerError(2013, "Lost connection")
        report = await pods.until(State.NO_SERVER, having=lambda told: "not up" in told.reason)
        assert "not up yet" in report.reason
        server.read_only = server.super_read_only = True
        server.fails.clear()
        pods.servers[FIRST] = server
        await pods.until(State.PRIMARY)
        assert not server.read_only


async def test_a_wrong_password_is_told() -> None:
    pods = Pods(0)
    pods.servers[FIRST] = ServerError(1045, "Access denied for user 'local'")
    async with pods.running():
        report = await pods.until(State.ACCESS_DENIED)
        assert "Access denied" in report.reason
        assert "secret" not in report.reason
        pods.servers[FIRST] = Server(server_id=100)
        await pods.until(State.PRIMARY)


async def test_the_account_for_replication_is_made_where_it_is_missing() -> None:
    pods = Pods(0)

    class Strict(Pods):
        async def connect(self, where: Endpoint | None, account: Account) -> Connection:
            there = any("'repl'@'%'" in sql for sql in self.server(0).sent)
            if where is not None and where.address == FIRST and not there:
                raise DatabaseError(FIRST, "connecting", 1045, "Access denied")
            return await super().connect(where, account)

    pods = Strict(0)
    async with pods.running():
        await pods.until(State.PRIMARY)
        made = [sql for sql in pods.server(0).sent if sql.startswith("CREATE USER")]
        assert len(made) == 1


UNUSABLE = {
    "empty": "",
    "too long": "x" * 97,
    "two lines": "x\ny",
    "NUL": "x\0y",
    "beyond U+FFFF": "x\N{KEY}",
    "not UTF-8": "x\udcff",
}


@pytest.mark.parametrize("password", UNUSABLE.values(), ids=UNUSABLE)
async def test_a_replication_password_that_cannot_be_used_is_reported(password: str) -> None:
    """The primary is opened, and a replica that replicates continues."""
    given = ["secret"]
    pods = Pods(0)
    pods.server(0).cluster = ("an-id", "blank")
    async with pods.running(replication=lambda: Account("repl", password)) as sidecar:
        await pods.until(State.PRIMARY)
        (problem,) = sidecar.report.problems
        assert problem.code is ProblemCode.REPLICATION_ACCOUNT
        assert "the password of 'repl'" in problem.detail
        assert sidecar.report.ready(30)
    pods = with_primary(Pods(1))
    async with pods.running(replication=lambda: Account("repl", given[-1])) as sidecar:
        await pods.until(State.REPLICA)
        await gets_the_row(pods, sidecar)
        sent = list(pods.server(1).sent)
        given.append(password)
        await ended(lambda: bool(sidecar.report.problems))
        assert sidecar.report.state is State.REPLICA
        assert "the password of 'repl'" in sidecar.report.reason
        assert sidecar.report.ready(30)
        assert pods.server(1).sent == sent
        given.append("secret")
        await ended(lambda: not sidecar.report.problems)
    assert not password or all(password not in report.reason for report in pods.told)


async def test_a_login_that_the_own_server_rejects_is_reported() -> None:
    """The local account may not create accounts, as it is documented."""

    class Rejecting(Pods):
        rejects = True

        async def connect(self, where: Endpoint | None, account: Account) -> Connection:
            if where is not None and where.address == FIRST and self.rejects:
                raise DatabaseError(FIRST, "connecting", 1045, "Access denied for 'repl'")
            return await super().connect(where, account)

    pods = Rejecting(0)
    pods.server(0).fails["CREATE USER"] = ServerError(1227, "you need CREATE USER")
    async with pods.running() as sidecar:
        await pods.until(State.PRIMARY)
        (problem,) = sidecar.report.problems
        assert "Access denied for 'repl'" in problem.detail
        assert "you need CREATE USER" in problem.detail
        logs = [sql for sql in pods.server(0).sent if "sql_log_bin" in sql]
        assert logs[:2] == ["SET SESSION sql_log_bin = 0", "SET SESSION sql_log_bin = 1"]
        assert not pods.server(0).read_only


async def test_a_primary_that_rejects_the_login_is_reported_by_a_replica() -> None:
    pods = with_primary(Pods(1))
    connect = pods.connect

    async def rejecting(where: Endpoint | None, account: Account) -> Connection:
        if where is not None and where.address == FIRST:
            raise DatabaseError(FIRST, "connecting", 1045, "Access denied for 'repl'")
        return await connect(where, account)

    pods.connect = rejecting  # type: ignore[method-assign]
    async with pods.running() as sidecar:
        report = await pods.until(State.ACCESS_DENIED)
        assert "Access denied for 'repl'" in report.reason
        assert [problem.code for problem in sidecar.report.problems] == [
            ProblemCode.REPLICATION_ACCOUNT
        ]


NONSENSE: dict[str, Callable[[str], Sequence[Mapping[str, Any]]]] = {
    "no rows": lambda sql: [],
    "other columns": lambda sql: [{"x": "y"}],
    "no version": lambda sql: [{"version": "?", "comment": ""}],
    "an old version": lambda sql: [{"version": "5.5.62", "comment": ""}],
    "no position": lambda sql: [
        {"version": "10.11.1-MariaDB", "comment": "", "server_id": "x", "logged": "x-y"}
    ],
}


@pytest.mark.parametrize("reply", NONSENSE.values(), ids=NONSENSE)
async def test_a_peer_that_answers_nonsense_closes_nothing(
    reply: Callable[[str], Sequence[Mapping[str, Any]]],
) -> None:
    class Strange(Server):
        async def execute(self, sql: str, /) -> Sequence[Mapping[str, Any]]:
            return reply(sql)

    pods = Pods(0)
    pods.server(0).cluster = ("an-id", "blank")
    pods.servers["10.244.0.4"] = Strange()
    async with pods.running():
        await pods.until(State.PRIMARY)
    pods = with_primary(Pods(1))
    async with pods.running() as sidecar:
        await pods.until(State.REPLICA)
        await gets_the_row(pods, sidecar)
        pods.servers[FIRST] = Strange()
        passes = sidecar.passes
        await ended(lambda: sidecar.passes > passes + 5)
        assert sidecar.report.ready(30)


# A replica.


def with_primary(pods: Pods) -> Pods:
    primary = pods.server(0)
    primary.cluster, primary.read_only = ("an-id", "blank"), False
    return pods


async def gets_the_row(pods: Pods, sidecar: Sidecar) -> None:
    """What was replicated first has come, and was seen."""
    pods.server(1).cluster = pods.server(0).cluster
    await ended(
        lambda: sidecar.report.facts is not None and sidecar.report.facts.cluster is not None
    )


async def test_the_first_start_of_a_replica() -> None:
    pods = Pods(1)
    async with pods.running() as sidecar:
        report = await pods.until(State.WAITING)
        assert "has no database yet" in report.reason
        with_primary(pods)
        report = await pods.until(State.REPLICA)
        assert report.role is Role.REPLICA
        assert sidecar.report.source == "mysql-0.my-database.default.svc.cluster.local"
        assert not sidecar.report.ready(30), "nothing has come yet"
        await gets_the_row(pods, sidecar)
        assert sidecar.report.ready(30)
        replica = pods.server(1).replica
        assert replica is not None
        assert replica["Master_Host"] == "mysql-0.my-database.default.svc.cluster.local"
        assert pods.server(1).read_only


async def test_a_replica_that_is_far_behind_is_not_ready() -> None:
    pods = with_primary(Pods(1))
    async with pods.running() as sidecar:
        await pods.until(State.REPLICA)
        await gets_the_row(pods, sidecar)
        replica = pods.server(1).replica
        assert replica is not None
        replica["Seconds_Behind_Master"] = 31
        await ended(lambda: sidecar.report.lag == 31)
        assert not sidecar.report.ready(30)
        assert sidecar.report.ready(31)
        replica["Seconds_Behind_Master"] = None
        await ended(lambda: sidecar.report.lag is None)
        assert not sidecar.report.ready(31)


async def test_a_replica_is_told_of_the_primarys_new_address() -> None:
    pods = with_primary(Pods(1))
    async with pods.running() as sidecar:
        await pods.until(State.REPLICA)
        assert sidecar.nudges == 0, "its source was set just now"
        pods.servers["10.244.0.99"] = pods.servers.pop(FIRST)
        pods.source.then(moved(n0="10.244.0.99"))
        await pods.clock.advance(10)
        await ended(lambda: sidecar.nudges == 1)
        sent = pods.server(1).sent
        assert sent[-2:] == ["STOP REPLICA IO_THREAD", "START REPLICA IO_THREAD"]


async def test_a_look_that_waits_for_the_old_address_is_cut_off() -> None:
    pods = with_primary(Pods(1))
    reached = asyncio.Event()

    class Silent(Server):
        async def execute(self, sql: str, /):  # type: ignore[no-untyped-def]
            reached.set()
            await asyncio.Event().wait()

    async with pods.running(probe_timeout=10**6) as sidecar:
        await pods.until(State.REPLICA)
        pods.servers["10.244.0.99"] = pods.servers[FIRST]
        pods.servers[FIRST] = Silent()
        replica = pods.server(1).replica
        assert replica is not None
        replica["Slave_IO_Running"] = "Connecting"
        await reached.wait()
        pods.source.then(moved(n0="10.244.0.99"))
        await pods.clock.advance(10)
        await ended(lambda: sidecar.nudges == 1)
        await pods.until(State.REPLICA)


async def test_a_replica_that_a_new_sidecar_finds_running_is_nudged_once() -> None:
    pods = with_primary(Pods(1))
    async with pods.running():
        await pods.until(State.REPLICA)
    async with pods.running() as sidecar:
        await ended(lambda: sidecar.passes > 3)
        assert sidecar.nudges == 1


async def test_an_absent_primary_leaves_a_replica_as_it_is() -> None:
    pods = with_primary(Pods(1))
    async with pods.running() as sidecar:
        await pods.until(State.REPLICA)
        await gets_the_row(pods, sidecar)
        sent = list(pods.server(1).sent)
        pods.source.then(peers(ordinals=[1, 2]))
        await pods.clock.advance(120)
        lookups = sidecar.passes
        await ended(lambda: sidecar.passes > lookups + 2)
        assert sidecar.report.state is State.REPLICA
        assert sidecar.report.ready(30)
        assert pods.server(1).sent == sent


async def test_a_diverged_replica_stops_and_says_what_to_do() -> None:
    pods = with_primary(Pods(1))
    pods.server(1).cluster, pods.server(1).logged = ("an-id", "blank"), "0-101-5"
    pods.server(1).schemas = ["shop"]
    async with pods.running() as sidecar:
        report = await pods.until(State.REFUSED)
        assert "0-101-5" in report.reason
        assert "empty this pod's volume" in report.reason
        assert pods.server(1).replica is None
        assert not sidecar.report.ready(30)


async def test_a_replica_that_was_opened_is_closed() -> None:
    pods = with_primary(Pods(1))
    async with pods.running():
        await pods.until(State.REPLICA)
        pods.server(1).read_only = False
        await ended(lambda: pods.server(1).read_only)


async def test_a_password_that_is_refused_is_set_anew_now_and_then() -> None:
    pods = with_primary(Pods(1))
    async with pods.running() as sidecar:
        await pods.until(State.REPLICA)
        replica = pods.server(1).replica
        assert replica is not None
        replica |= {"Slave_IO_Running": "Connecting", "Last_IO_Errno": 1045}
        report = await pods.until(State.CONNECTING)
        assert "error 1045" in report.reason
        lookups = sidecar.passes
        await ended(lambda: sidecar.passes > lookups + 5)
        changes = [sql for sql in pods.server(1).sent if sql.startswith("CHANGE MASTER")]
        assert len(changes) == 1, "it was set a moment ago"


async def test_a_password_file_that_is_gone_is_told_and_waited_for() -> None:
    pods = Pods(0)
    given = [ConfigurationError("--password-file", "x", "a file that can be read")]

    def account() -> Account:
        if given:
            raise given[0]
        return Account("local", "secret")

    async with pods.running(local=account):
        report = await pods.until(State.FAILED)
        assert "a file that can be read" in report.reason
        given.clear()
        await pods.until(State.PRIMARY)


async def test_what_stays_missing_is_asked_for_less_and_less_often() -> None:
    pods = Pods(1)
    async with pods.running(interval=0.2, retry_interval=0.001) as sidecar:
        pauses = []
        publish = sidecar._publish

        def noted(report: Report) -> float:
            pauses.append(publish(report))
            return pauses[-1]

        sidecar._publish = noted  # type: ignore[method-assign]
        await ended(lambda: len(pauses) > 8)
    assert pauses == sorted(pauses)
    assert pauses[0] < pauses[-1] <= 0.2


# Telling.


async def test_the_same_is_told_once() -> None:
    pods = Pods(0, failure())
    pods.source.then(*[failure(seconds=n) for n in range(1, 9)])
    async with pods.running() as sidecar:
        await pods.until(State.NO_DNS)
        for _ in range(8):
            await pods.clock.advance(10)
        lookups = sidecar.passes
        await ended(lambda: sidecar.passes > lookups + 5)
    assert [report.state for report in pods.told] == [State.NO_DNS]


async def test_it_ends_with_the_membership() -> None:
    pods = Pods(0)
    async with Discovery(source=pods.source, clock=pods.clock, identity=pods.identity) as disco:
        sidecar = Sidecar(
            disco,
            pods.identity,
            pods.connect,
            SidecarOptions(lambda: Account("l", "x"), lambda: Account("r", "x"), expected=3),
        )
        running = asyncio.create_task(sidecar.run())
        await ended(lambda: sidecar.report.state is State.PRIMARY)
    async with asyncio.timeout(DEADLINE):
        await running


async def test_no_connection_to_a_peer_is_left_open() -> None:
    pods = Pods(0)
    async with pods.running():
        await pods.until(State.PRIMARY)
        others = [link for link in pods.links if link.server is not pods.server(0)]
        assert others
        assert all(link.closed for link in others)

"""Closing a server on which commits wait for a replica, on a simulated clock."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from peerdisco.exceptions import DiscoveryError
from peerdisco.mysql.errors import DatabaseError
from peerdisco.mysql.sidecar.closing import Closing
from peerdisco.mysql.versions import Version
from peerdisco.testing import ManualClock
from tests.unit.mysql.servers import ServerError

CLOSING = "SET GLOBAL read_only = ON"


class Waiting:
    """A MariaDB on which commits wait: groups of sessions, each behind the one before."""

    def __init__(self, *groups: int) -> None:
        self.groups = list(groups)
        self.sees = True
        self.sent: list[str] = []
        self.free = asyncio.Event()
        self.given_up: Exception | None = None
        self.open_connections = 0

    @property
    def sessions(self) -> list[dict[str, Any]]:
        first = [10 * len(self.groups) + one for one in range(self.groups[0] if self.groups else 0)]
        states = ["Waiting for semi-sync ACK from slave"] + ["Commit"] * len(first)
        return [
            {"Id": number, "User": "shop", "Command": "Query", "State": state, "Info": "COMMIT"}
            for number, state in zip(first, states, strict=False)
        ]

    def end(self, number: int) -> None:
        if self.groups and number == self.sessions[0]["Id"]:
            self.groups.pop(0)
        if not self.groups:
            self.free.set()


class Link:
    closed = False

    def __init__(self, server: Waiting) -> None:
        self._server = server
        server.open_connections += 1

    def close(self) -> None:
        self.closed = True
        self._server.open_connections -= 1

    async def execute(self, sql: str, /) -> Sequence[Mapping[str, Any]]:
        server = self._server
        if sql == "SHOW PROCESSLIST":
            return server.sessions
        if sql.startswith("SHOW GLOBAL STATUS"):
            name = "Rpl_semi_sync_master_wait_sessions"
            return [{"Variable_name": name, "Value": str(len(server.groups))}]
        if "USER_PRIVILEGES" in sql:
            return [{"sees": 1}] if server.sees else []
        if sql.startswith("SELECT CONNECTION_ID"):
            return [{"id": 999}]
        server.sent.append(sql)
        if sql == CLOSING:
            await server.free.wait()
            if server.given_up is not None:
                raise server.given_up
        elif sql.startswith("KILL "):
            server.end(int(sql.removeprefix("KILL ")))
        return []


class Case:
    def __init__(self, server: Waiting) -> None:
        self.server = server
        self.clock = ManualClock()
        self.unreachable: DiscoveryError | None = None
        version = Version.parse("10.11.6-MariaDB")
        self.closing = Closing(Link(server), self._connect, self.clock, version, "db")

    async def _connect(self) -> Link:
        if self.unreachable is not None:
            raise self.unreachable
        return Link(self.server)


async def test_each_group_is_ended_in_its_turn_and_the_one_that_waits_last() -> None:
    server = Waiting(3, 1, 2)
    case = Case(server)
    closing = asyncio.create_task(case.closing.execute(CLOSING))
    await case.clock.advance(1.9)
    assert server.sent == [CLOSING], "replicas may acknowledge it yet"
    await case.clock.advance(1)
    await asyncio.wait_for(closing, 5)
    assert server.sent == [CLOSING, *(f"KILL {n}" for n in (31, 32, 30, 20, 11, 10))]
    assert server.open_connections == 1


async def test_what_is_acknowledged_meanwhile_is_left_alone() -> None:
    server = Waiting(2)
    case = Case(server)
    closing = asyncio.create_task(case.closing.execute(CLOSING))
    await case.clock.advance(1)
    server.groups.clear()
    server.free.set()
    await asyncio.wait_for(closing, 5)
    assert server.sent == [CLOSING]
    assert server.open_connections == 1


GIVEN_UP = (TimeoutError("no answer in 5 s"), ServerError(1205, "Lock wait timeout exceeded"))


@pytest.mark.parametrize("given_up", GIVEN_UP, ids=["client", "server"])
@pytest.mark.parametrize("reason", ["GRANT PROCESS", "Too many connections", None])
async def test_the_reason_is_reported_if_it_cannot_be_ended(
    reason: str | None, given_up: Exception
) -> None:
    server = Waiting(*([2] if reason is not None else []))
    case = Case(server)
    server.sees = reason != "GRANT PROCESS"
    if reason == "Too many connections":
        case.unreachable = DatabaseError("db", "connecting", 1040, reason)
    closing = asyncio.create_task(case.closing.execute(CLOSING))
    await case.clock.advance(4)
    server.given_up = given_up
    server.free.set()
    with pytest.raises(DatabaseError if reason is not None else type(given_up), match=reason):
        await asyncio.wait_for(closing, 5)
    assert server.sent == [CLOSING]
    assert server.open_connections == 1


async def test_a_reason_that_has_passed_is_not_reported() -> None:
    server = Waiting(2)
    case = Case(server)
    server.sees = False
    closing = asyncio.create_task(case.closing.execute(CLOSING))
    await case.clock.advance(3)
    server.groups.clear()
    await case.clock.advance(1)
    server.given_up = ServerError(1205, "Lock wait timeout exceeded")
    server.free.set()
    with pytest.raises(ServerError, match="Lock wait"):
        await asyncio.wait_for(closing, 5)


async def test_it_ends_its_second_connection_when_it_is_cancelled() -> None:
    server = Waiting(2)
    case = Case(server)
    server.sees = False
    closing = asyncio.create_task(case.closing.execute(CLOSING))
    await case.clock.advance(3)
    assert server.open_connections == 2
    closing.cancel()
    await asyncio.wait({closing})
    assert server.open_connections == 1
    assert len(asyncio.all_tasks()) == 1


async def test_other_statements_pass() -> None:
    case = Case(Waiting(2))
    await case.closing.execute("DO 0")
    assert case.server.sent == ["DO 0"]

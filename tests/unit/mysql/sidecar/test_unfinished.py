"""No question is asked of a server on which an earlier one waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from peerdisco.mysql import Account
from peerdisco.mysql.errors import DatabaseError
from peerdisco.mysql.sidecar.unfinished import CarefulConnect
from peerdisco.names import Endpoint

OWN = Account("peerdisco", "x")
PEERS = Account("peerdisco_replication", "y")
WHERE = Endpoint("10.0.0.1", 3306)
ASKS = "SHOW BINARY LOG STATUS"


class Link:
    """A connection, which ends without a reply while the server hangs."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.closed = False

    def close(self) -> None:
        self.closed = True

    async def execute(self, sql: str, /) -> Sequence[Mapping[str, Any]]:
        if sql == "SHOW PROCESSLIST":
            return [{"User": user, "Info": info, "Time": time} for user, info, time in self._server]
        if self._server.hangs:
            self.closed = True
            raise TimeoutError
        return []


class Server(list[tuple[str, str | None, int]]):
    """The sessions of a server: user, statement and seconds."""

    hangs = False

    def __init__(self) -> None:
        super().__init__()
        self.links: list[Link] = []

    async def connect(self, where: Endpoint | None, account: Account) -> Link:
        self.links.append(Link(self))
        return self.links[-1]


async def ask(connect: CarefulConnect, where: Endpoint | None, account: Account) -> None:
    link = await connect(where, account)
    try:
        await link.execute(ASKS)
    finally:
        link.close()


@pytest.mark.parametrize(("where", "account"), [(None, OWN), (WHERE, PEERS)])
async def test_one_that_waits(where: Endpoint | None, account: Account) -> None:
    server = Server()
    connect = CarefulConnect(server.connect, "this pod's server")
    server.hangs = True
    server.append((account.user, ASKS, 5))
    with pytest.raises(TimeoutError):
        await ask(connect, where, account)
    server.hangs = False
    for _ in range(3):
        with pytest.raises(
            DatabaseError, match=r"has not ended for 5 s .*SHOW BINARY LOG"
        ) as found:
            await ask(connect, where, account)
        assert found.value.timed_out
    assert all(link.closed for link in server.links)
    await ask(connect, where, OWN if account is PEERS else PEERS)  # the other account is not kept
    server.clear()
    await ask(connect, where, account)
    server.append((account.user, ASKS, 5))  # what others ask is no concern of this sidecar
    await ask(connect, where, account)


async def test_addresses_that_are_gone_are_not_kept_for_ever() -> None:
    server = Server()
    connect = CarefulConnect(server.connect, "this pod's server")
    server.hangs = True
    for number in range(1000):
        with pytest.raises(TimeoutError):
            await ask(connect, Endpoint("10.0.0.1", number), PEERS)
    server.append((PEERS.user, ASKS, 5))
    with pytest.raises(DatabaseError):
        await ask(connect, Endpoint("10.0.0.1", 999), PEERS)
    assert len(connect._unfinished) == 100


@pytest.mark.parametrize(
    "session",
    [
        ("shop", ASKS, 99),
        (OWN.user, "UPDATE peerdisco.heartbeat SET counter = 1", 99),
        (OWN.user, "SHOW PROCESSLIST", 99),
        (OWN.user, "SELECT 1", 1),
        (OWN.user, None, 99),
    ],
)
async def test_what_is_no_question_without_a_reply(session: tuple[str, str | None, int]) -> None:
    server = Server()
    connect = CarefulConnect(server.connect, "this pod's server")
    server.hangs = True
    with pytest.raises(TimeoutError):
        await ask(connect, None, OWN)
    server.hangs = False
    server.append(session)
    await ask(connect, None, OWN)

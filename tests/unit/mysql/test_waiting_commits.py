"""Commits that wait for a replica, and the order in which their sessions are ended."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from peerdisco.mysql.errors import DatabaseError
from peerdisco.mysql.versions import Flavour
from peerdisco.mysql.waiting_commits import (
    end_waiting_commits,
    sessions_to_end,
    waits_for_group,
)

from .servers import ServerError

WAITS = {
    Flavour.MARIADB: "Waiting for semi-sync ACK from slave",
    Flavour.MYSQL: "Waiting for semi-sync ACK from replica",
}
FLAVOURS = pytest.mark.parametrize("flavour", WAITS)


def session(
    number: int,
    state: str = "",
    *,
    user: str = "shop",
    command: str = "Query",
    info: str = "COMMIT",
) -> dict[str, Any]:
    return {"Id": number, "User": user, "Command": command, "State": state, "Info": info}


CLOSING = "SET GLOBAL read_only = ON"
OTHERS = [
    session(6, command="Sleep"),
    session(7, command="Binlog Dump", user="peerdisco_replication"),
    session(8, command="Slave_SQL", user="system user"),
    session(9, command="Daemon", user="event_scheduler"),
    session(10, "Waiting for backup lock", info=CLOSING, user="peerdisco"),
    session(11, "init", info="SHOW PROCESSLIST", user="peerdisco"),
]
"""Idle ones, the servers' own, the one that closes, and the one that asks."""


@FLAVOURS
def test_the_one_that_waits_for_the_group_comes_last(flavour: Flavour) -> None:
    """Else the clients of the others get an acknowledgement."""
    group = [session(1, "Commit"), session(2, WAITS[flavour]), session(3, ""), session(4, "Commit")]
    for order in itertools.permutations(group):
        ending = sessions_to_end([*order, *OTHERS], keep=[10, 11])
        assert sorted(ending) == [1, 2, 3, 4]
        assert ending[-1] == 2


def test_nobody_is_disconnected_if_no_commit_waits() -> None:
    assert sessions_to_end([session(1, "Commit"), *OTHERS], keep=[]) == []
    assert not waits_for_group([session(1, "Commit"), *OTHERS])
    assert waits_for_group([session(1, WAITS[Flavour.MARIADB])])


class Asked:
    """A server with these sessions."""

    def __init__(
        self, sessions: list[dict[str, Any]], waits: int = 1, *, sees: bool = True
    ) -> None:
        self.sessions = sessions
        self.waits = waits
        self.sees = sees
        self.refused: dict[str, Exception] = {}
        self.sent: list[str] = []

    async def execute(self, sql: str, /) -> Sequence[Mapping[str, Any]]:
        if sql in self.refused:
            raise self.refused[sql]
        if sql.startswith("SHOW GLOBAL STATUS"):
            word = "source" if "source" in sql else "master"
            names = {"clients": 2, "wait_sessions": self.waits, "net_waits": 9}
            return [
                {"Variable_name": f"Rpl_semi_sync_{word}_{name}", "Value": str(value)}
                for name, value in names.items()
            ]
        if "USER_PRIVILEGES" in sql:
            return [{"sees": 1}] if self.sees else []
        if sql == "SELECT CONNECTION_ID() AS id":
            return [{"id": 11}]
        if sql == "SHOW PROCESSLIST":
            return self.sessions
        self.sent.append(sql)
        return []


OFF = "SET GLOBAL rpl_semi_sync_source_enabled = OFF"


@FLAVOURS
async def test_sessions_are_ended_and_on_mysql_the_waiting_after_them(flavour: Flavour) -> None:
    server = Asked([session(2, WAITS[flavour]), session(1, "Commit"), *OTHERS])
    server.refused["KILL 1"] = ServerError(1094, "Unknown thread id: 1")
    await end_waiting_commits(server, "db", flavour, CLOSING)
    assert server.sent == ["KILL 2", *([OFF] if flavour is Flavour.MYSQL else [])]


@FLAVOURS
async def test_nothing_is_sent_if_nothing_waits(flavour: Flavour) -> None:
    server = Asked([session(1, "Commit"), *OTHERS], waits=0)
    await end_waiting_commits(server, "db", flavour, CLOSING)
    # It was acknowledged in between.
    server.waits = 1
    await end_waiting_commits(server, "db", flavour, CLOSING)
    assert server.sent == []


@FLAVOURS
async def test_an_account_that_does_not_see_all_of_the_group_ends_nothing(flavour: Flavour) -> None:
    server = Asked([session(2, WAITS[flavour], user="peerdisco"), *OTHERS], sees=False)
    with pytest.raises(DatabaseError, match="GRANT PROCESS ON") as told:
        await end_waiting_commits(server, "db", flavour, CLOSING)
    assert told.value.access_denied
    assert server.sent == []


@FLAVOURS
async def test_a_session_that_may_not_be_ended_keeps_the_waiting(flavour: Flavour) -> None:
    """As one of an account with SYSTEM_USER: its client would get an acknowledgement."""
    server = Asked([session(2, WAITS[flavour]), session(1, "Commit", user="root"), *OTHERS])
    server.refused["KILL 1"] = ServerError(1095, "You are not owner of thread 1")
    with pytest.raises(DatabaseError, match="not owner"):
        await end_waiting_commits(server, "db", flavour, CLOSING)
    assert server.sent == []

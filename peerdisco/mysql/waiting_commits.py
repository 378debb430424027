"""Commits that wait for a replica's acknowledgement, and how their sessions are ended.

Ending the session that waits, on MariaDB, or the waiting itself, on MySQL, makes the server
acknowledge to their clients what no replica has: one session waits for a group of commits, and
those of the others in the group count as acknowledged. So the others are ended first: ``KILL``
closes a connection at once, and its client gets no acknowledgement. The transactions are on the
server's disk, and in its log.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from .durability import set_waiting, status_query
from .errors import DatabaseError
from .facts import Executor
from .values import number, text
from .versions import Flavour

__all__ = ["end_waiting_commits", "may_share_group", "sessions_to_end", "waits_for_group"]

_WAITS = "waiting for semi-sync ack"
"""How the state begins of the session that waits for its group."""

_PROCESSES = "SHOW PROCESSLIST"

_NO_CLIENTS = ("Sleep", "Daemon", "Binlog Dump", "Slave_")
"""How the commands begin of sessions that commit nothing, or have no client."""


def sessions_to_end(sessions: Sequence[Mapping[str, Any]], keep: Sequence[int]) -> list[int]:
    """The sessions that have to be ended so that no commit waits, in the order that is safe.

    Args:
        sessions: The rows of ``SHOW PROCESSLIST``, of all accounts.
        keep: The sessions that must go on.

    Returns:
        Their ids; none if no commit waits.
    """
    waiting = [one for one in sessions if _waits(one)]
    if not waiting:
        return []
    others = (one for one in sessions if not _waits(one) and _has_client(one))
    ids = (number(one["Id"]) for one in (*others, *waiting))
    return [one for one in ids if one not in keep]


def waits_for_group(sessions: Sequence[Mapping[str, Any]]) -> bool:
    """Whether one of these sessions waits for the commits of its group."""
    return any(map(_waits, sessions))


def may_share_group(sessions: Sequence[Mapping[str, Any]], some: Sequence[object]) -> bool:
    """Whether other sessions than these may be in one group of commits with them.

    Args:
        sessions: The rows of ``SHOW PROCESSLIST``.
        some: Some of the rows.
    """
    others = (one for one in sessions if one not in some and _has_client(one))
    return any(text(one.get("Info")) != _PROCESSES for one in others)


def _waits(session: Mapping[str, Any]) -> bool:
    return text(session.get("State")).lower().startswith(_WAITS)


def _has_client(session: Mapping[str, Any]) -> bool:
    user, command = text(session.get("User")), text(session.get("Command"))
    return user != "system user" and not command.startswith(_NO_CLIENTS)


async def end_waiting_commits(
    server: Executor, name: str, flavour: Flavour, closing: str = ""
) -> None:
    """End the sessions whose commits wait, and before them all others that may commit.

    On MySQL, semi-synchronous replication is disabled for that, once nobody can take a write for
    an acknowledged one.

    Args:
        server: A connection to it.
        name: What to call it in an error.
        flavour: Its family.
        closing: The statement whose session goes on; empty for none. While it waits to make the
            server read-only, no other commit begins.

    Raises:
        DatabaseError: A statement was refused, the server did not answer, or commits wait and the
            account does not see all sessions, or may not end one.
    """
    status = await _ask(server, name, status_query(flavour))
    counters = (one for one in status if text(one["Variable_name"]).endswith("_wait_sessions"))
    if not any(number(one["Value"]) for one in counters):
        return
    if not await _ask(server, name, _SEES_ALL):
        raise DatabaseError(name, _DOING, _ACCESS_DENIED, _SEE_SESSIONS)
    (own,) = await _ask(server, name, "SELECT CONNECTION_ID() AS id")
    sessions = await _ask(server, name, _PROCESSES)
    keep = [number(own["id"]), *_executing(sessions, closing)]
    ending = sessions_to_end(sessions, keep)
    await _end(server, name, ending)
    if ending and flavour is Flavour.MYSQL:
        await _ask(server, name, set_waiting(flavour, False))


_DOING = "ending the sessions whose writes wait for a replica"
_SEES_ALL = (
    "SELECT 1 AS sees FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE = 'PROCESS' "
    """AND GRANTEE = CONCAT("'", REPLACE(CURRENT_USER(), '@', "'@'"), "'")"""
)
_ACCESS_DENIED, _NO_SUCH_THREAD = 1227, 1094
_SEE_SESSIONS = (
    "this account may not see the sessions of others: GRANT PROCESS ON *.* to it, or start a "
    "replica, which acknowledges these writes; until then they, and all later writes, wait"
)


def _executing(sessions: Sequence[Mapping[str, Any]], statement: str) -> Iterator[int]:
    for session in sessions:
        if statement and text(session.get("Info")) == statement:
            yield number(session["Id"])


async def _end(server: Executor, name: str, sessions: Iterable[int]) -> None:
    for session in sessions:
        try:
            await _ask(server, name, f"KILL {session}")
        except DatabaseError as error:
            if error.errno != _NO_SUCH_THREAD:  # it may have ended meanwhile
                raise


async def _ask(server: Executor, name: str, sql: str) -> Sequence[Mapping[str, Any]]:
    try:
        return await server.execute(sql)
    except Exception as error:
        raise DatabaseError.of(error, name, _DOING) from error

"""Statements that no server has finished: no further connection waits beside them.

A statement whose reply nobody waits for any more keeps its session on the server until it ends.
While the disk of a MySQL server is full, questions about its binary log do not end. One more
session for each attempt would take all connections from the clients in minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...names import Endpoint
from ..errors import DatabaseError
from ..setup import Account
from .peers import Connect, Connection

__all__ = ["CarefulConnect"]

_WAITS_FROM = 2
"""Seconds from which on a question is taken for one that nobody waits for any more."""

_MOST = 100
"""Servers that are kept."""

_PROCESSES = "SHOW PROCESSLIST"


class CarefulConnect:
    """Connects to servers, but not for a question while an earlier one waits there.

    Args:
        connect: Connects to servers.
        name: What to call the pod's own server in an error.
    """

    def __init__(self, connect: Connect, name: str) -> None:
        self._connect = connect
        self._name = name
        self._unfinished: dict[tuple[Endpoint | None, str], None] = {}
        """The servers and accounts of connections that were closed before a reply."""

    async def __call__(self, where: Endpoint | None, account: Account) -> Connection:
        """Connect to a server.

        Raises:
            DatabaseError: It does not answer, rejects the login, or has not finished a question
                of this account.
        """
        key = (where, account.user)
        link = await self._connect(where, account)
        if key in self._unfinished:
            try:
                await self._refuse_another(link, where, account.user)
            except BaseException:
                link.close()
                raise
            self._unfinished.pop(key, None)
        return _Link(link, lambda: self._keep(key))

    def _keep(self, key: tuple[Endpoint | None, str]) -> None:
        self._unfinished[key] = None
        if len(self._unfinished) > _MOST:  # pods whose addresses are gone
            del self._unfinished[next(iter(self._unfinished))]

    async def _refuse_another(self, link: Connection, where: Endpoint | None, user: str) -> None:
        name, doing = str(where or self._name), "waiting for an earlier statement"
        try:
            rows = await link.execute(_PROCESSES)
        except Exception as error:
            raise DatabaseError.of(error, name, doing) from error
        for row in rows:
            question = str(row.get("Info") or "")
            seconds = int(row.get("Time") or 0)
            asks = question.startswith(("SELECT", "SHOW")) and question != _PROCESSES
            if asks and row.get("User") == user and seconds >= _WAITS_FROM:
                detail = f"it has not ended for {seconds} s ({row.get('State')}): {question[:80]}"
                raise DatabaseError(name, doing, None, detail, timed_out=True)


class _Link:
    """A connection that reports a statement without a reply."""

    def __init__(self, link: Connection, unfinished: Callable[[], None]) -> None:
        self._link = link
        self._has_unfinished = unfinished

    @property
    def closed(self) -> bool:
        return self._link.closed

    def close(self) -> None:
        self._link.close()

    async def execute(self, sql: str, /) -> Sequence[Mapping[str, Any]]:
        try:
            return await self._link.execute(sql)
        except BaseException:
            if self._link.closed:
                self._has_unfinished()
            raise

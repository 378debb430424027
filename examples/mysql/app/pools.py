"""A pool of connections for each server: writes go to the primary, reads are spread over replicas.

The part to copy. It follows the membership: a pool is opened when a peer joins, closed when it
leaves, and replaced when the peer is back at another address.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import aiomysql
from pymysql.constants import ER

import peerdisco

log = logging.getLogger("app")

_REFUSALS = (OSError, TimeoutError, aiomysql.MySQLError)
_AVOIDED_FOR = 10.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Account:
    """What to log in with; the password is never shown."""

    user: str
    password: str = field(repr=False)
    schema: str


class Unavailable(Exception):
    """No server is available now; try again later, or report it to the user."""


class NoPrimary(Unavailable):
    """The primary is not available, and no other peer takes its place."""


class NoServer(Unavailable):
    """No server is available for a read: neither a replica nor the primary."""


class Pools:
    """A pool for each peer, while the ``async with`` block runs.

    Args:
        disco: The membership to follow.
        account: The application's own; never the database's administrator.
        size: The most connections to one server.
        timeout: Seconds that a connection may take. A server that accepts and never greets would
            otherwise hold a request for ever.
    """

    def __init__(
        self, disco: peerdisco.Discovery, account: Account, size: int = 10, timeout: float = 5.0
    ) -> None:
        self._disco = disco
        self._account = account
        self._size = size
        self._timeout = timeout
        self._pools: dict[str, tuple[peerdisco.Peer, aiomysql.Pool]] = {}
        self._follower: asyncio.Task[None] | None = None
        self._avoid: dict[str, float] = {}  # until when
        self._turn = 0

    async def __aenter__(self) -> Self:
        self._follower = asyncio.create_task(self._follow(), name="pools")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._follower is not None
        self._follower.cancel()
        await asyncio.wait([self._follower])
        for name in list(self._pools):
            await self._close(name)

    async def _follow(self) -> None:
        async for change in self._disco.watch():
            for peer in (*change.left, *(old for old, _ in change.replaced)):
                await self._close(peer.name)
            if change.degraded:
                # Nobody has left because of that: the pools stay as they are.
                log.warning("no answer of the DNS: %s", change.snapshot.last_error)

    # --- what the application asks for

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Any]:
        """A connection to the primary, in a transaction that is committed at the end.

        An error rolls it back. One that says the connection was lost while it was being committed
        leaves open whether it was.

        Raises:
            NoPrimary: The primary is not listed, does not let us in, or takes no writes now.
                Nothing was written.
        """
        primary = self._disco.snapshot.primary
        if primary is None:
            raise NoPrimary("the primary is not there: nothing can be written until it is back")
        try:
            pool, connection = await self._acquire(primary)
        except _REFUSALS as error:
            raise NoPrimary(f"{_where(primary)} does not let us in: {_why(error)}") from error
        try:
            async with _lent(pool, connection):
                await connection.begin()
                yield connection
                await connection.commit()
        except aiomysql.OperationalError as error:
            if error.args[0] == ER.OPTION_PREVENTS_STATEMENT:
                # It has started, and its sidecar has not opened it yet, or refuses to.
                raise NoPrimary(f"{_where(primary)} is read-only now") from error
            raise

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Any]:
        """A connection to a replica, each in turn; to the primary if no replica lets us in.

        What it reads may be a moment old: read what you have just written by `writing`.

        Raises:
            NoServer: Nobody let us in.
        """
        reasons = []
        for peer in self._to_read_from():
            try:
                pool, connection = await self._acquire(peer)
            except _REFUSALS as error:
                reasons.append(f"{_where(peer)}: {_why(error)}")
                continue
            if reasons:
                log.warning("reading from %s: %s", peer, "; ".join(reasons))
            async with _lent(pool, connection):
                yield connection
            return
        raise NoServer("nobody to read from: " + ("; ".join(reasons) or "no peer is listed"))

    def _to_read_from(self) -> list[peerdisco.Peer]:
        """The replicas, another one first each time, and at the end the primary.

        Those that did not let us in a moment ago come last: a machine that has died without a word
        costs the whole timeout, which not every other read should pay.
        """
        snapshot = self._disco.snapshot
        self._turn += 1
        start = self._turn % max(1, len(snapshot.replicas))
        turn = [*snapshot.replicas[start:], *snapshot.replicas[:start]]
        if snapshot.primary is not None:
            turn.append(snapshot.primary)
        now = asyncio.get_running_loop().time()
        return sorted(turn, key=lambda peer: self._avoid.get(peer.name, now) > now)

    # --- the pools

    async def _acquire(self, peer: peerdisco.Peer) -> tuple[aiomysql.Pool, Any]:
        """A connection from the pool for the peer where it is now, and that pool."""
        held, pool = self._pools.get(peer.name, (None, None))
        if held is not None and (held.addresses, held.ports) != (peer.addresses, peer.ports):
            await self._close(peer.name)  # the membership is newer than what `_follow` has seen
            pool = None
        if pool is None:
            pool = await self._open(peer)
        try:
            async with asyncio.timeout(self._timeout):
                connection = await _living(pool)
        except _REFUSALS:
            self._avoid[peer.name] = asyncio.get_running_loop().time() + _AVOIDED_FOR
            raise
        self._avoid.pop(peer.name, None)
        return pool, connection

    async def _open(self, peer: peerdisco.Peer) -> aiomysql.Pool:
        pool = await aiomysql.create_pool(
            host=str(peer.address),
            port=peer.port or 3306,
            user=self._account.user,
            password=self._account.password,
            db=self._account.schema,
            autocommit=True,
            # None is opened before it is needed, so a peer that is down keeps nobody from starting.
            minsize=0,
            maxsize=self._size,
            connect_timeout=self._timeout,
        )
        # Another task may have been here while this one waited; this pool holds nothing yet.
        _, first = self._pools.setdefault(peer.name, (peer, pool))
        return first

    async def _close(self, name: str) -> None:
        """Close a pool, and the connections in use as well: their server is gone, or elsewhere."""
        self._avoid.pop(name, None)
        peer, pool = self._pools.pop(name, (None, None))
        if peer is not None and pool is not None:
            log.info("closed the connections to %s", _where(peer))
            pool.terminate()
            await pool.wait_closed()


async def _living(pool: aiomysql.Pool) -> Any:
    """A connection whose server answers: one that has waited in a pool may have died there."""
    while True:
        connection = await pool.acquire()
        try:
            await connection.ping(reconnect=False)
        except BaseException as error:
            connection.close()
            await pool.release(connection)
            if not isinstance(error, _REFUSALS):
                raise
            continue  # the next one may be new, and says itself what is wrong
        return connection


@asynccontextmanager
async def _lent(pool: aiomysql.Pool, connection: Any) -> AsyncIterator[None]:
    """Give a connection back at the end; closed, if what it is in the middle of cannot be known."""
    try:
        yield
    except BaseException:
        # A statement that was cancelled has its answer still to come, and a transaction may be
        # open: the next to get this connection would read that answer, or write into that.
        connection.close()
        raise
    finally:
        await pool.release(connection)


def _where(peer: peerdisco.Peer) -> str:
    return f"{peer} at {peer.address}:{peer.port or 3306}"


def _why(error: BaseException) -> str:
    return str(error) or type(error).__name__

"""The servers in the other pods, queried over short connections."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from ...exceptions import DiscoveryError
from ...model import Peer
from ...names import Endpoint
from ...timing.stalls import TimeLimit
from ..decisions import Unanswered
from ..errors import DatabaseError
from ..facts import Executor, ServerFacts, read_facts
from ..setup import Account

__all__ = ["Connect", "Connection", "Lock", "PeerServers"]


class Connection(Executor, Protocol):
    """A connection that can be closed."""

    @property
    def closed(self) -> bool:
        """Whether it can no longer be used."""
        ...

    def close(self) -> None:
        """Close it at once."""
        ...


class Lock(Protocol):
    """A lock of a server, which is held as long as its connection lasts; see `role_lock`."""

    async def take(self, link: Connection, name: str) -> None:
        """Take it over this connection to the server with this name, if it is free."""
        ...

    def keeps(self, link: Connection) -> bool:
        """Whether this connection has it, and must not be closed."""
        ...


Connect = Callable[[Endpoint | None, Account], Awaitable[Connection]]
"""Connects to the server at an address, or with None to the one in this pod."""


class PeerServers:
    """Reads the facts of the peers' servers.

    Args:
        connect: Connects to servers.
        account: Returns the account to log in with; called for each connection.
        port: Their port, where DNS has none.
        timeout: Seconds that each has to answer.
    """

    def __init__(
        self, connect: Connect, account: Callable[[], Account], port: int, timeout: float
    ) -> None:
        self._connect = connect
        self._port = port
        self._timeout = timeout
        self.account = account

    def port_of(self, peer: Peer | None) -> int:
        """The port of a peer's server."""
        return peer.port if peer is not None and peer.port else self._port

    async def ask(
        self,
        peer: Peer,
        read: Callable[[Executor, str], Awaitable[ServerFacts]] = read_facts,
        *,
        lock: Lock | None = None,
    ) -> ServerFacts | Unanswered:
        """The facts of a peer's server.

        Args:
            peer: The pod.
            read: Reads them; it is given a connection, and what to call the server in an error.
            lock: Is taken before that, and keeps the connection if it was free.
        """
        if peer.address is None:
            return Unanswered("its address is not known")
        where = Endpoint(str(peer.address), self.port_of(peer))
        try:
            async with TimeLimit(self._timeout):
                link = await self._connect(where, self.account())
                try:
                    if lock is not None:
                        await lock.take(link, str(where))
                    return await read(link, str(where))
                finally:
                    if lock is None or not lock.keeps(link):
                        link.close()
        except TimeoutError:
            return Unanswered(f"{where}: no answer in {self._timeout:g} s")
        except DatabaseError as error:
            # 2059 is this client's: the server asks for the password in a way that discloses it.
            denied = error.access_denied and not error.unanswered
            return Unanswered(str(error), denied=denied)
        except DiscoveryError as error:  # its version, or the account's password
            return Unanswered(f"{where}: {error}")

    async def ask_all(self, peers: Iterable[Peer]) -> dict[str, ServerFacts | Unanswered]:
        """The same of each of them, asked at the same time; by their unique names."""
        async with asyncio.TaskGroup() as group:
            asking = {peer.unique_name: group.create_task(self.ask(peer)) for peer in peers}
        return {name: task.result() for name, task in asking.items()}

    async def log_in(self, where: Endpoint, account: Account) -> None:
        """Log in to the server there, execute a statement, and close the connection.

        Raises:
            DatabaseError: It rejects the login, or does not answer in time.
        """
        try:
            async with TimeLimit(self._timeout):
                connection = await self._connect(where, account)
                try:
                    # With an expired password, MariaDB permits the login and no statement.
                    await connection.execute("SELECT 1")
                except Exception as error:
                    raise DatabaseError.of(error, str(where), "connecting") from error
                finally:
                    connection.close()
        except TimeoutError:
            raise DatabaseError(
                str(where), "connecting", None, f"no answer in {self._timeout:g} s"
            ) from None

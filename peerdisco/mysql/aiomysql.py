"""aiomysql as the driver: a connection on which `peerdisco.mysql` executes its statements.

It comes with ``pip install peerdisco[mysql]``. Any other driver does that has a method
``execute(sql)``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from ..exceptions import ConfigurationError
from ..names import parse_seconds
from ..timing.stalls import TimeLimit
from .errors import DatabaseError
from .setup import Account

__all__ = ["Connection", "connect"]

TIMEOUT = 5.0


class Connection:
    """One connection; not for several tasks at a time. Close it with `close`, or ``async with``.

    A statement that is cancelled or takes too long leaves a connection on which the next answer
    would be the last one's: it is closed.
    """

    def __init__(self, connection: Any, timeout: float) -> None:
        self._connection = connection
        self._timeout = timeout

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        return bool(self._connection.closed)

    def close(self) -> None:
        """Close it at once. A second call does nothing."""
        self._connection.close()

    async def execute(self, sql: str, /) -> Sequence[dict[str, Any]]:
        """Execute one statement.

        Raises:
            TimeoutError: The server did not answer in time.
            Exception: What aiomysql raises.
        """
        try:
            async with TimeLimit(self._timeout), self._connection.cursor() as cursor:
                await cursor.execute(sql)
                return list(await cursor.fetchall() or ())
        except asyncio.CancelledError:
            self.close()
            raise
        except TimeoutError:
            self.close()
            raise TimeoutError(f"no answer in {self._timeout:g} s") from None


async def connect(
    account: Account,
    *,
    host: str = "127.0.0.1",
    port: int = 3306,
    socket: str | None = None,
    timeout: float = TIMEOUT,
) -> Connection:
    """Connect to a server.

    Args:
        account: As whom.
        host: An address. A name would be resolved in a way that asyncio cannot cancel.
        port: The server's port.
        socket: The path of the server's Unix socket, instead of host and port.
        timeout: Seconds for the connection, and then for each statement.

    Raises:
        DatabaseError: The server does not listen, does not answer in time, or refuses the account.
        ConfigurationError: aiomysql is not installed, or the timeout is no number of seconds.
    """
    timeout = parse_seconds(timeout, "timeout")
    try:
        import aiomysql  # noqa: PLC0415 - only where a server is connected to
    except ImportError:
        raise ConfigurationError(
            "the driver aiomysql", "no package of that name", "pip install 'peerdisco[mysql]'"
        ) from None

    where = {"unix_socket": socket} if socket else {"host": host, "port": port}
    name = socket or f"{host}:{port}"
    try:
        # The driver's own time limit does not cover a server that accepts and then says nothing.
        async with TimeLimit(timeout):
            connection = await aiomysql.connect(
                **where,
                user=account.user,
                password=_in_utf8(account.password),
                charset="utf8mb4",
                autocommit=True,
                cursorclass=type(
                    "_Cursor", (aiomysql.DictCursor,), {"_show_warnings": _no_warnings}
                ),
                connect_timeout=None,
            )
    except TimeoutError as error:
        raise DatabaseError(name, "connecting", None, f"no answer in {timeout:g} s") from error
    except Exception as error:  # noqa: BLE001 - told as what it is
        cause = error.__cause__ or error.__context__
        if isinstance(cause, OSError):
            error = type(error)(*error.args[:1], cause.strerror or str(cause))
        # The server has not seen the password, which is sent scrambled, and cannot quote it.
        raise DatabaseError.of(error, name, "connecting") from None
    return Connection(connection, timeout)


def _in_utf8(password: str) -> str:
    """A password for drivers of PyMySQL's kind, which send each character as one byte (Latin-1).

    Servers hash the bytes that were in ``IDENTIFIED BY``, which is UTF-8 wherever statements are.
    """
    return password.encode().decode("latin-1")


async def _no_warnings(_cursor: object, _connection: object) -> None:
    """Instead of asking for the server's notes, and making a Python warning of each.

    That something is there already, or has stopped, is no news. The session variables that would
    keep the server from noting it are not for every account on MySQL.
    """

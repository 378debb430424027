"""aiomysql as the driver: a connection on which `peerdisco.mysql` executes its statements.

It comes with ``pip install peerdisco[mysql]``. Any other driver works that has a method
``execute(sql)``, but only this one has the protection of `guarded`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from ..exceptions import ConfigurationError
from ..names import parse_seconds
from ..timing.stalls import TimeLimit
from .errors import TLS_ERROR, DatabaseError, is_from_server
from .setup import Account

__all__ = ["Connection", "connect"]

TIMEOUT = 5.0


class Connection:
    """One connection, for one task at a time. Close it with `close`, or ``async with``.

    The connection is closed when a statement is cancelled, times out or gets a malformed or too
    large response, because its late reply would be read as the reply to the next statement.
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
            Exception: An error of aiomysql; with number 2027 if the response was larger than the
                limits in ``peerdisco.mysql.guarded``.
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
        except Exception as error:
            if not is_from_server(error):
                self.close()
            raise


async def connect(
    account: Account,
    *,
    host: str = "127.0.0.1",
    port: int = 3306,
    socket: str | None = None,
    timeout: float = TIMEOUT,
    own_server: bool = False,
    server_public_key: bytes | None = None,
    tls: ssl.SSLContext | None = None,
    tls_server_name: str | None = None,
    tls_if_required: bool = False,
) -> Connection:
    """Connect to a server.

    The password itself is sent only over a Unix socket, over TLS, or encrypted with
    ``server_public_key``. Otherwise the answer to a challenge is sent, with the plugins
    ``mysql_native_password`` and ``caching_sha2_password``; no other plugin is used.

    Args:
        account: The account to log in with.
        host: An IP address. A name would be resolved in a way that asyncio cannot cancel.
        port: The server's port.
        socket: The path of the server's Unix socket, instead of host and port.
        timeout: Seconds for the connection, and then for each statement.
        own_server: Whether this is the server in the caller's own pod. Over a connection that does
            not leave the pod's network namespace, the RSA key that it sends is trusted.
        server_public_key: The server's RSA key for ``caching_sha2_password``, in PEM.
        tls: Requires TLS, with this context. It must verify certificates.
        tls_server_name: The name in the server's certificate; the host by default.
        tls_if_required: Whether to connect again with TLS, without verifying the server, if it
            rejects a connection without. Only for a server in the pod's network namespace, which
            nobody outside of it can stand in for.

    Raises:
        DatabaseError: The server does not listen, does not answer in time, rejects the login, or
            asks for the password in a way that could disclose it.
        ConfigurationError: aiomysql is not installed, the timeout is not a number of seconds, or
            the TLS context does not verify certificates.
    """
    timeout = parse_seconds(timeout, "timeout")
    if tls is not None and tls.verify_mode is not ssl.CERT_REQUIRED:
        raise ConfigurationError("tls", "no verification", "a context with CERT_REQUIRED")
    try:
        from .guarded import (  # noqa: PLC0415 - imports aiomysql, which is optional
            GuardedConnection,
            GuardedCursor,
        )
    except ModuleNotFoundError:
        raise ConfigurationError(
            "the driver aiomysql", "no package of that name", "pip install 'peerdisco[mysql]'"
        ) from None

    where = {"unix_socket": socket} if socket else {"host": host, "port": port}
    name = socket or f"{host}:{port}"

    def connection(context: ssl.SSLContext | None) -> GuardedConnection:
        return GuardedConnection(
            **where,
            own_server=own_server,
            tls_server_name=tls_server_name,
            user=account.user,
            password=_in_utf8(account.password),
            charset="utf8mb4",
            autocommit=True,
            cursorclass=GuardedCursor,
            server_public_key=server_public_key,
            ssl=None if socket else context,
        )

    try:
        return Connection(await _opened(connection(tls), name, timeout), timeout)
    except DatabaseError as error:
        if socket or tls or not tls_if_required or error.errno not in _MAY_NEED_TLS:
            raise
        try:
            return Connection(await _opened(connection(_unverified()), name, timeout), timeout)
        except DatabaseError as second:
            # A server without TLS rejected the first for another reason.
            raise (error if second.errno == TLS_ERROR else second) from None


_MAY_NEED_TLS = frozenset({1045, 1835, 3159})
"""1045: an account with REQUIRE SSL; 3159: a server with ``require_secure_transport``."""


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _opened(connection: Any, name: str, timeout: float) -> Any:
    """Log in.

    Raises:
        DatabaseError: It did not work.
    """
    try:
        # aiomysql's own time limit does not cover a server that accepts and then sends nothing.
        async with TimeLimit(timeout):
            await _open(connection)
    except TimeoutError as error:
        raise DatabaseError(name, "connecting", None, _silence(connection, timeout)) from error
    except Exception as error:  # noqa: BLE001 - reported as a DatabaseError
        cause = error.__cause__ or error.__context__
        if isinstance(cause, OSError):
            error = type(error)(*error.args[:1], cause.strerror or str(cause))
        # The server has not received the password and cannot quote it.
        raise DatabaseError.of(error, name, "connecting") from None
    return connection


def _silence(connection: Any, timeout: float) -> str:
    """How far a server came that did not let the client in within the time."""
    greeting = getattr(connection, "server_version", None)
    if greeting is None:
        return f"no answer in {timeout:g} s"
    said = f"it greeted, and did not answer the login in {timeout:g} s"
    if "MariaDB" in greeting:
        return said
    return (
        f"{said}; with semi-synchronous replication, a change of accounts that waits for a replica "
        "keeps every login waiting, also that of replicas, until the server is restarted"
    )


async def _open(connection: Any) -> None:
    try:
        await connection._connect()  # noqa: SLF001 - what aiomysql.connect() does
    except BaseException:
        connection.close()
        raise


def _in_utf8(password: str) -> str:
    """The password for aiomysql, which sends each character as one byte (Latin-1).

    Servers hash the bytes that were in ``IDENTIFIED BY``, which are UTF-8 wherever statements are.
    """
    return password.encode().decode("latin-1")

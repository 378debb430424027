"""An aiomysql connection that limits what a server can obtain from it and make it spend.

aiomysql uses whatever authentication plugin the server asks for, among them
``mysql_clear_password``, and encrypts the password with whatever RSA key the server sends. It reads
a result to its end, however long it is. Whoever answers at a peer's address could so obtain the
password, or exhaust the memory.

Protocol: https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html.
"""

from __future__ import annotations

import asyncio
import importlib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any

import aiomysql
from pymysql import _auth

from ..wording.foreign import one_line
from .errors import AUTH_PLUGIN_REFUSED, MALFORMED_PACKET, TLS_ERROR

__all__ = ["MAX_BYTES", "MAX_COLUMNS", "MAX_VALUES", "GuardedConnection", "GuardedCursor"]

_NATIVE = "mysql_native_password"
_SHA2 = "caching_sha2_password"
_ALLOWED = frozenset({_NATIVE, _SHA2})
"""Plugins that answer a challenge and do not send the password."""

_DISCLOSING = frozenset(
    {"", "mysql_clear_password", "dialog", "sha256_password", "mysql_old_password"}
)
"""Plugins that send the password, or something from which it can be computed. "" is what a server
from before 5.5.7 names, which knows no plugins."""

MAX_BYTES = 4 * 2**20
"""Of one statement's response. A GTID set of a server that has had a thousand sources is 50 kB."""
MAX_COLUMNS = 256
"""SHOW REPLICA STATUS has about 60."""
MAX_VALUES = 50_000
"""Rows times columns. A server with so many schemas is the largest that can be read."""

_PACKETS_AT_ONCE = 64
"""Packets that are read before other tasks get a turn: below 1 ms."""

_CLIENT_SSL = 1 << 11
_CLIENT_MULTI_STATEMENTS = 1 << 16
_SLOW_TO_IMPORT = "cryptography.hazmat.primitives.serialization"
_OK, _LOCAL_FILE, _AUTH_SWITCH, _ERROR = 0x00, 0xFB, 0xFE, 0xFF
_FULL_AUTHENTICATION = b"\x01\x04"
"""More data, of caching_sha2_password: the server asks for the password itself."""


class GuardedConnection(aiomysql.Connection):  # type: ignore[misc]
    """A connection to a server that is not trusted.

    Args:
        own_server: Whether this should be the server in the caller's own pod. If both ends of the
            connection are indeed in this network namespace, the RSA key that the server sends is
            used: nobody outside of the pod can have sent it.
        tls_server_name: The name that the server's certificate must have.
        options: Those of ``aiomysql.Connection``.
    """

    def __init__(self, *, own_server: bool, tls_server_name: str | None, **options: Any) -> None:
        super().__init__(**options)
        self.client_flag &= ~_CLIENT_MULTI_STATEMENTS
        self._host: str
        self._reader: asyncio.StreamReader | None
        self._writer: asyncio.StreamWriter | None
        self._own_server = own_server
        self._tls_server_name = tls_server_name
        self._authenticating = True
        self._start_response()

    async def _request_authentication(self) -> None:
        plugin = self._server_auth_plugin
        if plugin in _DISCLOSING:
            raise _plugin_refused(plugin)
        if self._ssl_context and not self.server_capabilities & _CLIENT_SSL:
            raise aiomysql.OperationalError(
                TLS_ERROR, "the server does not support TLS, which --tls-ca requires"
            )
        context = self._ssl_context
        if context and context.verify_mode is ssl.CERT_NONE and not self._stays_here():
            raise aiomysql.OperationalError(
                TLS_ERROR, "TLS without verification is used within the pod only"
            )
        if plugin not in _ALLOWED:
            # As the servers' own clients do. The server then names the account's plugin.
            self._client_auth_plugin = _NATIVE
        host = self._host
        self._host = self._tls_server_name or host  # what aiomysql verifies the certificate for
        try:
            await super()._request_authentication()
            self._check_end_of_login()
        except BaseException:
            self.close()
            raise
        finally:
            self._host = host
        self._authenticating = False

    async def _connect(self) -> None:
        with _understood():
            await super()._connect()

    async def _read_query_result(self, unbuffered: bool = False) -> None:
        with _understood():
            await super()._read_query_result(unbuffered)

    def close(self) -> None:
        """Close it at once, also if the server neither reads nor ends TLS."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._writer = self._reader = None

    async def _process_auth(self, plugin_name: bytes, auth_packet: Any) -> Any:
        # The salt ends with a NUL, which aiomysql 0.3.2 takes for a part of it.
        auth_packet._data = auth_packet._data.removesuffix(b"\0")  # noqa: SLF001
        return await super()._process_auth(plugin_name, auth_packet)

    async def _execute_command(self, command: int, sql: str | bytes) -> None:
        self._start_response()
        await super()._execute_command(command, sql)

    async def next_result(self) -> None:
        """Refuse a second result: no statement that is sent here has one."""
        raise self._beyond("a second result for one statement")

    def _start_response(self) -> None:
        self._bytes = 0
        self._packets = 0
        self._columns = 1

    async def _read_packet(self, *packet_type: Any) -> Any:
        packet = await super()._read_packet(*packet_type)
        data = packet.get_all_data()
        self._packets += 1
        self._kind = data[0]
        if self._authenticating:
            self._check_authentication(data)
            if data[:2] == _FULL_AUTHENTICATION and not self._secure:
                await _load_encryption()
        elif self._packets == 1:
            self._check_columns(data)
        if self._packets * self._columns > MAX_VALUES:
            raise self._beyond(f"more than {MAX_VALUES} values in a result")
        if self._packets % _PACKETS_AT_ONCE == 0:
            await asyncio.sleep(0)
        return packet

    async def _read_bytes(self, num_bytes: int) -> bytes:
        self._bytes += num_bytes
        if self._bytes > MAX_BYTES:
            raise self._beyond(f"a response of more than {MAX_BYTES} bytes")
        data: bytes = await super()._read_bytes(num_bytes)
        return data

    def _check_columns(self, data: bytes) -> None:
        """Refuse a result of too many columns, which is what its first packet says."""
        if data[0] == _LOCAL_FILE:
            raise self._beyond("a request for a file of this machine")
        if data[0] in (_OK, _ERROR):
            return
        if data[0] == 252 and len(data) >= 3:
            self._columns = int.from_bytes(data[1:3], "little")
        else:
            self._columns = data[0] if data[0] < 251 else MAX_COLUMNS + 1
        if self._columns > MAX_COLUMNS:
            raise self._beyond(f"a result of more than {MAX_COLUMNS} columns")

    def _check_authentication(self, data: bytes) -> None:
        """Refuse what a server asks for during the login, before it is answered.

        Raises:
            OperationalError: The answer would disclose the password.
        """
        kind = data[:1]
        if kind == bytes([_AUTH_SWITCH]):
            plugin = data[1:].partition(b"\0")[0].decode("latin-1")
            if plugin not in _ALLOWED:
                raise _plugin_refused(plugin)
        if data[:2] == _FULL_AUTHENTICATION and not (
            self._secure or self.server_public_key or (self._own_server and self._stays_here())
        ):
            raise aiomysql.OperationalError(
                AUTH_PLUGIN_REFUSED,
                f"{_SHA2} needs the password itself, because this one is wrong or the server has "
                "not cached it, and it is not sent over an unencrypted connection to a server "
                "whose key is not known: correct it, or configure TLS (--tls-ca) or the server's "
                "RSA key (--server-public-key)",
            )

    def _check_end_of_login(self) -> None:
        """Refuse a login that ended with anything but OK: aiomysql takes it for accepted."""
        if self._kind != _OK:
            raise _malformed("a login that ends without OK")

    def _stays_here(self) -> bool:
        assert self._writer is not None
        transport = self._writer.transport
        server, client = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        return stays_here(server[0], client[0])

    def _beyond(self, what: str) -> Exception:
        """The error for a response beyond a limit; the rest of it is not read."""
        self.close()
        return _malformed(what)


class GuardedCursor(aiomysql.DictCursor):  # type: ignore[misc]
    """Rows by column name."""

    async def _show_warnings(self, _connection: object) -> None:
        """Do not ask for the server's notes to make a Python warning of each.

        That something exists already, or has stopped, is expected. The session variables that
        would keep the server from noting it are not for every account on MySQL.
        """


async def _load_encryption() -> None:
    """Load `cryptography`, if PyMySQL was imported without it to save memory."""
    if not _auth._have_cryptography:  # noqa: SLF001
        await asyncio.to_thread(importlib.import_module, _SLOW_TO_IMPORT)
        importlib.reload(_auth)


def stays_here(server: str, client: str) -> bool:
    """Whether a connection between these addresses does not leave the network namespace.

    A connection to one of the namespace's own addresses has that address at both ends, or a
    loopback address.
    """
    to, of = ip_address(server), ip_address(client)
    return to.is_loopback or to == of


@contextmanager
def _understood() -> Iterator[None]:
    """Turn what aiomysql raises while it reads a malformed reply into an error that says so."""
    try:
        yield
    except (aiomysql.Error, OSError):
        raise
    except Exception as error:
        raise _malformed(f"a malformed reply ({one_line(str(error))})") from error


def _malformed(what: str) -> Exception:
    error: Exception = aiomysql.OperationalError(MALFORMED_PACKET, f"the server sent {what}")
    return error


def _plugin_refused(plugin: str) -> Exception:
    name = repr(plugin[:64]) if plugin else "none"
    error: Exception = aiomysql.OperationalError(
        AUTH_PLUGIN_REFUSED,
        f"the server asks for the authentication plugin {name}, which is refused because it could "
        f"disclose the password; create the account with {_SHA2} or {_NATIVE}",
    )
    return error

"""Errors of database servers, and what to do about each. Pure.

The numbers are those of https://mariadb.com/kb/en/mariadb-error-code-reference/ and
https://dev.mysql.com/doc/mysql-errors/8.4/en/; from 2000 to 2999 they are the client's.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from itertools import groupby

from ..exceptions import DiscoveryError
from ..wording.foreign import one_line
from .literals import literal

__all__ = [
    "ACCESS_DENIED",
    "Action",
    "DatabaseError",
    "classify",
    "errno_of",
    "has_broken_relay_logs",
    "is_clients",
    "is_from_server",
]

AUTH_PLUGIN_REFUSED = 2059
"""CR_AUTH_PLUGIN_CANNOT_LOAD."""
TLS_ERROR = 2026
"""CR_SSL_CONNECTION_ERROR."""
MALFORMED_PACKET = 2027
"""CR_MALFORMED_PACKET."""
_PROGRESS = 0xFFFF
"""https://mariadb.com/kb/en/err_packet/; only a client that asks for reports gets them."""


class Action(Enum):
    """What to do about an error."""

    WAIT = "wait"
    """Wait. The error is temporary, as while a server starts or a network is unreachable."""
    MEND = "mend"
    """Configure or start the same again."""
    REFUSE = "refuse"
    """Stop until an operator acts; continuing would lose data or hide that it is lost."""


_BARRED = frozenset({1820, 1862, 3118, 3955, 4151})
"""1820 and 1862 the password has expired, 3118, 3955 and 4151 the account is locked."""

ACCESS_DENIED = _BARRED | {1044, 1045, 1130, 1142, 1143, 1227, 1410, 1698, 1251, 2059}
"""The account, its password or its privileges: 1044 database, 1045 user or password, 1130 host,
1142 and 1143 table and column, 1227 privilege, 1410 GRANT, 1698 socket user, 1251 and 2059 a way of
authenticating that the other side does not have."""

_WAIT = frozenset({1040, 1053, 1080, 1129, 1158, 1159, 1160, 1161, 1203, 1226, 1927})
"""1040 too many connections, 1053 and 1080 shutting down, 1129 host blocked after errors, 1158 to
1161 the network, 1203 and 1226 an account's limits, 1927 connection killed."""

_MEND = _BARRED | frozenset({1045, 1593, 1597, 13120, 2061, 1205, 1213, 1198, 3021, 3081, 3085})
"""1045, 1597 and 13120 the password or a privilege may have changed, 1593 what the source answered
at the beginning was not understood, so that another one may have answered, 2061 the public key was
not asked for, 1205 and 1213 a lock that somebody else had, 1198, 3021, 3081 and 3085 changed while
it ran."""

_LOGS_DO_NOT_REACH_BACK = frozenset({1236, 13114})
"""The source cannot send what the replica needs; MariaDB and MySQL up to 8.0, and MySQL from then
on (whose text still says 1236)."""


_RELAY_LOGS_BROKEN = frozenset({1201, 1872})
"""The replica cannot read its relay logs, or its files about them, as after a crash while it began
a new one; MariaDB and MySQL."""


def classify(errno: int, *, applying: bool = False) -> Action:
    """What to do about an error of a server, or of a connection to it.

    Args:
        errno: Its number.
        applying: Whether it came from applying a transaction (``Last_SQL_Errno``). There all but
            a lock that somebody else had means that the data differ.
    """
    if applying:
        return Action.MEND if errno in (1205, 1213) else Action.REFUSE
    if errno in _MEND:
        return Action.MEND
    if errno in _WAIT or is_clients(errno):
        return Action.WAIT
    return Action.REFUSE


def is_clients(errno: int) -> bool:
    """Whether a number is one of the connection, and not what the server answered."""
    return 2000 <= errno < 3000


def needs_copy(errno: int) -> bool:
    """Whether the source no longer has what the replica needs."""
    return errno in _LOGS_DO_NOT_REACH_BACK


def has_broken_relay_logs(error: DatabaseError) -> bool:
    """Whether a replica cannot start because of its relay logs."""
    return error.errno in _RELAY_LOGS_BROKEN


class DatabaseError(DiscoveryError):
    """A server refused a statement, or did not answer.

    Attributes:
        server: Which server, as an address or a host name.
        doing: What was being done, in words; never the statement, which may hold a password.
        errno: The error's number; None if the connection failed without one.
        detail: The server's error text on one line, escaped, at most 500 characters long, without
            the passwords that were in the statement.
        timed_out: Whether the server accepted the statement and did not finish it in time.
    """

    def __init__(
        self,
        server: str,
        doing: str,
        errno: int | None,
        detail: str,
        *,
        timed_out: bool = False,
    ) -> None:
        super().__init__(server, doing, errno, detail)
        self.timed_out = timed_out
        self.server = server
        self.doing = doing
        self.errno = errno
        self.detail = detail

    @classmethod
    def of(
        cls, error: BaseException, server: str, doing: str, secrets: Iterable[str] = ()
    ) -> DatabaseError:
        """From what a driver raised.

        Args:
            error: What it raised.
            server: Which server.
            doing: What was being done.
            secrets: The passwords in the statement, no part of which is shown.
        """
        if isinstance(error, cls):
            return error
        errno = errno_of(error)
        arguments = error.args
        if errno is not None and len(arguments) > 1 and isinstance(arguments[1], str):
            detail = arguments[1]
        else:
            detail = str(error) or type(error).__name__
        detail = detail[:_LONGEST_READ]
        for secret in filter(None, secrets):
            detail = _without(secret, detail)
        timed_out = isinstance(error, TimeoutError) and errno is None
        return cls(server, doing, errno, one_line(detail), timed_out=timed_out)

    @property
    def access_denied(self) -> bool:
        """Whether the account, its password or its privileges are the reason."""
        return self.errno in ACCESS_DENIED

    @property
    def unanswered(self) -> bool:
        """Whether the connection is the reason, and the server has not answered."""
        return self.errno is None or is_clients(self.errno)

    def __str__(self) -> str:
        number = f"error {self.errno}: " if self.errno is not None else ""
        return f"{self.server}: {self.doing}: {number}{self.detail}"


_LONGEST_READ = 4096
"""Characters of a server's error that are searched for passwords; fewer of them are shown."""

_LEAST_PART = 3
"""Characters of a password in a row that are taken for a part of it, and not for chance."""


def _without(secret: str, text: str) -> str:
    """The text without the password, whole or in parts.

    Servers quote statements from where they stop understanding them, and values up to some length;
    as they were written, escaped, or with bytes in hexadecimal.
    """
    data = secret.encode()
    forms = {
        secret,
        literal(secret)[1:-1],
        data.decode("latin-1"),
        "".join(chr(byte) if byte < 0x80 else f"\\x{byte:02X}" for byte in data),
    }
    covered = bytearray(len(text))
    for form in forms:
        size = min(_LEAST_PART, len(form))
        for start in range(len(form) - size + 1):
            part = form[start : start + size]
            found = text.find(part)
            while found >= 0:
                covered[found : found + size] = b"\1" * size
                found = text.find(part, found + 1)
    runs = groupby(zip(text, covered, strict=True), lambda pair: pair[1])
    return "".join("***" if hidden else "".join(c for c, _ in run) for hidden, run in runs)


def is_from_server(error: BaseException) -> bool:
    """Whether a driver raised the error because the server sent it in reply to a statement.

    The connection can be used afterwards; after any other error its state is not known. Drivers
    give the number 65535, which marks a report of progress and not an error, as -1.
    """
    errno = errno_of(error)
    return errno is not None and 0 < errno < _PROGRESS and not is_clients(errno)


def errno_of(error: BaseException) -> int | None:
    """The number in what a driver raised; None if it has none.

    The drivers of PyMySQL's kind (aiomysql, asyncmy) have it as the first argument, MySQL's own
    connector as an attribute.
    """
    number = getattr(error, "errno", None)
    if number is None and error.args:
        number = error.args[0]
    plain = isinstance(number, int) and not isinstance(error, OSError)
    return number if plain and isinstance(number, int) else None

"""Database accounts from files and the environment.

A password is never an argument, and is never printed.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..exceptions import ConfigurationError

if TYPE_CHECKING:
    import ssl

    from ..mysql.dialects import SourceTrust
    from ..mysql.setup import Account

DEFAULT_USERS = {
    "": "peerdisco",
    "replication": "peerdisco_replication",
    "backup": "peerdisco_backup",
}
"""The default user names, by the prefix of their options and variables."""


def add_account(group: argparse._ArgumentGroup, kind: str, what: str) -> None:
    """The options of one account."""
    prefix = f"{kind}-" if kind else ""
    group.add_argument(
        f"--{prefix}user",
        metavar="NAME",
        help=f"{what} (default: {_variable(kind, 'USER')}, else {DEFAULT_USERS[kind]})",
    )
    group.add_argument(
        f"--{prefix}password-file",
        metavar="FILE",
        help=f"the file with its password (default: {_variable(kind, 'PASSWORD_FILE')}, "
        f"else {_variable(kind, 'PASSWORD')})",
    )


_TRUST = {
    "server_public_key": "PEERDISCO_MYSQL_SERVER_PUBLIC_KEY",
    "tls_ca": "PEERDISCO_MYSQL_TLS_CA",
    "tls_server_name": "PEERDISCO_MYSQL_TLS_SERVER_NAME",
}
_SOURCE_TRUST = {
    "replication_tls_ca": "PEERDISCO_MYSQL_REPLICATION_TLS_CA",
    "replication_public_key": "PEERDISCO_MYSQL_REPLICATION_PUBLIC_KEY",
}


def add_source_trust(group: argparse._ArgumentGroup) -> None:
    """The options with which a replica's server verifies the primary."""
    group.add_argument(
        "--replication-tls-ca",
        metavar="PATH",
        help="replicate over TLS only, and verify the primary's certificate and its host name with "
        "this CA, a file in the database's container "
        f"(default: {_SOURCE_TRUST['replication_tls_ca']}, else the server's own settings)",
    )
    group.add_argument(
        "--replication-public-key",
        metavar="PATH",
        help="replicate without TLS on MySQL, unless --replication-tls-ca is given, with the "
        "password encrypted for this RSA key of the primary, a file in the database's container "
        f"(default: {_SOURCE_TRUST['replication_public_key']}, else the key that the primary "
        "sends)",
    )


def source_trust_of(args: argparse.Namespace) -> SourceTrust:
    """The values of the options of `add_source_trust`."""
    from ..mysql.dialects import SourceTrust  # noqa: PLC0415 - not needed for --help

    given = [getattr(args, name) or os.environ.get(_SOURCE_TRUST[name]) for name in _SOURCE_TRUST]
    return SourceTrust(*(value or None for value in given))


def add_trust(group: argparse._ArgumentGroup) -> None:
    """The options that verify the servers of the peers, before they get a password."""
    group.add_argument(
        "--tls-ca",
        metavar="FILE",
        help="use only TLS, and verify the servers' certificates with this CA, in PEM "
        f"(default: {_TRUST['tls_ca']}, else no TLS)",
    )
    group.add_argument(
        "--tls-server-name",
        metavar="NAME",
        help=f"the name in the servers' certificates (default: {_TRUST['tls_server_name']})",
    )
    group.add_argument(
        "--server-public-key",
        metavar="FILE",
        help="the servers' RSA key for caching_sha2_password without TLS, in PEM "
        f"(default: {_TRUST['server_public_key']})",
    )


@dataclass(frozen=True, slots=True)
class Trust:
    """How the servers of the peers are verified; see `peerdisco.mysql.aiomysql.connect`."""

    server_public_key: bytes | None
    tls: ssl.SSLContext | None
    tls_server_name: str | None


def trust_of(args: argparse.Namespace) -> Trust:
    """The values of the options of `add_trust`.

    Raises:
        ConfigurationError: A file cannot be read or is not in PEM, or only one of the two options
            for TLS is given.
    """
    import ssl  # noqa: PLC0415 - not needed for --help

    given = {name: getattr(args, name) or os.environ.get(_TRUST[name]) or None for name in _TRUST}
    named = {name: _option(name) if getattr(args, name) else _TRUST[name] for name in _TRUST}
    key, ca, server_name = given["server_public_key"], given["tls_ca"], given["tls_server_name"]
    if (ca is None) != (server_name is None):
        raise ConfigurationError(
            "--tls-ca and --tls-server-name",
            "only one of them",
            "both: peers are reached by address, so the name in their certificates must be given",
        )
    context = None
    if ca is not None:
        try:
            context = ssl.create_default_context(cafile=ca)
        except OSError as error:
            raise _unreadable(named["tls_ca"], ca, error, "a file with a CA in PEM") from None
    public_key = None
    if key is not None:
        expected = "a file with an RSA public key in PEM"
        try:
            public_key = Path(key).read_bytes()
        except OSError as error:
            raise _unreadable(named["server_public_key"], key, error, expected) from None
        if not public_key.lstrip().startswith(b"-----BEGIN PUBLIC KEY-----"):
            raise ConfigurationError(named["server_public_key"], key, expected)
    return Trust(public_key, context, server_name)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _unreadable(option: str, path: str, error: OSError, expected: str) -> ConfigurationError:
    return ConfigurationError(option, f"{path}: {error.strerror or error}", expected)


def account_of(
    args: argparse.Namespace, kind: str, *, check: bool = True
) -> Callable[[], Account] | None:
    """A function that returns the account, and reads its password file again at each call.

    Args:
        args: The options of `add_account`.
        kind: The prefix that was given there.
        check: Whether to call the function once, to report an error at the start.

    Returns:
        The function; None if no password is given. It raises a ConfigurationError if the file
        cannot be read, or holds no usable password.

    Raises:
        ConfigurationError: The same, with ``check``.
    """
    from ..mysql.setup import Account  # noqa: PLC0415 - not needed for --help

    option = f"{kind}_" if kind else ""
    user = getattr(args, f"{option}user") or os.environ.get(_variable(kind, "USER"))
    user = user or DEFAULT_USERS[kind]
    account: Callable[[], Account]
    given = getattr(args, f"{option}password_file")
    file = given or os.environ.get(_variable(kind, "PASSWORD_FILE"))
    if file:
        what = f"--{option.replace('_', '-')}password-file"
        path = Path(file)
        source = what if given else _variable(kind, "PASSWORD_FILE")

        def from_file() -> Account:
            return Account(user, _read(path, source))

        account = from_file
    elif password := os.environ.get(_variable(kind, "PASSWORD")):
        account = partial(Account, user, password)
    else:
        return None
    if check:
        account()
    return account


def required(account: Callable[[], Account] | None, kind: str) -> Callable[[], Account]:
    """The account, which must be given.

    Raises:
        ConfigurationError: It is not given.
    """
    if account is not None:
        return account
    option = f"--{kind}-password-file" if kind else "--password-file"
    raise ConfigurationError(
        f"the password of the {kind or 'local'} account",
        "none",
        f"a file as {option} or {_variable(kind, 'PASSWORD_FILE')}, "
        f"or {_variable(kind, 'PASSWORD')}",
    )


def _read(path: Path, source: str) -> str:
    try:
        # Editors add a newline at the end; the file of a Secret may have none.
        password = path.read_text(encoding="utf-8").removesuffix("\n")
    except OSError as error:
        raise ConfigurationError(
            source, str(path), f"a file that can be read ({error.strerror})"
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError(source, str(path), "a password in UTF-8") from None
    if not password:
        raise ConfigurationError(source, str(path), "a file with a password, not an empty file")
    return password


def _variable(kind: str, name: str) -> str:
    middle = f"{kind.upper()}_" if kind else ""
    return f"PEERDISCO_MYSQL_{middle}{name}"

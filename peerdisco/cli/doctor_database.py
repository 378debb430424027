"""The part of ``doctor --mysql`` that knows options: which servers, and with which accounts."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ..names import parse_endpoint
from .mysql_accounts import DEFAULT_USERS, account_of, add_account, add_trust, trust_of
from .options import port

if TYPE_CHECKING:
    from ..doctor.database import DatabaseFacts
    from ..doctor.facts import Facts
    from ..doctor.mysql_facts import Connect
    from ..model import Peer
    from ..mysql.setup import Account
    from ..mysql.sidecar.peers import Connection

__all__ = ["add_database", "database_facts"]

PORT = 3306
_KINDS = {"local": "", "replication": "replication", "backup": "backup"}
"""The accounts, and the prefixes of their options."""


def add_database(parser: argparse.ArgumentParser) -> None:
    """The options of ``--mysql``."""
    group = parser.add_argument_group("database")
    group.add_argument(
        "--mysql",
        action="store_true",
        help="also examine the MySQL or MariaDB server in this pod and those of the peers: "
        "accounts, privileges, configuration, durability, and tables that copies lose",
    )
    group.add_argument(
        "--host",
        metavar="IP",
        help="the server's address (default: PEERDISCO_MYSQL_HOST, else 127.0.0.1)",
    )
    group.add_argument(
        "--port",
        metavar="N",
        type=port,
        help="its port, and the port of peers for which DNS has none (default: "
        f"PEERDISCO_MYSQL_PORT, else {PORT})",
    )
    group.add_argument(
        "--socket", metavar="PATH", help="its Unix socket instead (default: PEERDISCO_MYSQL_SOCKET)"
    )
    group.add_argument(
        "--flavour",
        "--flavor",
        choices=("mariadb", "mysql"),
        help="the servers' family, for the fixes if no account can log in (default: mariadb)",
    )
    add_account(group, "", "the account of the sidecar")
    add_account(group, "replication", "the account for replication and probes")
    add_account(group, "backup", "the account for backups and copies")
    add_trust(group)


async def database_facts(args: argparse.Namespace, facts: Facts) -> DatabaseFacts:
    """The facts about the servers of the options, and about those of the peers.

    Raises:
        ConfigurationError: A file of the options cannot be read, or the driver is not installed.
    """
    from ..doctor.mysql_facts import read_database  # noqa: PLC0415 - for --mysql alone
    from ..mysql.versions import Flavour  # noqa: PLC0415

    accounts: dict[str, Callable[[], Account] | None] = {}
    users: dict[str, str] = {}
    for kind, prefix in _KINDS.items():
        accounts[kind] = account_of(args, prefix)
        users[kind] = _user(args, prefix)
    where, own = _own_server(args)
    peers = [peer for peer in facts.peers if peer.name != facts.pod.pod_name and peer.addresses]
    found = await read_database(
        where, own, accounts, users, {peer.name: _peer(args, peer) for peer in peers}, args.timeout
    )
    service = facts.request.service
    name = facts.pod.pod_name
    return replace(
        found,
        flavour=Flavour.parse(args.flavour) if args.flavour else None,
        ordinal=facts.pod.ordinal,
        hostname=f"{name}.{service.fqdn}" if service is not None and name is not None else None,
    )


def _user(args: argparse.Namespace, prefix: str) -> str:
    option = f"{prefix}_user" if prefix else "user"
    variable = f"PEERDISCO_MYSQL_{prefix.upper()}{'_' if prefix else ''}USER"
    return getattr(args, option) or os.environ.get(variable) or DEFAULT_USERS[prefix]


def _port(args: argparse.Namespace) -> int:
    """The option, else the variable; not ``tcp://...``, which Kubernetes sets for a Service."""
    text = os.environ.get("PEERDISCO_MYSQL_PORT", "")
    if args.port is not None:
        return int(args.port)
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text[:6]) < 65536 else PORT


def _own_server(args: argparse.Namespace) -> tuple[str, Connect]:
    """The server in this pod: what it is called, and how to connect to it."""
    socket = args.socket or os.environ.get("PEERDISCO_MYSQL_SOCKET") or None
    host = args.host or os.environ.get("PEERDISCO_MYSQL_HOST") or "127.0.0.1"
    what = "--host" if args.host else "PEERDISCO_MYSQL_HOST"
    own = parse_endpoint(host, what, default_port=_port(args))

    async def to(account: Account) -> Connection:
        from ..mysql.aiomysql import connect  # noqa: PLC0415 - needs the driver

        return await connect(
            account,
            host=own.address,
            port=own.port,
            socket=socket,
            timeout=args.timeout,
            own_server=True,
        )

    return socket or str(own), to


def _peer(args: argparse.Namespace, peer: Peer) -> Connect:
    """Connects to the server of a peer, as the sidecar does."""

    async def to(account: Account) -> Connection:
        from ..mysql.aiomysql import connect  # noqa: PLC0415 - needs the driver

        trust = trust_of(args)
        return await connect(
            account,
            host=str(peer.addresses[0]),
            port=peer.port or _port(args),
            timeout=args.timeout,
            server_public_key=trust.server_public_key,
            tls=trust.tls,
            tls_server_name=trust.tls_server_name,
        )

    return to

"""The servers of the other pods, for commands that query them once."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .mysql_accounts import account_of, add_account, add_trust, required, trust_of
from .mysql_options import PORT, port_of
from .options import port

if TYPE_CHECKING:
    from ..mysql.setup import Account
    from ..mysql.sidecar.peers import Connection, PeerServers
    from ..names import Endpoint

_ASK_TIMEOUT = 5.0
"""Seconds that each server has to answer."""


def add_peer_servers(parser: argparse.ArgumentParser) -> None:
    """The options that `peer_servers` reads."""
    servers = parser.add_argument_group("the servers")
    servers.add_argument(
        "--port",
        metavar="N",
        type=port,
        help=f"their port, where DNS has none (default: PEERDISCO_MYSQL_PORT, else {PORT})",
    )
    add_account(servers, "replication", "the account for replication and probes")
    add_trust(servers)


def peer_servers(args: argparse.Namespace) -> PeerServers:
    """The servers of the other pods, as the options say.

    Raises:
        ConfigurationError: An option has an invalid value, or there is no password.
    """
    from ..mysql.aiomysql import connect  # noqa: PLC0415 - not needed for --help
    from ..mysql.sidecar.peers import PeerServers  # noqa: PLC0415

    trust = trust_of(args)
    account = required(account_of(args, "replication"), "replication")

    async def to(where: Endpoint | None, account: Account) -> Connection:
        assert where is not None
        return await connect(
            account,
            host=where.address,
            port=where.port,
            server_public_key=trust.server_public_key,
            tls=trust.tls,
            tls_server_name=trust.tls_server_name,
        )

    return PeerServers(to, account, port_of(args), _ASK_TIMEOUT)

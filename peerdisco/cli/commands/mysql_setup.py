"""``peerdisco mysql-setup``: print the configuration or the accounts of a new server."""

from __future__ import annotations

import argparse

from ...exceptions import IdentityError
from ..exit_status import OK
from ..mysql_accounts import account_of, add_account
from ..options import UsageError, add_namespace, seconds, whole_number

SUMMARY = "print the initial configuration or accounts of a server"
DESCRIPTION = """\
For an init container, before MySQL or MariaDB starts for the first time.

'config' prints the part of the configuration that replication depends on: a server_id derived from
this pod's ordinal, its host name, a binary log with GTIDs, and read-only mode: the sidecar opens
the primary for writes after it has checked the peers.

'accounts' prints the SQL that creates three accounts with the privileges they need and no others:
the sidecar's own, one for replication and probes, and one for backups and copies. An account
without a password is left out. The output contains the passwords: write it to a file in memory that
nobody else can read."""
EPILOG = """\
exit status:
  0  printed
  2  a usage error, or this pod's identity is not known
  6  the output cannot be written: stdout is closed, or its disk is full

examples:
  peerdisco mysql-setup config --flavour mariadb > /etc/mysql/conf.d/peerdisco.cnf
  (umask 077; peerdisco mysql-setup accounts --flavour mariadb > /initdb/10-accounts.sql)
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("config", "accounts"), help="what to print")
    parser.add_argument(
        "--flavour",
        "--flavor",
        required=True,
        choices=("mariadb", "mysql"),
        help="the servers' family",
    )
    config = parser.add_argument_group("config")
    config.add_argument(
        "--server-id-base",
        metavar="N",
        type=whole_number(0, 2**32 - 1, "a number of 0 or more"),
        default=100,
        help="the number to which the ordinal is added (default: %(default)s)",
    )
    config.add_argument(
        "--role",
        choices=("primary", "replica"),
        help="replica: MySQL also refuses writes of administrators from its start on; not for a "
        "server that is not initialised yet (default: suitable for both roles)",
    )
    config.add_argument(
        "--durability",
        choices=("asynchronous", "semi-sync"),
        default="asynchronous",
        help="semi-sync: a transaction is acknowledged when replicas have received it, so that it "
        "survives the loss of the primary's volume (default: %(default)s)",
    )
    config.add_argument(
        "--acknowledgements",
        metavar="N",
        type=whole_number(1, 65535, "a number of replicas, 1 or more"),
        default=1,
        help="with semi-sync: how many replicas must have received it; MariaDB supports only 1 "
        "(default: %(default)s)",
    )
    config.add_argument(
        "--fallback-after",
        metavar="SECONDS",
        type=seconds,
        help="with semi-sync: continue asynchronously when no acknowledgement comes for so long; "
        "/readyz and the metrics show it (default: never, writes wait)",
    )
    config.add_argument(
        "--service", metavar="NAME", help="the governing service (default: this pod's)"
    )
    add_namespace(config)
    accounts = parser.add_argument_group("accounts")
    add_account(accounts, "", "the account of the sidecar, which logs in only from the pod")
    add_account(accounts, "replication", "the account for replication and probes")
    add_account(accounts, "backup", "the account for backups and copies")


def run(args: argparse.Namespace) -> int:
    from ...mysql.versions import Flavour  # noqa: PLC0415 - not needed for --help

    flavour = Flavour.parse(args.flavour)
    print(_config(args, flavour) if args.what == "config" else _accounts(args, flavour), end="")
    return OK


def _config(args: argparse.Namespace, flavour: object) -> str:
    from ...mysql.durability import Durability  # noqa: PLC0415
    from ...mysql.setup import render_config  # noqa: PLC0415
    from ...mysql.versions import Flavour  # noqa: PLC0415
    from ...pod.identity import local_identity  # noqa: PLC0415 - not needed for --help

    assert isinstance(flavour, Flavour)
    me = local_identity(
        service=args.service, namespace=args.namespace, cluster_domain=args.cluster_domain
    )
    if me.ordinal is None:
        raise IdentityError(
            "ordinal", (f"the pod's name, {me.pod_name}",), "run it in a pod of a StatefulSet"
        )
    if me.hostname is None:
        raise IdentityError(
            "host name",
            ("PEERDISCO_SERVICE", "PEERDISCO_CLUSTER_DOMAIN", "/etc/hosts", "/etc/resolv.conf"),
            "name the governing service: --service or PEERDISCO_SERVICE",
        )
    durability = Durability(args.durability)
    waits = durability is Durability.SEMI_SYNC
    if not waits and (args.acknowledgements != 1 or args.fallback_after is not None):
        raise UsageError(
            "--acknowledgements and --fallback-after have no effect without --durability semi-sync"
        )
    return render_config(
        flavour,
        me.ordinal,
        me.hostname,
        base=args.server_id_base,
        role=args.role,
        durability=durability,
        acknowledgements=args.acknowledgements,
        fallback_after=args.fallback_after,
    )


def _accounts(args: argparse.Namespace, flavour: object) -> str:
    from ...exceptions import ConfigurationError  # noqa: PLC0415 - not needed for --help
    from ...mysql.setup import accounts_sql  # noqa: PLC0415
    from ...mysql.versions import Flavour  # noqa: PLC0415

    assert isinstance(flavour, Flavour)
    local, replication, backup = (
        give() if (give := account_of(args, kind)) is not None else None
        for kind in ("", "replication", "backup")
    )
    if local is None and replication is None and backup is None:
        raise ConfigurationError(
            "accounts",
            "no password",
            "PEERDISCO_MYSQL_PASSWORD_FILE, PEERDISCO_MYSQL_REPLICATION_PASSWORD_FILE, "
            "PEERDISCO_MYSQL_BACKUP_PASSWORD_FILE, or one of their options",
        )
    statements = accounts_sql(flavour, local=local, replication=replication, backup=backup)
    return "".join(f"{statement};\n" for statement in statements)

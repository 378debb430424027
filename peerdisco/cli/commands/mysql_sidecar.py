"""``peerdisco mysql-sidecar``: keep the database server in this pod what its ordinal says."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from ...exceptions import ConfigurationError, IdentityError
from ...names import parse_endpoint
from ..credentials import account_of, add_account, add_trust, required, trust_of
from ..look import add_service, seconds
from ..processes import run_until_signal
from ..status import OK, Ended
from .watch import add_watching, open_discovery

if TYPE_CHECKING:
    from ...model import Identity
    from ...mysql.setup import Account
    from ...mysql.sidecar.peers import Connect
    from ...mysql.sidecar.report import Report
    from ...names import Endpoint

SUMMARY = "keep the MySQL or MariaDB server in this pod what its ordinal says"
DESCRIPTION = """\
Runs beside a server in each pod of a StatefulSet. In the pod of ordinal 0 (or of --ordinal) it lets
the server take writes, once it has made sure that the name is this pod's and that the data are the
cluster's; in the others it keeps the server read-only and replicating from ordinal 0, by its name.
When the primary comes back with another address, replicas connect there at once. Where going on
could lose data it does nothing but say so. There is no failover: while ordinal 0 is away nobody
takes its place.

An empty ordinal 0 makes a new database only if each of --replicas pods answered that it is empty,
too, or --first-start was said, and no peer holds data.

/healthz says whether the sidecar moves, /readyz whether clients may use the server (role, state,
lag and verdict in JSON), /metrics the same for Prometheus."""
EPILOG = """\
exit status:
  0  ended by a signal; the server is left as it is
  2  a wrong call

Each change of its state is a line on stderr. What it needs of the server, 'peerdisco mysql-setup'
prints. Needs the extra: pip install 'peerdisco[mysql]'

example:
  peerdisco mysql-sidecar my-database --replicas 3 --password-file /run/secrets/local \\
    --replication-password-file /run/secrets/replication
"""
PORT = 3306
PORT_VARIABLE = "PEERDISCO_MYSQL_PORT"
"""The one variable whose name Kubernetes gives to a variable of its own: ``NAME_PORT`` of each
Service in the namespace (https://kubernetes.io/docs/concepts/services-networking/service/)."""
_SERVICE_LINK = re.compile(r"(tcp|udp|sctp)://")
LISTEN_PORT = 8080
MAX_LAG = 30.0
INTERVAL = 1.0
"""Seconds between two looks at DNS: a new address of the primary is to be followed within two."""


def configure(parser: argparse.ArgumentParser) -> None:
    add_service(parser)
    server = parser.add_argument_group("the server in this pod")
    server.add_argument(
        "--host",
        metavar="IP",
        help="its address (default: PEERDISCO_MYSQL_HOST, else 127.0.0.1); not its socket, behind "
        "which the official images run a server that is being initialised",
    )
    server.add_argument(
        "--port",
        metavar="N",
        type=_port,
        help=f"its port, and that of the peers where DNS tells none (default: "
        f"PEERDISCO_MYSQL_PORT, else {PORT})",
    )
    server.add_argument(
        "--socket", metavar="PATH", help="its Unix socket instead (default: PEERDISCO_MYSQL_SOCKET)"
    )
    add_account(server, "", "the account for it")
    peers = parser.add_argument_group("the peers' servers")
    add_account(peers, "replication", "the account with which replicas and probes log in there")
    add_trust(peers)
    start = parser.add_argument_group("the first start")
    start.add_argument(
        "--replicas",
        metavar="N",
        type=_count,
        help="how many pods there should be, spec.replicas (default: PEERDISCO_MYSQL_REPLICAS)",
    )
    start.add_argument(
        "--first-start",
        action="store_true",
        default=None,
        help="this is the first start, whoever does not answer "
        "(default: PEERDISCO_MYSQL_FIRST_START=1)",
    )
    health = parser.add_argument_group("health")
    health.add_argument(
        "--listen",
        metavar="[IP:]PORT",
        help=f"where to serve /healthz, /readyz and /metrics; 0 for any port that is free "
        f"(default: PEERDISCO_MYSQL_LISTEN, else {LISTEN_PORT})",
    )
    health.add_argument(
        "--max-lag",
        metavar="SECONDS",
        type=seconds,
        default=MAX_LAG,
        help="how far a replica may be behind and still be ready (default: %(default)g)",
    )
    add_watching(parser, INTERVAL)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 0 < int(text) < 65536):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a port from 1 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 1_000_000):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number of pods, 1 or more")
    return int(text)


def run(args: argparse.Namespace) -> int:
    with contextlib.suppress(Ended):
        run_until_signal(_run(args))
    return OK


async def _run(args: argparse.Namespace) -> None:
    from ...mysql.sidecar.health import HealthServer  # noqa: PLC0415 - not needed for --help
    from ...mysql.sidecar.sidecar import Sidecar, SidecarOptions  # noqa: PLC0415

    me = _identity(args)
    args.statefulset = me.statefulset
    if args.interval is None and not os.environ.get("PEERDISCO_INTERVAL"):
        args.interval = INTERVAL
    options = SidecarOptions(
        local=required(account_of(args, ""), ""),
        replication=required(account_of(args, "replication"), "replication"),
        port=_setting(args.port, PORT_VARIABLE, _port) or PORT,
        expected=_setting(args.replicas, "PEERDISCO_MYSQL_REPLICAS", _count),
        first_start=_first_start(args),
    )
    listen = _listen(args.listen)
    connect = _connect(args, options.port, me)
    async with open_discovery(args, timeout=args.timeout, identity=me) as disco:
        sidecar = Sidecar(
            disco, me, connect, options, first_ordinal=args.ordinal, tell=_tell_report
        )
        with HealthServer(sidecar, listen, sidecar.clock.now, args.max_lag) as health:
            _tell(f"listening on {health.listening}")
            await sidecar.run()


def _identity(args: argparse.Namespace) -> Identity:
    from ...pod.identity import local_identity  # noqa: PLC0415 - not needed for --help

    me = local_identity(
        service=args.service, namespace=args.namespace, cluster_domain=args.cluster_domain
    )
    if me.ordinal is None:
        raise IdentityError(
            "ordinal", (f"the pod's name, {me.pod_name}",), "run it in a pod of a StatefulSet"
        )
    if args.statefulset not in (None, me.statefulset):
        raise ConfigurationError(
            "--statefulset", args.statefulset, f"this pod's own, {me.statefulset}"
        )
    return me


def _connect(args: argparse.Namespace, port: int, me: Identity) -> Connect:
    from ...mysql.aiomysql import Connection, connect  # noqa: PLC0415 - not needed for --help

    socket = args.socket or os.environ.get("PEERDISCO_MYSQL_SOCKET") or None
    host = args.host or os.environ.get("PEERDISCO_MYSQL_HOST") or "127.0.0.1"
    own = parse_endpoint(host, "--host", default_port=port)
    trust = trust_of(args)
    own_addresses = {str(address) for address in me.addresses}

    async def to(where: Endpoint | None, account: Account) -> Connection:
        if where is None:
            return await connect(
                account, host=own.address, port=own.port, socket=socket, own_server=True
            )
        return await connect(
            account,
            host=where.address,
            port=where.port,
            own_server=where.address in own_addresses,
            server_public_key=trust.server_public_key,
            tls=trust.tls,
            tls_server_name=trust.tls_server_name,
        )

    return to


def _setting(given: int | None, variable: str, parse: Callable[[str], int]) -> int | None:
    """An option, or the variable that stands for it."""
    text = os.environ.get(variable)
    if given is not None or not text:
        return given
    if variable == PORT_VARIABLE and _SERVICE_LINK.match(text):
        _tell(
            f"{variable}={text} is ignored: Kubernetes sets it for the Service 'peerdisco-mysql' "
            f"(enableServiceLinks: false in the pod's spec stops that); the port is {PORT}, "
            "another one can be given as --port"
        )
        return None
    try:
        return parse(text)
    except argparse.ArgumentTypeError as error:
        raise ConfigurationError(variable, text, str(error).partition("expected ")[2]) from None


def _first_start(args: argparse.Namespace) -> bool:
    if args.first_start is not None:
        return bool(args.first_start)
    text = os.environ.get("PEERDISCO_MYSQL_FIRST_START", "")
    if text not in ("", "0", "1"):
        raise ConfigurationError("PEERDISCO_MYSQL_FIRST_START", text, "1, 0, or nothing")
    return text == "1"


def _listen(given: str | None) -> Endpoint:
    from ...names import Endpoint  # noqa: PLC0415 - not needed for --help

    text = given or os.environ.get("PEERDISCO_MYSQL_LISTEN") or str(LISTEN_PORT)
    what = "--listen" if given else "PEERDISCO_MYSQL_LISTEN"
    host, _, port = text.rpartition(":")
    if port == "0":
        # Not a port to name anywhere else, so parse_endpoint refuses it.
        return Endpoint(parse_endpoint(host or "0.0.0.0", what, default_port=1).address, 0)  # noqa: S104
    return parse_endpoint(f"{host or '0.0.0.0'}:{port}", what, default_port=LISTEN_PORT)  # noqa: S104


def _tell_report(report: Report) -> None:
    done = f" (done: {', '.join(report.done)})" if report.done else ""
    _tell(f"{report.state.value}: {' '.join(report.reason.split())}{done}")


def _tell(line: str) -> None:
    print(f"peerdisco: {line}", file=sys.stderr, flush=True)
